/* One job: shrink and enlarge 8-bit grey pictures exactly as OpenCV does (`cv2.resize`), pixel for pixel.

   A model answers well only on pictures prepared like those it learned from, so rounding follows OpenCV's
   `resize.cpp` step by step; a test compares every pixel with Python. Rows lie behind each other, origin top left. */

const float = Math.fround;
const COEFFICIENT = 2048; // INTER_RESIZE_COEF_SCALE

/** Rounds halves to the even number, as Python's `round` and OpenCV's `cvRound` do. */
export function roundEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** Cuts a rectangle out. */
export function cut(image, { left, top, right, bottom }) {
  const width = right - left;
  const height = bottom - top;
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    const from = (top + y) * image.width + left;
    pixels.set(image.pixels.subarray(from, from + width), y * width);
  }
  return { pixels, width, height };
}

/** `INTER_AREA`: each new pixel is the mean of the area it covers; never larger than the source. */
export function shrink(image, width, height) {
  if (width === image.width && height === image.height) return { ...image, pixels: image.pixels.slice() };
  const scaleX = 1 / (width / image.width);
  const scaleY = 1 / (height / image.height);
  const isWhole = (scale) => Math.abs(scale - roundEven(scale)) < Number.EPSILON;
  if (isWhole(scaleX) && isWhole(scaleY)) return shrinkWhole(image, width, height, roundEven(scaleX), roundEven(scaleY));
  return shrinkPartly(image, width, height, shares(image.width, width, scaleX), shares(image.height, height, scaleY));
}

function shrinkWhole(image, width, height, factorX, factorY) {
  const pixels = new Uint8Array(width * height);
  const isQuarter = factorX === 2 && factorY === 2;
  const share = float(1 / (factorX * factorY));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let sum = 0;
      for (let row = y * factorY; row < (y + 1) * factorY; row += 1) {
        const from = row * image.width + x * factorX;
        for (let at = from; at < from + factorX; at += 1) sum += image.pixels[at];
      }
      pixels[y * width + x] = isQuarter ? (sum + 2) >> 2 : roundEven(float(sum * share));
    }
  }
  return { pixels, width, height };
}

/** Which source cells make up each target cell, and with what weight: [target, source, weight] in order. */
function shares(sourceLength, length, scale) {
  const target = [];
  const source = [];
  const weight = [];
  const add = (...values) => [target, source, weight].forEach((list, index) => list.push(values[index]));
  for (let index = 0; index < length; index += 1) {
    const start = index * scale;
    const end = start + scale;
    const cell = Math.min(scale, sourceLength - start);
    const last = Math.min(Math.floor(end), sourceLength - 1);
    const first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) add(index, first - 1, (first - start) / cell);
    for (let at = first; at < last; at += 1) add(index, at, 1 / cell);
    if (end - last > 1e-3) add(index, last, Math.min(Math.min(end - last, 1), cell) / cell);
  }
  return { target: Int32Array.from(target), source: Int32Array.from(source), weight: Float32Array.from(weight) };
}

function shrinkPartly(image, width, height, across, down) {
  const pixels = new Uint8Array(width * height);
  const line = new Float32Array(width);
  const sum = new Float32Array(width);
  let row = -1;
  const write = () => {
    for (let x = 0; x < width; x += 1) pixels[row * width + x] = Math.min(255, roundEven(sum[x]));
  };
  for (let entry = 0; entry < down.target.length; entry += 1) {
    const from = down.source[entry] * image.width;
    const share = down.weight[entry];
    line.fill(0);
    for (let at = 0; at < across.target.length; at += 1) {
      const x = across.target[at];
      line[x] += float(image.pixels[from + across.source[at]] * across.weight[at]);
    }
    if (down.target[entry] !== row) {
      if (row >= 0) write();
      row = down.target[entry];
      for (let x = 0; x < width; x += 1) sum[x] = share * line[x];
    } else {
      for (let x = 0; x < width; x += 1) sum[x] += float(share * line[x]);
    }
  }
  write();
  return { pixels, width, height };
}

/** `INTER_LINEAR` in OpenCV's fixed-point arithmetic; for pictures smaller than the model's input. */
export function enlarge(image, width, height) {
  if (width === image.width && height === image.height) return { ...image, pixels: image.pixels.slice() };
  const across = neighbours(image.width, width, true);
  const down = neighbours(image.height, height, false);
  const pixels = new Uint8Array(width * height);
  const line = (row) => {
    const values = new Int32Array(width);
    for (let x = 0; x < width; x += 1) {
      const left = image.pixels[row * image.width + across.first[x]];
      const right = image.pixels[row * image.width + across.second[x]];
      values[x] = left * across.one[x] + right * across.two[x];
    }
    return values;
  };
  const lines = new Map();
  const lineOf = (row) => lines.get(row) ?? lines.set(row, line(row)).get(row);
  for (let y = 0; y < height; y += 1) {
    const upper = lineOf(down.first[y]);
    const lower = lineOf(down.second[y]);
    for (let x = 0; x < width; x += 1) {
      const above = (down.one[y] * (upper[x] >> 4)) >> 16;
      const below = (down.two[y] * (lower[x] >> 4)) >> 16;
      pixels[y * width + x] = (above + below + 2) >> 2;
    }
  }
  return { pixels, width, height };
}

function neighbours(sourceLength, length, clampsShare) {
  const found = { first: [], second: [], one: [], two: [] };
  const scale = 1 / (length / sourceLength);
  for (let index = 0; index < length; index += 1) {
    const place = float((index + 0.5) * scale - 0.5);
    let at = Math.floor(place);
    let share = float(place - at);
    if (clampsShare && (at < 0 || at >= sourceLength - 1)) {
      share = 0;
      at = at < 0 ? 0 : sourceLength - 1;
    }
    const inside = (value) => Math.min(Math.max(value, 0), sourceLength - 1);
    found.first.push(inside(at));
    found.second.push(inside(at + 1));
    found.one.push(roundEven(float(float(1 - share) * COEFFICIENT)));
    found.two.push(roundEven(float(share * COEFFICIENT)));
  }
  return found;
}
