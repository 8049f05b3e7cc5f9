/* The bytes of a served copy to grey values at full depth.

   Served copies are made by the server: DICOM is always uncompressed Explicit VR Little Endian, PNG has no metadata.
   That is why no codec, no worker and no WebAssembly is needed here. What does not fit is an error, and the reader
   keeps the rendition. */

import dicomParser from "dicom-parser";
import { decode as decodePng } from "fast-png";

import { Histogram, firstWindow, type Grey, type Values, type Window } from "./windowing";

export class UnreadableError extends Error {}

/** All frames of one image. Grey values become shown values by `slope` and `intercept`. */
export interface Decoded {
  columns: number;
  rows: number;
  frames: Values[];
  isColour: boolean; // frames are then RGB, 8 bits
  grey: Grey;
  inverted: boolean; // MONOCHROME1
  first: Window;
}

const EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1";
const PLAIN = { slope: 1, intercept: 0, center: null, width: null, voiFunction: "LINEAR", padding: null };

export const isReadable = (contentType: string): boolean => contentType === "application/dicom" || contentType === "image/png";

export function decode(bytes: ArrayBuffer, contentType: string): Decoded {
  if (contentType === "application/dicom") return decodeDicom(bytes);
  if (contentType === "image/png") return decodePngImage(bytes);
  throw new UnreadableError(contentType);
}

function decodePngImage(bytes: ArrayBuffer): Decoded {
  const png = decodePng(new Uint8Array(bytes));
  if (png.channels !== 1 || (png.depth !== 8 && png.depth !== 16)) throw new UnreadableError("png");
  const pixels = png.data as Uint8Array | Uint16Array;
  const grey: Grey = { ...PLAIN, bitsStored: png.depth, signed: false };
  return finished({ columns: png.width, rows: png.height, frames: [pixels], isColour: false, grey, inverted: false });
}

function decodeDicom(bytes: ArrayBuffer): Decoded {
  const dataset = dicomParser.parseDicom(new Uint8Array(bytes));
  const text = (tag: string): string => dataset.string(tag)?.trim() ?? "";
  const whole = (tag: string, or: number): number => dataset.uint16(tag) ?? or;
  const decimal = (tag: string): number | null => {
    const value = dataset.floatString(tag);
    return value === undefined || !Number.isFinite(value) ? null : value;
  };
  if (text("x00020010") !== EXPLICIT_LITTLE_ENDIAN) throw new UnreadableError("transfer syntax");
  const rows = whole("x00280010", 0);
  const columns = whole("x00280011", 0);
  const photometric = text("x00280004");
  const isColour = whole("x00280002", 1) === 3;
  const signed = whole("x00280103", 0) === 1;
  const allocated = whole("x00280100", 0);
  const element = dataset.elements.x7fe00010;
  if (!element || (allocated !== 8 && allocated !== 16) || photometric === "PALETTE COLOR") throw new UnreadableError("pixels");
  const count = Math.max(1, dataset.intString("x00280008") ?? 1);
  const values = rows * columns * (isColour ? 3 : 1);
  const size = values * (allocated / 8);
  if (!values || element.length < size * count) throw new UnreadableError("length");
  const kind = allocated === 8 ? (signed ? Int8Array : Uint8Array) : signed ? Int16Array : Uint16Array;
  const frames = Array.from({ length: count }, (_, index): Values => {
    const from = element.dataOffset + index * size;
    // A typed array must start at a multiple of its size.
    const aligned = from % kind.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice(from, from + size);
    const pixels = new kind(aligned, aligned === bytes ? from : 0, values);
    return isColour && pixels instanceof Uint16Array ? Uint8Array.from(pixels, (value) => value >> 8) : pixels;
  });
  const stored = whole("x00280101", allocated);
  const pad = paddingOf(dataset, signed);
  let grey: Grey = {
    bitsStored: stored,
    signed,
    slope: decimal("x00281053") || 1,
    intercept: decimal("x00281052") ?? 0,
    center: decimal("x00281050"),
    width: decimal("x00281051"),
    voiFunction: (text("x00281056") || "LINEAR").toUpperCase(),
    padding: pad,
  };
  let shown = frames;
  const tables = isColour ? [] : ["x00283000", "x00283010"].map((tag) => tableOf(dataset, tag, signed)).filter((table) => table !== null);
  if (tables.length) {
    // A look-up table is no straight line: the values are mapped once, and the window is over what comes out.
    shown = frames.map((frame) => Uint16Array.from(frame, (value) => tables.reduce<number>((now, table) => table.at(now), value)));
    grey = { ...grey, ...PLAIN, bitsStored: tables[tables.length - 1].bits, signed: false };
  }
  return finished({ columns, rows, frames: shown, isColour, grey, inverted: photometric === "MONOCHROME1" });
}

function finished(image: Omit<Decoded, "first">): Decoded {
  if (image.isColour) return { ...image, first: { lower: 0, upper: 255 } };
  return { ...image, first: firstWindow(image.grey, new Histogram(image.frames[0], image.grey.padding)) };
}

function paddingOf(dataset: dicomParser.DataSet, signed: boolean): [number, number] | null {
  const read = (tag: string): number | undefined => (signed ? dataset.int16(tag) : dataset.uint16(tag));
  const value = read("x00280120");
  return value === undefined ? null : [value, read("x00280121") ?? value];
}

interface Table {
  bits: number;
  at(value: number): number;
}

function tableOf(dataset: dicomParser.DataSet, tag: string, signed: boolean): Table | null {
  const item = dataset.elements[tag]?.items?.[0]?.dataSet;
  const data = item?.elements.x00283006;
  if (!item || !data) return null;
  const count = item.uint16("x00283002", 0) || 65536;
  const first = (signed ? item.int16("x00283002", 1) : item.uint16("x00283002", 1)) ?? 0;
  const bits = item.uint16("x00283002", 2) ?? 16;
  const wide = data.length >= count * 2;
  const entry = (index: number): number => (wide ? item.uint16("x00283006", index) ?? 0 : item.byteArray[data.dataOffset + index]);
  const entries = Uint16Array.from({ length: count }, (_, index) => entry(index));
  return { bits, at: (value) => entries[Math.min(Math.max(value - first, 0), count - 1)] };
}
