/* Is this photograph of a film good enough? Plain measurements on grey values, the same as ml/film.py makes on the
   server, which has the last word. Codes: "photo_too_dark", "photo_tilted", "photo_blurred", "photo_glare".

   const grey = greyOf(canvas, { left, top, right, bottom });   // shares of the canvas; at most 800 pixels long
   problemsOf(grey);             // of the light: dark, blurred, glare; worst first
   tiltProblem(corners, width, height);   // "photo_tilted" or ""; corners are shares, clockwise from the left top */

import { shrink } from "./live-resize.js";

const SIDE = 800;
const LIMITS = { brightness: 0.22, sharpness: 0.08, glare: 0.02, glareLevel: 250, sideRatio: 0.72, skewDegrees: 22, step: 2 / 255 };

/** Grey values of a part of a canvas: { width, height, values: Float32Array of 0 to 1 }. */
export function greyOf(canvas, part = { left: 0, top: 0, right: 1, bottom: 1 }) {
  const x = Math.round(part.left * canvas.width);
  const y = Math.round(part.top * canvas.height);
  const w = Math.max(1, Math.round((part.right - part.left) * canvas.width));
  const h = Math.max(1, Math.round((part.bottom - part.top) * canvas.height));
  const cutOut = document.createElement("canvas");
  [cutOut.width, cutOut.height] = [w, h];
  const context = cutOut.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, x, y, w, h, 0, 0, w, h);
  const { data } = context.getImageData(0, 0, w, h);
  const pixels = new Uint8Array(w * h);
  for (let i = 0; i < pixels.length; i += 1) {
    pixels[i] = Math.round(0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2]);
  }
  // Not by drawImage: browsers shrink each in their own way, some of them into a blur.
  const factor = Math.min(1, SIDE / Math.max(w, h));
  const [width, height] = [w, h].map((length) => Math.max(1, Math.round(length * factor)));
  const small = shrink({ pixels, width: w, height: h }, width, height);
  return { width, height, values: Float32Array.from(small.pixels, (value) => value / 255) };
}

export function measure(grey) {
  return { brightness: percentile(grey.values, 0.99), sharpness: sharpness(grey), glare: glare(grey) };
}

export function problemsOf(grey) {
  const found = measure(grey);
  const problems = [];
  if (found.brightness < LIMITS.brightness) problems.push("photo_too_dark");
  if (found.sharpness < LIMITS.sharpness) problems.push("photo_blurred");
  if (found.glare > LIMITS.glare) problems.push("photo_glare");
  return problems;
}

export function tiltProblem(corners, width, height) {
  const points = corners.map(([x, y]) => [x * width, y * height]);
  const sides = points.map(([x, y], i) => {
    const [nx, ny] = points[(i + 1) % 4];
    return [nx - x, ny - y];
  });
  const long = sides.map(([x, y]) => Math.max(Math.hypot(x, y), 1e-6));
  const ratio = Math.min(...[[0, 2], [1, 3]].map(([a, b]) => Math.min(long[a], long[b]) / Math.max(long[a], long[b])));
  const skew = Math.max(
    ...sides.map(([x, y], i) => {
      const before = (i + 3) % 4;
      const cosine = -(sides[before][0] * x + sides[before][1] * y) / (long[before] * long[i]);
      return Math.abs(90 - (Math.acos(Math.max(-1, Math.min(1, cosine))) * 180) / Math.PI);
    }),
  );
  return ratio < LIMITS.sideRatio || skew > LIMITS.skewDegrees ? "photo_tilted" : "";
}

/* Strength of the finest detail as a share of the coarse detail's; what noise adds everywhere
   alike is taken off, and the steps of eight bits. */
function sharpness(grey) {
  const [fine, coarse] = [1, 4].map((sigma) => detail(grey, sigma));
  const finest = Math.max(0, percentile(fine, 0.999) - 3 * percentile(fine, 0.5) - LIMITS.step);
  return finest / Math.max(percentile(coarse, 0.999), 1e-3);
}

function detail({ width, height, values }, sigma) {
  const soft = blurred({ width, height, values }, sigma);
  const rim = Math.max(2, Math.round(0.03 * Math.min(width, height)));
  const found = new Float32Array(Math.max(0, width - 2 * rim) * Math.max(0, height - 2 * rim));
  let n = 0;
  for (let y = rim; y < height - rim; y += 1) {
    for (let x = rim, at = y * width + rim; x < width - rim; x += 1, at += 1) found[n++] = Math.abs(values[at] - soft[at]);
  }
  return found;
}

/* A Gaussian by three running means a direction: quick on phones, and its detail differs by less than a tenth. */
function blurred({ width, height, values }, sigma) {
  const narrow = 2 * Math.floor((Math.sqrt(4 * sigma * sigma + 1) - 1) / 2) + 1;
  const many = Math.round((12 * sigma * sigma - 3 * narrow * narrow - 12 * narrow - 9) / (-4 * narrow - 4));
  let now = values;
  for (let pass = 0; pass < 3; pass += 1) {
    const reach = ((pass < many ? narrow : narrow + 2) - 1) / 2;
    if (reach) now = running(running(now, width, height, 1, width, reach), height, width, width, 1, reach);
  }
  return now;
}

function running(source, length, lines, stride, lineStride, reach) {
  const target = new Float32Array(source.length);
  const share = 1 / (2 * reach + 1);
  for (let line = 0; line < lines; line += 1) {
    const start = line * lineStride;
    const at = (i) => source[start + Math.min(length - 1, Math.max(0, i)) * stride];
    let sum = 0;
    for (let i = -reach; i <= reach; i += 1) sum += at(i);
    for (let i = 0; i < length; i += 1) {
      target[start + i * stride] = sum * share;
      sum += at(i + reach + 1) - at(i - reach);
    }
  }
  return target;
}

/* Share of patches that are white without any detail; clear film at the rim is none. */
function glare({ width, height, values }) {
  const white = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i += 1) white[i] = values[i] * 255 >= LIMITS.glareLevel - 0.5 ? 1 : 0;
  let total = 0;
  for (let start = 0; start < white.length; start += 1) {
    if (white[start] !== 1) continue;
    const stack = [start];
    let area = 0;
    let atRim = false;
    white[start] = 2;
    while (stack.length) {
      const at = stack.pop();
      const x = at % width;
      const y = (at - x) / width;
      area += 1;
      atRim ||= x <= 1 || y <= 1 || x >= width - 2 || y >= height - 2;
      for (const next of [x > 0 ? at - 1 : -1, x < width - 1 ? at + 1 : -1, at - width, at + width]) {
        if (next >= 0 && next < white.length && white[next] === 1) {
          white[next] = 2;
          stack.push(next);
        }
      }
    }
    if (!atRim && area > 0.002 * white.length) total += area;
  }
  return total / white.length;
}

function percentile(values, share) {
  const bins = new Uint32Array(4096);
  for (const value of values) bins[Math.min(4095, Math.max(0, Math.round(value * 4095)))] += 1;
  let left = share * (values.length - 1);
  for (let bin = 0; bin < bins.length; bin += 1) {
    left -= bins[bin];
    if (left < 0) return bin / 4095;
  }
  return 1;
}
