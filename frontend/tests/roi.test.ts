import { describe, expect, it } from "vitest";

import { textLines } from "../src/measures-text";
import { areaOf, regionOf, statisticsOf, valueAt, type Raster } from "../src/roi";
import { areaText, scaleOf } from "../src/spacing";

/** Value = column + 100 * row. */
const raster: Raster = { columns: 40, rows: 30, at: (index) => (index % 40) + 100 * Math.floor(index / 40) };
const words = { calibrated: "calibrated", calibration: "Calibration", mean: "Mean", deviation: "SD" };
const corners = (left: number, top: number, right: number, bottom: number): [number, number][] => [[left, top], [right, top], [left, bottom], [right, bottom]];

describe("areas", () => {
  const region = regionOf(corners(10, 10, 30, 20));

  it("are of the patient only where the spacing is", () => {
    const known = scaleOf({ row: 0.5, column: 0.25, origin: "patient" }, null);
    expect(areaOf("rectangle", region, known)).toBeCloseTo(20 * 0.25 * (10 * 0.5));
    expect(areaText(25, known, words, "en")).toBe("25.0 mm\u00b2");
    const detector = scaleOf({ row: 0.5, column: 0.5, origin: "imager" }, null);
    expect(areaText(areaOf("rectangle", region, detector), detector, words, "en")).toBe("200 px\u00b2");
    expect(areaText(areaOf("rectangle", region, scaleOf(null, null)), scaleOf(null, null), words, "en")).toBe("200 px\u00b2");
  });

  it("of a calibrated picture say so", () => {
    const scale = scaleOf(null, { points: [[0, 0], [100, 0]], millimetres: 50 });
    expect(areaText(areaOf("rectangle", region, scale), scale, words, "en")).toBe("50.0 mm\u00b2 (calibrated)");
  });

  it("of an ellipse are pi a b", () => {
    const points: [number, number][] = [[20, 20], [20, 10], [10, 15], [30, 15]];
    expect(areaOf("ellipse", regionOf(points), scaleOf(null, null))).toBeCloseTo(Math.PI * 10 * 5);
  });
});

describe("densities", () => {
  it("are those of the pixels whose middle is inside", () => {
    const found = statisticsOf("rectangle", regionOf(corners(10, 4, 13, 6)), raster);
    const values = [410, 411, 412, 510, 511, 512];
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(found?.count).toBe(6);
    expect(found?.mean).toBeCloseTo(mean);
    expect(found?.deviation).toBeCloseTo(Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 6));
  });

  it("of an ellipse leave its corners out", () => {
    const inside = [...Array(1200).keys()].filter((index) => ((index % 40) + 0.5 - 20) ** 2 / 100 + (Math.floor(index / 40) + 0.5 - 15) ** 2 / 25 <= 1);
    const found = statisticsOf("ellipse", { left: 10, top: 10, right: 30, bottom: 20 }, raster);
    expect(found?.count).toBe(inside.length);
    expect(found?.mean).toBeCloseTo(inside.reduce((sum, index) => sum + raster.at(index), 0) / inside.length);
  });

  it("do not lose digits on large values", () => {
    const high: Raster = { columns: 10, rows: 10, at: (index) => 1e9 + (index % 2) };
    expect(statisticsOf("rectangle", { left: 0, top: 0, right: 10, bottom: 10 }, high)?.deviation).toBeCloseTo(0.5);
  });

  it("end at the edge of the picture", () => {
    expect(statisticsOf("rectangle", { left: -50, top: -50, right: 1, bottom: 1 }, raster)?.count).toBe(1);
    expect(statisticsOf("rectangle", { left: 50, top: 0, right: 60, bottom: 9 }, raster)).toBeNull();
    expect(valueAt([39.9, 29.9], raster)).toBe(39 + 2900);
    expect(valueAt([40, 0], raster)).toBeNull();
    expect(valueAt([-0.1, 0], raster)).toBeNull();
  });
});

describe("what is written beside a drawing", () => {
  const scale = scaleOf(null, null);

  it("has no density before full depth", () => {
    const data = { handles: { points: corners(0, 0, 2, 2) } };
    expect(textLines("rectangle", data, { scale, raster: null, unit: "" }, words, "en")).toEqual(["4 px\u00b2"]);
    expect(textLines("probe", { handles: { points: [[1, 1]] } }, { scale, raster: null, unit: "" }, words, "en")).toEqual([]);
  });

  it("names Hounsfield units of a CT alone", () => {
    const data = { handles: { points: [[3, 2]] } };
    expect(textLines("probe", data, { scale, raster, unit: "HU" }, words, "en")).toEqual(["203 HU"]);
    expect(textLines("probe", data, { scale, raster, unit: "" }, words, "en")).toEqual(["203"]);
    expect(textLines("rectangle", { handles: { points: corners(0, 0, 1, 2) } }, { scale, raster, unit: "" }, words, "en")).toEqual(["2 px\u00b2", "Mean 50", "SD 50"]);
  });
});
