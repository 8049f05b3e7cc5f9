/* Area, mean and spread of a rectangle or an ellipse, and the value under a point. Pure.

   A region lies along the rows and columns of the image: pictures are turned by right angles only. */

import type { Point } from "./geometry";
import type { Scale } from "./spacing";

export type Shape = "rectangle" | "ellipse";

/** In pixels of the image; the middle of pixel (c, r) is (c + 0.5, r + 0.5). */
export interface Region {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Shown values (Hounsfield units of a CT), row by row. */
export interface Raster {
  columns: number;
  rows: number;
  at(index: number): number;
}

export interface Statistics {
  count: number;
  mean: number;
  deviation: number; // of the population
}

export function regionOf(points: Point[]): Region {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
}

/** In the square of the scale's unit. */
export function areaOf(shape: Shape, { left, top, right, bottom }: Region, scale: Scale): number {
  const sides = (right - left) * scale.column * (bottom - top) * scale.row;
  return shape === "ellipse" ? (Math.PI / 4) * sides : sides;
}

/** Of the pixels whose middle lies within; null when there is none. */
export function statisticsOf(shape: Shape, region: Region, raster: Raster): Statistics | null {
  const { left, top, right, bottom } = region;
  const [middleX, middleY] = [(left + right) / 2, (top + bottom) / 2];
  const [halfX, halfY] = [(right - left) / 2, (bottom - top) / 2];
  const from = (edge: number): number => Math.max(0, Math.ceil(edge - 0.5));
  const to = (edge: number, end: number): number => Math.min(end - 1, Math.floor(edge - 0.5));
  let [count, mean, squares] = [0, 0, 0];
  for (let row = from(top); row <= to(bottom, raster.rows); row += 1) {
    const dy = (row + 0.5 - middleY) / (halfY || 1);
    const reach = shape === "ellipse" ? halfX * Math.sqrt(Math.max(0, 1 - dy * dy)) : halfX;
    for (let column = from(middleX - reach); column <= to(middleX + reach, raster.columns); column += 1) {
      const value = raster.at(row * raster.columns + column);
      const gap = value - mean; // Welford: exact also for large values that differ little
      count += 1;
      mean += gap / count;
      squares += gap * (value - mean);
    }
  }
  return count ? { count, mean, deviation: Math.sqrt(squares / count) } : null;
}

/** The value of the pixel that holds the point, null outside of the image. */
export function valueAt([x, y]: Point, { columns, rows, at }: Raster): number | null {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  return column >= 0 && row >= 0 && column < columns && row < rows ? at(row * columns + column) : null;
}
