import { describe, expect, it } from "vitest";

import { Histogram, autoWindow, firstWindow, presetWindow, presetsFor, windowOf, type Grey } from "../src/windowing";

const GREY: Grey = { bitsStored: 12, signed: false, slope: 1, intercept: 0, center: null, width: null, voiFunction: "LINEAR", padding: null };
const ramp = (count: number, from = 0): Uint16Array => Uint16Array.from({ length: count }, (_, index) => from + index);

describe("the first window is that of the rendition", () => {
  it("stretches between the percentiles of the data", () => {
    const { lower, upper } = firstWindow(GREY, new Histogram(ramp(4001)));
    expect(lower).toBe(20);
    expect(upper).toBe(3980);
  });

  it("stays within the window of the header", () => {
    const grey = { ...GREY, center: 2000, width: 1001 };
    const { lower, upper } = firstWindow(grey, new Histogram(ramp(4001)));
    expect([lower, upper]).toEqual([1499.5, 2499.5]);
  });

  it("ignores a window that is off the data", () => {
    const grey = { ...GREY, center: 60000, width: 10 };
    expect(firstWindow(grey, new Histogram(ramp(4001)))).toEqual({ lower: 20, upper: 3980 });
  });

  it("shows 8 bits as they are", () => {
    expect(firstWindow({ ...GREY, bitsStored: 8 }, new Histogram(Uint8Array.of(3, 90, 200)))).toEqual({ lower: 0, upper: 255 });
  });

  it("counts in the unit of the values, CT in Hounsfield units", () => {
    const grey = { ...GREY, slope: 2, intercept: -1024, center: 40, width: 400, voiFunction: "LINEAR_EXACT" };
    const { lower, upper } = firstWindow(grey, new Histogram(ramp(2000)));
    expect([lower, upper]).toEqual([-160, 240]);
  });

  it("leaves padding out", () => {
    const values = new Int16Array([...Array.from({ length: 900 }, () => -2000), ...ramp(1000)]);
    const grey: Grey = { ...GREY, signed: true, padding: [-2000, -2000] };
    expect(firstWindow(grey, new Histogram(values, grey.padding)).lower).toBeGreaterThanOrEqual(0);
  });

  it("exists for an image of one value", () => {
    const { lower, upper } = firstWindow(GREY, new Histogram(new Uint16Array(50).fill(7)));
    expect(upper).toBeGreaterThan(lower);
  });
});

it("the window of DICOM is half a value to the left, the exact one is not", () => {
  expect(windowOf(100, 11)).toEqual({ lower: 94.5, upper: 104.5 });
  expect(windowOf(100, 11, "LINEAR_EXACT")).toEqual({ lower: 94.5, upper: 105.5 });
});

it("the automatic window leaves the outermost values out", () => {
  const values = ramp(1000);
  values[999] = 65535; // a marker
  const { upper } = autoWindow(new Histogram(values), GREY);
  expect(upper).toBeLessThan(1000);
});

it("presets are Hounsfield units for CT and shares of the first window for radiographs", () => {
  expect(presetsFor("CT").map((preset) => preset.name)).toEqual(["bone", "soft", "lung"]);
  expect(presetWindow(presetsFor("CT")[0], { lower: 0, upper: 1 })).toEqual({ lower: -500, upper: 1500 });
  const first = { lower: 1000, upper: 3000 };
  const bone = presetWindow(presetsFor("DX")[0], first);
  expect(bone.lower).toBeGreaterThan(first.lower);
  expect(presetWindow(presetsFor("DX")[1], first).upper).toBeLessThan(first.upper);
});
