/* The one image loader: first the rendition (8 bits, web size), later full depth under the same name.

   World coordinates are pixels of the image, whatever the resolution of what is loaded: the rendition has larger
   pixels. Boxes, measurements and views therefore stay where they are when full depth arrives. */

import { Enums, cache, imageLoader, metaData, utilities, type Types } from "@cornerstonejs/core";

import type { StudyImage } from "./contract";
import { type Decoded, UnreadableError, decode, isReadable } from "./decode";
import type { Raster } from "./roi";
import { Histogram, type Values, type Window } from "./windowing";

const SCHEME = "fs";
type Progress = (share: number) => void;

interface Loaded {
  pixels: Values;
  columns: number;
  rows: number;
  isColour: boolean;
  isFull: boolean;
  decoded: Decoded | null;
}

const images = new Map<string, StudyImage>(); // by the image's id
const full = new Map<string, Promise<Decoded>>();
const shown = new Map<string, Loaded>(); // by Cornerstone's image id

export const nameOf = (image: StudyImage, frame: number): string => `${SCHEME}:${image.id}/${frame}`;

function parts(name: string): { image: StudyImage; frame: number } | null {
  if (!name.startsWith(`${SCHEME}:`)) return null;
  const [id, frame] = name.slice(SCHEME.length + 1).split("/");
  const image = images.get(id);
  return image ? { image, frame: Number(frame) } : null;
}

export function know(image: StudyImage): void {
  images.set(image.id, image);
}

const fullImages = new WeakSet<object>();

/** Whether this very image, not only a newer one of the same name, has full depth. */
export const isFullImage = (image: object | undefined): boolean => image !== undefined && fullImages.has(image);

/** The values of one frame as they are now, for windows and histograms. */
export function histogramOf(name: string): Histogram | null {
  const loaded = shown.get(name);
  return loaded && !loaded.isColour ? new Histogram(loaded.pixels, loaded.decoded?.grey.padding ?? null) : null;
}

/** The shown values of one frame at full depth, null while there is only the rendition, and for colours. */
export function rasterOf(name: string): Raster | null {
  const loaded = shown.get(name);
  if (!loaded?.isFull || loaded.isColour || !loaded.decoded) return null;
  const { slope, intercept } = loaded.decoded.grey;
  const { pixels, columns, rows } = loaded;
  return { columns, rows, at: (index) => pixels[index] * slope + intercept };
}

/** Slope, intercept and the window shown first, of what is loaded now. */
export function lightOf(name: string, isFull = true): { slope: number; intercept: number; first: Window; inverted: boolean; bits: number } {
  const decoded = isFull ? shown.get(name)?.decoded : null;
  if (!decoded || decoded.isColour) return { slope: 1, intercept: 0, first: { lower: 0, upper: 255 }, inverted: false, bits: 8 };
  const { slope, intercept, bitsStored } = decoded.grey;
  return { slope, intercept, first: decoded.first, inverted: decoded.inverted, bits: bitsStored };
}

/** Fetches full depth once, whatever the number of those who wait. */
export function loadFull(image: StudyImage, progress: Progress): Promise<Decoded> {
  const known = full.get(image.id);
  if (known) return known;
  const promise = isReadable(image.content_type)
    ? fetchBytes(image.full_url, progress).then((bytes) => decode(bytes, image.content_type))
    : Promise.reject(new UnreadableError(image.content_type));
  full.set(image.id, promise);
  // What cannot be read stays so; what did not arrive may be asked for again.
  promise.catch((error) => error instanceof UnreadableError || full.delete(image.id));
  return promise;
}

async function fetchBytes(url: string, progress: Progress): Promise<ArrayBuffer> {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok || !answer.body) throw new Error(`image ${answer.status}`);
  const total = Number(answer.headers.get("Content-Length") ?? 0);
  const reader = answer.body.getReader();
  const chunks: Uint8Array[] = [];
  let received = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    received += value.length;
    if (total) progress(Math.min(received / total, 1));
  }
  const bytes = new Uint8Array(received);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes.buffer;
}

/** The same name with full depth behind it; the caller shows it. */
export function atFullDepth(image: StudyImage, frame: number, decoded: Decoded): Types.IImage {
  const name = nameOf(image, frame);
  shown.set(name, {
    pixels: decoded.frames[Math.min(frame, decoded.frames.length - 1)],
    columns: decoded.columns,
    rows: decoded.rows,
    isColour: decoded.isColour,
    isFull: true,
    decoded,
  });
  if (cache.getImageLoadObject(name)) cache.removeImageLoadObject(name, { force: true });
  const made = imageOf(name);
  cache.putImageLoadObject(name, { promise: Promise.resolve(made) });
  return made;
}

async function loadRendition(image: StudyImage, frame: number): Promise<Loaded> {
  const url = frame === 0 ? image.rendition_url : image.frame_url.replace(/\{frame\}|%7Bframe%7D/i, String(frame));
  const picture = new Image();
  picture.decoding = "async";
  picture.crossOrigin = "anonymous";
  picture.src = url;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.naturalWidth, picture.naturalHeight);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("canvas");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint8Array(canvas.width * canvas.height);
  for (let at = 0; at < pixels.length; at += 1) pixels[at] = data[at * 4];
  return { pixels, columns: canvas.width, rows: canvas.height, isColour: false, isFull: false, decoded: null };
}

function load(name: string): { promise: Promise<Types.IImage> } {
  return { promise: makeImage(name) };
}

async function makeImage(name: string): Promise<Types.IImage> {
  const place = parts(name);
  if (!place) throw new Error("unknown image");
  const decoded = await full.get(place.image.id)?.catch(() => null);
  if (decoded && place.frame < decoded.frames.length) return atFullDepth(place.image, place.frame, decoded);
  shown.set(name, await loadRendition(place.image, place.frame));
  return imageOf(name);
}

function imageOf(name: string): Types.IImage {
  const place = parts(name);
  const loaded = shown.get(name);
  if (!place || !loaded) throw new Error("image is not loaded");
  const { pixels, columns, rows, isColour } = loaded;
  const { slope, intercept, first } = lightOf(name);
  const values = isColour || (slope === 1 && intercept === 0) ? pixels : scaled(pixels, slope, intercept);
  const { low, high } = isColour ? { low: 0, high: 255 } : extent(values);
  const plane = metaData.get("imagePlaneModule", name);
  const image: Types.IImage = {
    imageId: name,
    minPixelValue: low,
    maxPixelValue: high,
    slope: 1,
    intercept: 0,
    windowCenter: (first.lower + first.upper + 1) / 2,
    windowWidth: first.upper - first.lower + 1,
    voiLUTFunction: Enums.VOILUTFunctionType.LINEAR,
    getPixelData: () => values,
    getCanvas: () => document.createElement("canvas"),
    rows,
    columns,
    height: rows,
    width: columns,
    color: isColour,
    rgba: false,
    numberOfComponents: isColour ? 3 : 1,
    columnPixelSpacing: plane.columnPixelSpacing,
    rowPixelSpacing: plane.rowPixelSpacing,
    invert: false,
    sizeInBytes: values.byteLength,
    dataType: values.constructor.name as Types.PixelDataTypedArrayString,
    photometricInterpretation: isColour ? "RGB" : "MONOCHROME2",
    voxelManager: utilities.VoxelManager.createImageVoxelManager({ scalarData: values, width: columns, height: rows, numberOfComponents: isColour ? 3 : 1 }),
  };
  if (loaded.isFull) fullImages.add(image);
  return image;
}

/** Shown values at full depth; CT keeps whole Hounsfield units, everything else gets fractions. */
function scaled(pixels: Values, slope: number, intercept: number): Int16Array | Float32Array {
  const isWhole = Number.isInteger(slope) && Number.isInteger(intercept);
  if (isWhole) {
    const { low, high } = extent(pixels);
    const ends = [low * slope + intercept, high * slope + intercept];
    if (Math.min(...ends) >= -32768 && Math.max(...ends) <= 32767) {
      return Int16Array.from(pixels, (value) => value * slope + intercept);
    }
  }
  return Float32Array.from(pixels, (value) => value * slope + intercept);
}

function extent(values: ArrayLike<number>): { low: number; high: number } {
  let low = values[0];
  let high = values[0];
  for (let at = 1; at < values.length; at += 1) {
    if (values[at] < low) low = values[at];
    else if (values[at] > high) high = values[at];
  }
  return { low, high };
}

/** What Cornerstone asks of an image; spacing is in pixels of the image, so that nothing is told in millimetres here. */
function metadata(type: string, name: string): unknown {
  const place = typeof name === "string" ? parts(name) : null;
  if (!place) return undefined;
  const { image } = place;
  const loaded = shown.get(name);
  if (type === "imagePixelModule") {
    const isColour = loaded?.isColour ?? false;
    const bits = isColour || !loaded?.isFull ? 8 : 16;
    return {
      bitsAllocated: bits,
      bitsStored: bits,
      highBit: bits - 1,
      samplesPerPixel: isColour ? 3 : 1,
      photometricInterpretation: isColour ? "RGB" : "MONOCHROME2",
      pixelRepresentation: loaded && (loaded.pixels instanceof Int16Array || loaded.pixels instanceof Int8Array) ? 1 : 0,
    };
  }
  if (type === "generalSeriesModule") return { modality: image.modality || "DX", seriesInstanceUID: image.id };
  if (type === "imagePlaneModule") {
    const [columns, rows] = [loaded?.columns ?? image.width, loaded?.rows ?? image.height];
    const [column, row] = [image.width / columns, image.height / rows];
    return {
      frameOfReferenceUID: image.id,
      rows,
      columns,
      rowCosines: [1, 0, 0],
      columnCosines: [0, 1, 0],
      imageOrientationPatient: [1, 0, 0, 0, 1, 0],
      // The middle of the first pixel: with it, world (0, 0) is the corner of the image at any resolution.
      imagePositionPatient: [column / 2, row / 2, 0],
      rowPixelSpacing: row,
      columnPixelSpacing: column,
      pixelSpacing: [row, column],
      usingDefaultValues: false,
    };
  }
  return undefined;
}

export function registerLoader(): void {
  imageLoader.registerImageLoader(SCHEME, load as unknown as Types.ImageLoaderFn);
  metaData.addProvider(metadata, 10_000);
}
