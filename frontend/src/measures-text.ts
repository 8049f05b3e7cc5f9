/* What is written beside a drawing: lengths, angles, areas and densities, in the units of spacing.ts. Pure. */

import { type Point, angle, cobbAngle, length } from "./geometry";
import { type Raster, areaOf, regionOf, statisticsOf, valueAt } from "./roi";
import { type Scale, type Words as ScaleWords, areaText, lengthText } from "./spacing";

export interface Words extends ScaleWords {
  calibration: string;
  mean: string;
  deviation: string;
}
/** What lies under a drawing; `unit` is "HU" for a CT, else empty. */
export interface Ground {
  scale: Scale;
  raster: Raster | null;
  unit: string;
}

export interface Drawn {
  handles?: { points?: number[][] };
  millimetres?: number;
}

const points = (data: Drawn): Point[] => (data.handles?.points ?? []).map(([x, y]) => [x, y]);
const degreesText = (value: number, locale: string): string =>
  `${new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(value)}\u00b0`;

/** The lines written beside a drawing. */
export function textLines(kind: string, data: Drawn, { scale, raster, unit }: Ground, words: Words, locale: string): string[] {
  const [a, b, c, d] = points(data);
  const grey = (value: number): string => `${new Intl.NumberFormat(locale, { maximumFractionDigits: 1, useGrouping: false }).format(value)}${unit && ` ${unit}`}`;
  if (kind === "probe" && a) {
    const value = raster && valueAt(a, raster);
    return value === null ? [] : [grey(value)];
  }
  if ((kind === "rectangle" || kind === "ellipse") && d) {
    const region = regionOf([a, b, c, d]);
    const found = raster && statisticsOf(kind, region, raster);
    const spread = found ? [`${words.mean} ${grey(found.mean)}`, `${words.deviation} ${grey(found.deviation)}`] : [];
    return [areaText(areaOf(kind, region, scale), scale, words, locale), ...spread];
  }
  if (kind === "length" && b) return [lengthText(length(a, b, scale), scale, words, locale)];
  if (kind === "angle" && c) return [degreesText(angle(a, b, c, scale), locale)];
  if (kind === "cobb" && d) return [degreesText(cobbAngle([a, b], [c, d], scale), locale)];
  if (kind === "calibration" && data.millimetres) return [`${words.calibration}: ${data.millimetres} mm`];
  return [];
}
