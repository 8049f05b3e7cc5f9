/* One job: the simple checks of `ml/quality.py` on the pixels, with the same limits and the same words.

   The learned part of the site's gate (chest, skull, spine, cross sections, unlike any radiograph learned) is
   not here: the page says that a preview is not checked for those. */

import { cut, roundEven, shrink } from "./live-resize.js";
import { findContent, percentile, percentiles } from "./live-preprocessing.js";

const MIN_SIDE = 128;
const MIN_CONTRAST = 0.08;
const MIN_BRIGHT_LEVEL = 0.14;
const MAX_DARK_LEVEL = 0.82;
const MIN_SHARPNESS = 0.007;
const MAX_GRAIN = 0.7;
const MAX_FLAT_SHARE = 0.9;
const MAX_JUMP_SHARE = 0.02;
const ANALYSIS_SIDE = 512;
const CHROMA_STEP = 32;
const CHROMA_SHARE = 0.01;
const float = Math.fround;

/** Returns the codes of why a picture cannot be assessed; none when it can. */
export function assess(image, { refusesColor = false } = {}) {
  if (Math.min(image.width, image.height) < MIN_SIDE) return ["too_small"];
  const found = measure(image);
  if (found.contrast < MIN_CONTRAST) {
    return found.brightLevel > 0 && found.brightLevel < MIN_BRIGHT_LEVEL ? ["too_dark"] : ["blank"];
  }
  const checks = {
    not_a_radiograph:
      refusesColor || found.grain > MAX_GRAIN || found.flatShare > MAX_FLAT_SHARE || found.jumpShare > MAX_JUMP_SHARE,
    too_dark: found.brightLevel < MIN_BRIGHT_LEVEL,
    too_bright: found.darkLevel > MAX_DARK_LEVEL,
    blurred: found.sharpness < MIN_SHARPNESS,
  };
  return Object.keys(checks).filter((reason) => checks[reason]);
}

/** What the checks look at; see `Measurements` in `ml/quality.py`. */
export function measure(image) {
  const view = cut(image, findContent(image).content);
  const factor = Math.min(1, ANALYSIS_SIDE / Math.max(view.width, view.height));
  const size = (length) => Math.max(1, roundEven(length * factor));
  const small = factor < 1 ? shrink(view, size(view.width), size(view.height)) : view;
  const [dark, low, high] = percentiles(small.pixels, [5, 0.5, 99.5]).map((grey) => float(grey / 255));
  const span = float(Math.max(high - low, 1e-6));
  const normalOf = Float32Array.from({ length: 256 }, (_, grey) =>
    Math.min(1, Math.max(0, float(float(float(grey / 255) - low) / span))),
  );
  const normal = Float32Array.from(small.pixels, (grey) => normalOf[grey]);
  const soft = softened(normal, small.width, small.height);
  const fine = normal.map((value, at) => Math.abs(float(value - soft[at])));
  return {
    contrast: high - low,
    brightLevel: high,
    darkLevel: dark,
    sharpness: percentile(fine, 98),
    ...steps(normal, small.width, small.height),
  };
}

function steps(normal, width, height) {
  const count = Math.max(1, (width - 1) * height);
  let [sum, lit, flat, jumps, total, squares] = [0, 0, 0, 0, 0, 0];
  for (let at = 0; at < normal.length; at += 1) {
    const value = normal[at];
    total += value;
    squares += value * value;
    if (at % width === 0) continue;
    const step = Math.abs(float(value - normal[at - 1]));
    sum += step;
    if (step > 0.35) jumps += 1;
    if (value > 0.03 && value < 0.97) {
      lit += 1;
      if (step < 1e-6) flat += 1;
    }
  }
  const mean = total / normal.length;
  const spread = Math.sqrt(Math.max(0, squares / normal.length - mean * mean));
  return { grain: sum / count / Math.max(spread, 1e-6), flatShare: flat / Math.max(1, lit), jumpShare: jumps / count };
}

/** A Gaussian blur of one pixel, nine wide, mirrored at the edges. */
function softened(values, width, height) {
  const weights = Array.from({ length: 9 }, (_, index) => Math.exp(-((index - 4) ** 2) / 2));
  const sum = weights.reduce((all, weight) => all + weight, 0);
  const kernel = weights.map((weight) => float(weight / sum));
  const pass = (source, length, lines, step, lineStep) => {
    const target = new Float32Array(source.length);
    for (let line = 0; line < lines; line += 1) {
      for (let at = 0; at < length; at += 1) {
        let value = 0;
        for (let near = -4; near <= 4; near += 1) {
          const place = Math.abs(at + near);
          const inside = place >= length ? 2 * (length - 1) - place : place;
          value += kernel[near + 4] * source[line * lineStep + Math.max(0, inside) * step];
        }
        target[line * lineStep + at * step] = value;
      }
    }
    return target;
  };
  return pass(pass(values, width, height, 1, width), height, width, width, 1);
}

/** Tells a coloured picture from grey stored in three channels; `rgba` as a canvas gives it. */
export function hasRealColor(rgba, width, height) {
  const step = Math.max(1, Math.floor(Math.sqrt((width * height) / 250_000)));
  let [seen, coloured] = [0, 0];
  for (let y = 0; y < height; y += step) {
    for (let x = 0; x < width; x += step) {
      const at = 4 * (y * width + x);
      const [red, green, blue] = [rgba[at], rgba[at + 1], rgba[at + 2]];
      seen += 1;
      if (Math.max(red, green, blue) - Math.min(red, green, blue) > CHROMA_STEP) coloured += 1;
    }
  }
  return coloured / seen > CHROMA_SHARE;
}
