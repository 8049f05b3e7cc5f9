/* Lengths and angles between image points, in the unit of a scale. Pure: no picture, no screen. */

export type Point = [number, number]; // x (column) and y (row) in pixels of the image

interface Steps {
  row: number;
  column: number;
}

const vector = ([x1, y1]: Point, [x2, y2]: Point, { row, column }: Steps): Point => [(x2 - x1) * column, (y2 - y1) * row];
const degrees = (radians: number): number => (radians * 180) / Math.PI;

export function length(from: Point, to: Point, steps: Steps): number {
  return Math.hypot(...vector(from, to, steps));
}

function between([ax, ay]: Point, [bx, by]: Point): number {
  return degrees(Math.atan2(Math.abs(ax * by - ay * bx), ax * bx + ay * by));
}

/** The angle at `vertex`, 0 to 180 degrees. */
export function angle(first: Point, vertex: Point, last: Point, steps: Steps): number {
  return between(vector(vertex, first, steps), vector(vertex, last, steps));
}

/** The angle between two lines, 0 to 90 degrees: the direction in which a line was drawn does not matter. */
export function cobbAngle(line: [Point, Point], other: [Point, Point], steps: Steps): number {
  const found = between(vector(...line, steps), vector(...other, steps));
  return found > 90 ? 180 - found : found;
}
