/* One job: from the network's outputs to what is shown, as `ml/detection.py`, `calibration.py` and `findings.py` do.

   Outputs are { name: { data: Float32Array, dims } } of one picture. Calibration and thresholds come from the
   model's manifest alone, so that a newly activated model brings its own. */

const MAX_CANDIDATES = 12;
const OVERLAP_LIMIT = 0.3;
const INSIDE_LIMIT = 0.7;
const LOWEST_LOGIT = -5;
const MAX_SHOWN = 6;
const MAX_LOGIT = 30;
const HOTTEST_CELLS = 16;

const sigmoid = (value) => 1 / (1 + Math.exp(-Math.min(500, Math.max(-500, value))));

function calibrated({ slope, intercept }, logit) {
  return sigmoid(Math.min(MAX_LOGIT, Math.max(-MAX_LOGIT, logit * slope + intercept)));
}

/** Returns { probability, verdict, findings }: boxes in pixels of the model's input, strongest first. */
export function judge(outputs, manifest) {
  const map = { values: outputs.map.data, rows: outputs.map.dims.at(-3), columns: outputs.map.dims.at(-2) };
  const evidence = outputs.image.data[0] + manifest.map_weight * mapEvidence(map.values);
  const probability = calibrated(manifest.calibration.image, evidence);
  const verdict = verdictOf(probability, manifest.thresholds);
  const found = candidates(map, outputs.boxes.data, manifest.input_size).map(({ box, logit }) => ({
    box,
    probability: calibrated(manifest.calibration.box, logit),
  }));
  return { probability, verdict, findings: shown(found, verdict, manifest.box_thresholds) };
}

function verdictOf(probability, { suspicion, definite }) {
  if (probability >= definite) return "definite";
  return probability >= suspicion ? "suspicion" : "negative";
}

/** A negative picture shows no place; another one always shows its strongest. */
function shown(found, verdict, { suspicion, definite }) {
  if (verdict === "negative") return [];
  const sure = found.filter((each) => each.probability >= suspicion);
  return (sure.length > 0 ? sure : found.slice(0, 1)).slice(0, MAX_SHOWN).map((each) => ({
    ...each,
    certainty: verdict === "definite" && each.probability >= definite ? "definite" : "suspicion",
  }));
}

/** The logit of the mean probability of the hottest cells. */
function mapEvidence(logits) {
  const hottest = Float32Array.from(logits).sort().subarray(-HOTTEST_CELLS);
  const mean = hottest.reduce((sum, logit) => sum + sigmoid(logit), 0) / hottest.length;
  const bounded = Math.min(Math.max(mean, 1e-6), 1 - 1e-6);
  return Math.log(bounded / (1 - bounded));
}

function candidates(map, reach, size) {
  const found = [];
  for (const at of peaks(map)) {
    const box = boxAt(map, reach, at, size);
    if (found.some((other) => isSamePlace(box, other.box))) continue;
    found.push({ box, logit: map.values[at] });
    if (found.length === MAX_CANDIDATES) break;
  }
  return found;
}

function around({ rows, columns }, at) {
  const column = at % columns;
  const row = (at - column) / columns;
  const cells = [];
  for (let y = Math.max(0, row - 1); y <= Math.min(rows - 1, row + 1); y += 1) {
    for (let x = Math.max(0, column - 1); x <= Math.min(columns - 1, column + 1); x += 1) cells.push({ x, y, at: y * columns + x });
  }
  return cells;
}

/** Cells that no neighbour exceeds, strongest first; ties in reading order. */
function peaks(map) {
  const { values } = map;
  const found = [];
  for (let at = 0; at < values.length; at += 1) {
    if (values[at] > LOWEST_LOGIT && around(map, at).every((near) => values[at] >= values[near.at])) found.push(at);
  }
  return found.sort((one, other) => values[other] - values[one]).slice(0, MAX_CANDIDATES * 8);
}

/** The boxes of the peak and its neighbours, each counting as it is sure. */
function boxAt(map, reach, at, size) {
  const stride = size / map.rows;
  const edges = [0, 0, 0, 0];
  let total = 0;
  for (const { x, y, at: cell } of around(map, at)) {
    const weight = sigmoid(map.values[cell]);
    const centre = [(x + 0.5) * stride, (y + 0.5) * stride];
    total += weight;
    for (let side = 0; side < 4; side += 1) {
      edges[side] += weight * (centre[side % 2] + (side < 2 ? -1 : 1) * reach[4 * cell + side]);
    }
  }
  const [left, top, right, bottom] = edges.map((sum) => sum / total);
  const x = Math.max(0, left);
  const y = Math.max(0, top);
  return { x, y, width: Math.max(0, Math.min(size, right) - x), height: Math.max(0, Math.min(size, bottom) - y) };
}

function isSamePlace(box, stronger) {
  const width = Math.min(box.x + box.width, stronger.x + stronger.width) - Math.max(box.x, stronger.x);
  const height = Math.min(box.y + box.height, stronger.y + stronger.height) - Math.max(box.y, stronger.y);
  const shared = Math.max(0, width) * Math.max(0, height);
  const [one, other] = [box.width * box.height, stronger.width * stronger.height];
  const union = one + other - shared;
  return shared > INSIDE_LIMIT * Math.min(one, other) || (union > 0 && shared / union > OVERLAP_LIMIT);
}

/** Averages the answer for a picture with the one for its mirror image. */
export function withMirror(straight, mirrored) {
  const average = (name) => {
    const { data, dims } = straight[name];
    const other = mirrored[name].data;
    if (name === "image") return { dims, data: data.map((value, at) => (value + other[at]) / 2) };
    const [columns, channels] = dims.slice(-2);
    const order = name === "boxes" ? [2, 1, 0, 3] : [0]; // left and right change places
    return {
      dims,
      data: data.map((value, at) => {
        const channel = at % channels;
        const cell = (at - channel) / channels;
        const column = cell % columns;
        const opposite = (cell - column + (columns - 1 - column)) * channels + order[channel];
        return Math.fround(Math.fround(value + other[opposite]) / 2);
      }),
    };
  };
  return Object.fromEntries(["image", "map", "boxes"].map((name) => [name, average(name)]));
}
