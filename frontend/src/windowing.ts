/* Which grey values are shown: the window that the rendition was made with, automatic ones and presets.

   The first window repeats what the server did for the rendition (ml/decoding_display.py, then the percentiles of
   diagnosis/ingest/renditions.py), so that the picture does not change when full depth replaces it. */

export type Values = Uint8Array | Uint16Array | Int8Array | Int16Array;

/** Lowest and highest shown value, in the unit of the pixels after slope and intercept. */
export interface Window {
  lower: number;
  upper: number;
}

export interface Grey {
  bitsStored: number;
  signed: boolean;
  slope: number;
  intercept: number;
  center: number | null;
  width: number | null;
  voiFunction: string;
  padding: [number, number] | null;
}

const SHARE_IN_WINDOW = 0.02; // a window that shows less is off the data
const PERCENTILES = [0.005, 0.995] as const;

/** Counts of each stored value between the lowest and the highest one that is no padding. */
export class Histogram {
  readonly low: number;
  readonly high: number;
  readonly total: number;
  readonly counts: Uint32Array;

  constructor(values: Values, padding: [number, number] | null = null) {
    const offset = values instanceof Int8Array || values instanceof Int16Array ? 32768 : 0;
    const all = new Uint32Array(65536);
    for (let at = 0; at < values.length; at += 1) all[values[at] + offset] += 1;
    if (padding) all.fill(0, Math.max(0, Math.min(...padding) + offset), Math.max(...padding) + offset + 1);
    let low = all.findIndex((count) => count > 0);
    let high = all.length - 1;
    while (high > low && all[high] === 0) high -= 1;
    if (low < 0) [low, high] = [offset, offset];
    this.low = low - offset;
    this.high = high - offset;
    this.counts = all.subarray(low, high + 1);
    this.total = this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** The stored value below which the given share of the pixels lies. */
  quantile(share: number): number {
    let left = share * (this.total - 1);
    for (let at = 0; at < this.counts.length; at += 1) {
      left -= this.counts[at];
      if (left < 0) return this.low + at;
    }
    return this.high;
  }

  /** The share of the pixels strictly between two values. */
  shareBetween(lower: number, upper: number): number {
    let inside = 0;
    for (let at = 0; at < this.counts.length; at += 1) {
      if (this.low + at > lower && this.low + at < upper) inside += this.counts[at];
    }
    return this.total ? inside / this.total : 0;
  }
}

export function windowOf(center: number, width: number, voiFunction = "LINEAR"): Window {
  if (voiFunction === "LINEAR") {
    const half = Math.max(width - 1, 1e-6) / 2;
    return { lower: center - 0.5 - half, upper: center - 0.5 + half };
  }
  return { lower: center - width / 2, upper: center + width / 2 };
}

export function centerOf({ lower, upper }: Window): { center: number; width: number } {
  return { center: (lower + upper) / 2, width: upper - lower };
}

/** The window of the rendition. */
export function firstWindow(grey: Grey, histogram: Histogram): Window {
  const real = (stored: number): number => stored * grey.slope + grey.intercept;
  const stored = (value: number): number => (value - grey.intercept) / grey.slope;
  let base: Window | null = null;
  if (grey.center !== null && grey.width !== null && grey.width > 0) {
    base = windowOf(grey.center, grey.width, grey.voiFunction);
    const [from, to] = [stored(base.lower), stored(base.upper)];
    const isUseful = histogram.counts.length <= 2 || histogram.shareBetween(Math.min(from, to), Math.max(from, to)) >= SHARE_IN_WINDOW;
    if (!isUseful) base = null;
  }
  if (!base && grey.bitsStored <= 8 && grey.slope === 1 && grey.intercept === 0) {
    const low = grey.signed ? -(2 ** (grey.bitsStored - 1)) : 0;
    base = { lower: low, upper: low + 2 ** grey.bitsStored - 1 };
  }
  base ??= stretched(histogram, real);
  if (grey.bitsStored <= 8) return base;
  const clamp = (value: number): number => Math.min(Math.max(value, base.lower), base.upper);
  const [low, high] = PERCENTILES.map((share) => clamp(real(histogram.quantile(share))));
  return high > low ? { lower: low, upper: high } : base;
}

function stretched(histogram: Histogram, real: (stored: number) => number): Window {
  const [lower, upper] = [real(histogram.low), real(histogram.high)];
  return upper > lower ? { lower, upper } : { lower, upper: lower + 1 };
}

/** A window over what is seen: the middle 98 % of the values of a part of the picture. */
export function autoWindow(histogram: Histogram, grey: Pick<Grey, "slope" | "intercept">): Window {
  const real = (stored: number): number => stored * grey.slope + grey.intercept;
  const [lower, upper] = [real(histogram.quantile(0.01)), real(histogram.quantile(0.99))];
  return upper > lower ? { lower, upper } : stretched(histogram, real);
}

/** A preset: part of the first window (radiographs), or fixed values in Hounsfield units (CT). */
export type Preset = { name: string; share: [number, number] } | { name: string; center: number; width: number };

export function presetsFor(modality: string): Preset[] {
  if (modality === "CT") {
    return [
      { name: "bone", center: 500, width: 2000 },
      { name: "soft", center: 40, width: 400 },
      { name: "lung", center: -600, width: 1500 },
    ];
  }
  return [
    { name: "bone", share: [0.25, 1.05] },
    { name: "soft", share: [-0.05, 0.6] },
    { name: "contrast", share: [0.2, 0.8] },
  ];
}

export function presetWindow(preset: Preset, first: Window): Window {
  if ("center" in preset) return windowOf(preset.center, preset.width, "LINEAR_EXACT");
  const width = first.upper - first.lower;
  return { lower: first.lower + preset.share[0] * width, upper: first.lower + preset.share[1] * width };
}
