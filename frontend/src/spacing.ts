/* When a distance may be told in millimetres, and how it is told.

   A radiograph is a shadow: its pixel spacing is known at the detector, and the part of the body in front of it is
   magnified by a factor that the header does not reliably give. Millimetres are therefore shown only where the
   spacing holds in the patient (CT, MR, a calibrated PixelSpacing) or where the reader has measured a known object.
   Otherwise the unit is px, and the two are never mixed without a word. */

import { length, type Point } from "./geometry";

/** Millimetres a pixel as the server tells them. */
export interface KnownSpacing {
  row: number;
  column: number;
  origin: string; // "patient", "imager" (at the detector) or ""
}

/** A line over an object of known length, drawn by the reader; points in pixels of the image. */
export interface Calibration {
  points: [Point, Point];
  millimetres: number;
}

export type Source = "patient" | "calibrated" | "detector" | "unknown";

/** How far apart neighbours are, and in what. `px` keeps the ratio of rows to columns where it is known. */
export interface Scale {
  unit: "mm" | "px";
  row: number;
  column: number;
  source: Source;
}

const isLength = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value > 0;

export function scaleOf(spacing: KnownSpacing | null, calibration: Calibration | null): Scale {
  const known = spacing && isLength(spacing.row) && isLength(spacing.column) ? spacing : null;
  const ratio = known ? known.row / known.column : 1;
  const pixels = { unit: "px", row: ratio, column: 1 } as const;
  const drawn = calibration ? length(...calibration.points, pixels) : 0;
  if (calibration && isLength(calibration.millimetres) && drawn > 0) {
    const column = calibration.millimetres / drawn;
    return { unit: "mm", row: column * ratio, column, source: "calibrated" };
  }
  if (known && known.origin === "patient") {
    return { unit: "mm", row: known.row, column: known.column, source: "patient" };
  }
  return { ...pixels, source: known ? "detector" : "unknown" };
}

export interface Words {
  calibrated: string;
}

const written = (value: number, digits: number, locale?: string): string =>
  new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false }).format(value);
const marked = (text: string, scale: Scale, words: Words): string => `${text}${scale.source === "calibrated" ? ` (${words.calibrated})` : ""}`;

/** "45.2 mm", "45.2 mm (calibrated)" or "312 px". */
export function lengthText(value: number, scale: Scale, words: Words, locale?: string): string {
  return marked(`${written(value, scale.unit === "mm" ? 1 : 0, locale)} ${scale.unit}`, scale, words);
}

/** "812 mm\u00b2", "812 mm\u00b2 (calibrated)" or "9120 px\u00b2". */
export function areaText(value: number, scale: Scale, words: Words, locale?: string): string {
  return marked(`${written(value, scale.unit === "mm" && value < 100 ? 1 : 0, locale)} ${scale.unit}\u00b2`, scale, words);
}
