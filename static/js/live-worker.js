/* One job: the loaded model, off the page's thread. Speaks with first-look.js alone.

   In:  { id, load: { wasm: ArrayBuffer, model: ArrayBuffer, manifest } }
        { id, look: { blob } } or { id, look: { rgba: ArrayBuffer, width, height } }
   Out: { id, answer } or { id, code }: "unreadable", "too_large", "model_unusable".

   The worker's policy (see MODEL_WORKER_CSP in the security settings) allows WebAssembly, and requests to nobody. */

import { env, InferenceSession, Tensor } from "../vendor/onnxruntime/ort.wasm.bundle.min.mjs";
import { judge, withMirror } from "./live-detection.js";
import { boxToImage, prepare, PREPROCESSING_VERSION } from "./live-preprocessing.js";
import { assess, hasRealColor } from "./live-quality.js";

const MOST_PIXELS = 64_000_000; // as the server takes
const OUTPUTS = ["image", "map", "boxes"];

let session = null;
let manifest = null;

async function load({ wasm, model, manifest: given }) {
  if (given.preprocessing_version !== PREPROCESSING_VERSION) throw new Error("model_unusable");
  env.wasm.numThreads = 1; // more need a cross-origin isolated page
  env.wasm.proxy = false;
  env.wasm.wasmBinary = wasm;
  env.logLevel = "error";
  try {
    await session?.release();
    session = await InferenceSession.create(model, { executionProviders: ["wasm"] });
  } catch (error) {
    throw new Error("model_unusable", { cause: error });
  }
  manifest = given;
  await run(new Float32Array(manifest.input_size ** 2).fill(-1)); // the first run is the slowest
}

async function run(pixels) {
  const size = manifest.input_size;
  const input = new Tensor("float32", pixels, [1, size, size, 1]);
  return session.run({ [session.inputNames[0]]: input }, OUTPUTS);
}

async function look({ blob, rgba, width, height }) {
  const start = performance.now();
  const image = blob ? await decoded(blob) : grey(new Uint8ClampedArray(rgba), width, height);
  const reasons = assess(image, { refusesColor: image.hasColor && !manifest.gate });
  const size = { width: image.width, height: image.height };
  if (reasons.length > 0) return { ...size, verdict: "cannot_assess", probability: null, boxes: [], reasons, ms: performance.now() - start };
  const { pixels, geometry } = prepare(image, manifest.input_size);
  const straight = await run(pixels);
  const outputs = manifest.flip_average ? withMirror(straight, await run(mirrored(pixels))) : straight;
  const { probability, verdict, findings } = judge(outputs, manifest);
  const boxes = findings.map(({ box, ...rest }) => ({ ...boxToImage(geometry, box), ...rest }));
  return { ...size, verdict, probability, boxes, reasons, ms: performance.now() - start };
}

function mirrored(pixels) {
  const size = manifest.input_size;
  const other = new Float32Array(pixels.length);
  for (let at = 0; at < pixels.length; at += size) other.set(pixels.subarray(at, at + size).slice().reverse(), at);
  return other;
}

async function decoded(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "default" });
  } catch (error) {
    throw new Error("unreadable", { cause: error });
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw new Error("too_large");
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true, alpha: false });
  context.drawImage(bitmap, 0, 0); // what is transparent becomes black, as on the server
  bitmap.close();
  return grey(context.getImageData(0, 0, width, height).data, width, height);
}

/** Brightness as Pillow's "L" has it; equal channels stay exact. */
function grey(rgba, width, height) {
  const pixels = new Uint8Array(width * height);
  for (let at = 0; at < pixels.length; at += 1) {
    pixels[at] = (rgba[4 * at] * 19595 + rgba[4 * at + 1] * 38470 + rgba[4 * at + 2] * 7471 + 0x8000) >> 16;
  }
  return { pixels, width, height, hasColor: hasRealColor(rgba, width, height) };
}

addEventListener("message", async ({ data: { id, load: package_, look: picture } }) => {
  try {
    postMessage({ id, answer: (await (package_ ? load(package_) : look(picture))) ?? true });
  } catch (error) {
    postMessage({ id, code: error.message, text: String(error.cause ?? error.stack) });
  }
});
