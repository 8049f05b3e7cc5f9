import { describe, expect, it } from "vitest";

import { angle, cobbAngle, length, type Point } from "../src/geometry";
import { lengthText, scaleOf, type Calibration } from "../src/spacing";

const WORDS = { calibrated: "calibrated" };
const ball = (pixels: number, millimetres: number): Calibration => ({ points: [[100, 100], [100 + pixels, 100]], millimetres });

describe("millimetres", () => {
  it("are told where the spacing holds in the patient", () => {
    const scale = scaleOf({ row: 0.5, column: 0.5, origin: "patient" }, null);
    expect(scale).toEqual({ unit: "mm", row: 0.5, column: 0.5, source: "patient" });
    expect(lengthText(length([0, 0], [30, 40], scale), scale, WORDS)).toBe("25.0 mm");
  });

  it.each([
    [{ row: 0.139, column: 0.139, origin: "imager" }, "detector"], // ImagerPixelSpacing, magnified in the patient
    [{ row: 0.139, column: 0.139, origin: "" }, "detector"],
    [null, "unknown"], // PNG, photograph
    [{ row: 0, column: 0.1, origin: "patient" }, "unknown"],
    [{ row: Number.NaN, column: 0.1, origin: "patient" }, "unknown"],
    [{ row: -0.1, column: 0.1, origin: "patient" }, "unknown"],
  ])("are not told for %j", (spacing, source) => {
    const scale = scaleOf(spacing, null);
    expect(scale.source).toBe(source);
    expect(lengthText(length([0, 0], [30, 40], scale), scale, WORDS)).toBe("50 px");
  });

  it("come from a known object when the reader has measured one, and say so", () => {
    const scale = scaleOf(null, ball(50, 25));
    expect(lengthText(length([0, 0], [0, 90], scale), scale, WORDS)).toBe("45.0 mm (calibrated)");
  });

  it("of a calibration go before those of the header", () => {
    expect(scaleOf({ row: 0.2, column: 0.2, origin: "patient" }, ball(50, 25))).toMatchObject({ column: 0.5, source: "calibrated" });
  });

  it.each([ball(0, 25), ball(50, 0), ball(50, Number.POSITIVE_INFINITY), ball(50, -3)])("are not made of a calibration without length", (calibration) => {
    expect(scaleOf(null, calibration).unit).toBe("px");
  });

  it("follow pixels that are not square", () => {
    const scale = scaleOf({ row: 0.4, column: 0.2, origin: "patient" }, null);
    expect(length([0, 0], [10, 0], scale)).toBeCloseTo(2);
    expect(length([0, 0], [0, 10], scale)).toBeCloseTo(4);
    const drawn: Calibration = { points: [[0, 0], [0, 10]], millimetres: 40 }; // upright: rows count double
    expect(length([0, 0], [20, 0], scaleOf({ row: 0.4, column: 0.2, origin: "imager" }, drawn))).toBeCloseTo(40);
  });

  it("are written in the page's language", () => {
    const scale = scaleOf({ row: 1, column: 1, origin: "patient" }, null);
    expect(lengthText(1234.56, scale, WORDS, "de")).toBe("1234,6 mm");
  });
});

describe("angles", () => {
  const square = { row: 1, column: 1 };

  it("are those at the vertex, to 180 degrees", () => {
    expect(angle([0, 10], [0, 0], [10, 0], square)).toBeCloseTo(90);
    expect(angle([-5, 0], [0, 0], [10, 0], square)).toBeCloseTo(180);
    expect(angle([5, 5], [0, 0], [10, 0], square)).toBeCloseTo(45);
  });

  it("after Cobb do not depend on the direction of drawing", () => {
    const upper: [Point, Point] = [[0, 0], [100, 0]];
    const lower: [Point, Point] = [[0, 50], [100, 50 + 100 * Math.tan((20 * Math.PI) / 180)]];
    expect(cobbAngle(upper, lower, square)).toBeCloseTo(20);
    expect(cobbAngle([upper[1], upper[0]], lower, square)).toBeCloseTo(20);
    expect(cobbAngle(upper, [lower[1], lower[0]], square)).toBeCloseTo(20);
  });

  it("change with pixels that are not square", () => {
    expect(angle([10, 10], [0, 0], [10, 0], { row: 2, column: 1 })).toBeCloseTo((Math.atan(2) * 180) / Math.PI);
  });
});
