/* One job: turn grey pixels into the model's input, as `ml/preprocessing.py` does, and places back into the picture.

   Name by name the same steps as there (crop to the limb, letterbox, percentile window) and the same rounding.
   A model made for another PREPROCESSING_VERSION is not run. Pictures are { pixels: Uint8Array, width, height }. */

import { cut, enlarge, roundEven, shrink } from "./live-resize.js";

export const PREPROCESSING_VERSION = "limb-crop-1";

const ANALYSIS_SIDE = 192;
const CROP_MARGIN = 0.04;
const MIN_CROP_FRACTION = 0.15;
const WINDOW_PERCENTILES = [0.5, 99.5];
const JPEG_FILL_GREY = 128;
const float = Math.fround;

/** Returns { pixels: Float32Array (size²), geometry, paddingFound }. */
export function prepare(image, size) {
  const { content, paddingFound } = findContent(image);
  const crop = findLimb(image, content);
  const geometry = letterbox(crop, image, size);
  const view = cut(image, crop);
  const width = fitted(view.width, geometry.scale, size);
  const height = fitted(view.height, geometry.scale, size);
  const inner = geometry.scale < 1 ? shrink(view, width, height) : enlarge(view, width, height);
  const [low, high] = windowLimits(inner.pixels);
  const shade = Float32Array.from({ length: 256 }, (_, grey) => {
    const stretched = float(float(float(grey - float(low)) * float(2 / (high - low))) - 1);
    return Math.min(1, Math.max(-1, stretched));
  });
  const pixels = new Float32Array(size * size).fill(-1);
  for (let y = 0; y < height; y += 1) {
    const to = (geometry.padY + y) * size + geometry.padX;
    for (let x = 0; x < width; x += 1) pixels[to + x] = shade[inner.pixels[y * width + x]];
  }
  return { pixels, geometry, paddingFound };
}

function letterbox(crop, image, size) {
  const width = crop.right - crop.left;
  const height = crop.bottom - crop.top;
  const scale = size / Math.max(width, height);
  return {
    crop,
    scale,
    padX: Math.floor((size - fitted(width, scale, size)) / 2),
    padY: Math.floor((size - fitted(height, scale, size)) / 2),
    imageWidth: image.width,
    imageHeight: image.height,
  };
}

/** Maps a box of the input to the picture, cut at its borders. */
export function boxToImage(geometry, box) {
  const { crop, scale, padX, padY, imageWidth, imageHeight } = geometry;
  const toX = (x) => Math.min(Math.max((x - padX) / scale + crop.left, 0), imageWidth);
  const toY = (y) => Math.min(Math.max((y - padY) / scale + crop.top, 0), imageHeight);
  const left = toX(box.x);
  const top = toY(box.y);
  return { x: left, y: top, width: toX(box.x + box.width) - left, height: toY(box.y + box.height) - top };
}

/** The q-th percentile with linear interpolation, as numpy's; sorts nothing it was given. */
export function percentile(values, q) {
  return percentiles(values, [q])[0];
}

export function percentiles(values, all) {
  const sorted = values instanceof Uint8Array ? null : Float32Array.from(values).sort();
  const at = sorted ? (rank) => sorted[rank] : rankOf(values);
  return all.map((q) => {
    const place = (q / 100) * (values.length - 1);
    const below = Math.floor(place);
    const [low, high] = [at(below), at(Math.min(below + 1, values.length - 1))];
    const share = place - below;
    return share >= 0.5 ? high - (high - low) * (1 - share) : low + (high - low) * share;
  });
}

/** Bytes are counted instead of sorted. */
function rankOf(bytes) {
  const counts = new Uint32Array(256);
  for (const value of bytes) counts[value] += 1;
  return (rank) => {
    let passed = 0;
    return counts.findIndex((count) => (passed += count) > rank);
  };
}

function windowLimits(values) {
  const [low, high] = percentiles(values, WINDOW_PERCENTILES);
  return [low, Math.max(high, low + 1)];
}

/** Leaves out the flat grey fill at the bottom of a cut-off JPEG. */
export function findContent({ pixels, width, height }) {
  const tail = Math.min(width, Math.max(4, Math.floor(width / 64)));
  let filled = 0;
  const isFill = (row) => {
    for (let x = width - tail; x < width; x += 1) {
      if (Math.abs(pixels[row * width + x] - JPEG_FILL_GREY) > 1) return false;
    }
    return true;
  };
  while (filled < height && isFill(height - 1 - filled)) filled += 1;
  const paddingFound = filled >= 4 && filled <= 0.8 * height;
  return { content: { left: 0, top: 0, right: width, bottom: paddingFound ? height - filled : height }, paddingFound };
}

/** The rectangle that holds what was X-rayed, found by texture; the whole content when nothing is found. */
export function findLimb(image, area) {
  const view = cut(image, area);
  const factor = Math.min(1, ANALYSIS_SIDE / Math.max(view.width, view.height));
  const width = Math.max(1, roundEven(view.width * factor));
  const height = Math.max(1, roundEven(view.height * factor));
  const small = shrink(view, width, height);
  if (Math.min(width, height) < 16) return area;
  const found = boundingBox(textureMask(small), width, height);
  if (found === null) return area;
  const margin = CROP_MARGIN * Math.max(found.right - found.left, found.bottom - found.top);
  const crop = {
    left: area.left + Math.max(0, Math.trunc((found.left - margin) / factor)),
    top: area.top + Math.max(0, Math.trunc((found.top - margin) / factor)),
    right: area.left + Math.min(view.width, roundEven((found.right + margin) / factor)),
    bottom: area.top + Math.min(view.height, roundEven((found.bottom + margin) / factor)),
  };
  const size = (crop.right - crop.left) * (crop.bottom - crop.top);
  return size < MIN_CROP_FRACTION * MIN_CROP_FRACTION * view.width * view.height ? area : crop;
}

const borderOf = (width, height) => Math.max(2, roundEven(0.035 * Math.max(height, width)));

/** Marks where the picture has structure; strips along the plate's edges are left out. */
function textureMask({ pixels, width, height }) {
  const [low, high] = windowLimits(pixels);
  const span = float(high - low);
  const lift = Float32Array.from({ length: 256 }, (_, grey) =>
    Math.sqrt(Math.min(1, Math.max(0, float(float(grey - float(low)) / span)))),
  );
  const normal = Float32Array.from(pixels, (grey) => lift[grey]);
  const mean = blur5(normal, width, height);
  const squares = blur5(normal.map((value) => float(value * value)), width, height);
  const border = borderOf(width, height);
  const deviation = new Float32Array(width * height);
  for (let y = border; y < height - border; y += 1) {
    for (let x = border; x < width - border; x += 1) {
      const at = y * width + x;
      deviation[at] = Math.sqrt(Math.max(0, float(squares[at] - float(mean[at] * mean[at]))));
    }
  }
  const threshold = float(Math.max(0.012, 0.3 * percentile(deviation, 92)));
  const mask = Uint8Array.from(deviation, (value) => (value > threshold ? 1 : 0));
  return closed(mask, width, height);
}

/** The mean of 5 x 5 pixels; the picture is mirrored at its edges without repeating the edge. */
function blur5(values, width, height) {
  const mirrored = (at, length) => {
    const inside = at < 0 ? -at : at >= length ? 2 * (length - 1) - at : at;
    return Math.min(Math.max(inside, 0), length - 1);
  };
  const rows = new Float64Array(width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let sum = 0;
      for (let step = -2; step <= 2; step += 1) sum += values[y * width + mirrored(x + step, width)];
      rows[y * width + x] = sum;
    }
  }
  const means = new Float32Array(width * height);
  for (let y = 0; y < height; y += 1) {
    const near = [-2, -1, 0, 1, 2].map((step) => mirrored(y + step, height) * width);
    for (let x = 0; x < width; x += 1) {
      means[y * width + x] = near.reduce((sum, from) => sum + rows[from + x], 0) * (1 / 25);
    }
  }
  return means;
}

/** Grown by 7 x 7 and shrunk again; outside the picture counts as neither. */
function closed(mask, width, height) {
  const pass = (values, wanted) => {
    const across = new Uint8Array(values.length).fill(1 - wanted);
    const both = new Uint8Array(values.length).fill(1 - wanted);
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        if (values[y * width + x] !== wanted) continue;
        across.fill(wanted, y * width + Math.max(0, x - 3), y * width + Math.min(width, x + 4));
      }
    }
    for (let y = 0; y < height; y += 1) {
      for (let near = Math.max(0, y - 3); near < Math.min(height, y + 4); near += 1) {
        for (let x = 0; x < width; x += 1) if (across[near * width + x] === wanted) both[y * width + x] = wanted;
      }
    }
    return both;
  };
  return pass(pass(mask, 1), 0);
}

/** The box around all parts of the mask that are large enough and no mere strip. */
function boundingBox(mask, width, height) {
  const border = borderOf(width, height);
  const parts = components(mask, width, height);
  const largest = parts.reduce((most, { size }) => Math.max(most, size), 0);
  const kept = parts.filter(({ left, top, right, bottom, size }) => {
    const nearEdge =
      left <= 2 * border || top <= 2 * border || right >= width - 2 * border || bottom >= height - 2 * border;
    const strip = nearEdge && Math.min((right - left) / width, (bottom - top) / height) < 0.08;
    return size >= Math.max(0.008 * mask.length, 0.06 * largest) && !strip;
  });
  if (kept.length === 0) return null;
  const left = Math.min(...kept.map((part) => part.left));
  const top = Math.min(...kept.map((part) => part.top));
  const right = Math.max(...kept.map((part) => part.right));
  const bottom = Math.max(...kept.map((part) => part.bottom));
  const reach = border + 2;
  return {
    left: left <= reach ? 0 : left,
    top: top <= reach ? 0 : top,
    right: right >= width - reach ? width : right,
    bottom: bottom >= height - reach ? height : bottom,
  };
}

/** The parts of a mask that hang together, corners included. */
function components(mask, width, height) {
  const seen = new Uint8Array(mask.length);
  const parts = [];
  for (let start = 0; start < mask.length; start += 1) {
    if (!mask[start] || seen[start]) continue;
    const part = { left: width, top: height, right: 0, bottom: 0, size: 0 };
    const waiting = [start];
    seen[start] = 1;
    while (waiting.length > 0) {
      const at = waiting.pop();
      const x = at % width;
      const y = (at - x) / width;
      part.size += 1;
      part.left = Math.min(part.left, x);
      part.right = Math.max(part.right, x + 1);
      part.top = Math.min(part.top, y);
      part.bottom = Math.max(part.bottom, y + 1);
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row += 1) {
        for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column += 1) {
          const next = row * width + column;
          if (mask[next] && !seen[next]) {
            seen[next] = 1;
            waiting.push(next);
          }
        }
      }
    }
    parts.push(part);
  }
  return parts;
}

function fitted(length, scale, size) {
  return Math.min(size, Math.max(1, roundEven(length * scale)));
}
