import { encode } from "fast-png";
import { expect, it } from "vitest";

import { UnreadableError, decode } from "../src/decode";

/** A Part 10 file as the server writes it: explicit little endian, only what is given. */
function dicom(elements: [number, number, string, Uint8Array][], syntax = "1.2.840.10008.1.2.1"): ArrayBuffer {
  const bytes: number[] = [...new Uint8Array(128), ...new TextEncoder().encode("DICM")];
  const put = (group: number, element: number, vr: string, value: Uint8Array): void => {
    const padded = value.length % 2 ? [...value, 0] : [...value];
    bytes.push(group & 255, group >> 8, element & 255, element >> 8, vr.charCodeAt(0), vr.charCodeAt(1));
    if (vr === "OW" || vr === "OB") bytes.push(0, 0, padded.length & 255, (padded.length >> 8) & 255, padded.length >> 16, 0);
    else bytes.push(padded.length & 255, padded.length >> 8);
    for (const byte of padded) bytes.push(byte);
  };
  put(2, 0x10, "UI", text(syntax));
  for (const element of elements) put(...element);
  return new Uint8Array(bytes).buffer;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const whole = (value: number): Uint8Array => Uint8Array.of(value & 255, value >> 8);
const words = (values: number[]): Uint8Array => new Uint8Array(Uint16Array.from(values, (value) => value & 0xffff).buffer);

const grey = (values: number[], more: [number, number, string, Uint8Array][] = [], photometric = "MONOCHROME2", frames = 1) =>
  [
    [0x28, 0x02, "US", whole(1)],
    [0x28, 0x04, "CS", text(photometric)],
    [0x28, 0x08, "IS", text(String(frames))],
    [0x28, 0x10, "US", whole(2)],
    [0x28, 0x11, "US", whole(values.length / 2 / frames)],
    [0x28, 0x100, "US", whole(16)],
    [0x28, 0x101, "US", whole(12)],
    ...more,
    [0x7fe0, 0x10, "OW", words(values)],
  ] as [number, number, string, Uint8Array][];

it("reads every stored value of a 12-bit image", () => {
  const image = decode(dicom(grey([0, 1, 2048, 4095])), "application/dicom");
  expect([image.columns, image.rows]).toEqual([2, 2]);
  expect([...image.frames[0]]).toEqual([0, 1, 2048, 4095]);
  expect(image.inverted).toBe(false);
});

it("reads frames, signed values, slope and intercept, and MONOCHROME1", () => {
  const more = [
    [0x28, 0x103, "US", whole(1)],
    [0x28, 0x1052, "DS", text("-1024")],
    [0x28, 0x1053, "DS", text("2")],
  ] as [number, number, string, Uint8Array][];
  const image = decode(dicom(grey([-5, 6, 7, 8, 9, 10, 11, 12], more, "MONOCHROME1", 2)), "application/dicom");
  expect(image.frames.map((frame) => [...frame])).toEqual([[-5, 6, 7, 8], [9, 10, 11, 12]]);
  expect(image.grey).toMatchObject({ slope: 2, intercept: -1024, signed: true });
  expect(image.inverted).toBe(true);
});

it("reads 16-bit PNG without losing a bit", () => {
  const png = encode({ width: 2, height: 2, data: Uint16Array.of(0, 257, 40001, 65535), channels: 1, depth: 16 });
  const image = decode(png.buffer.slice(png.byteOffset, png.byteOffset + png.byteLength) as ArrayBuffer, "image/png");
  expect([...image.frames[0]]).toEqual([0, 257, 40001, 65535]);
  expect(image.grey.bitsStored).toBe(16);
});

it.each([
  ["a compressed one", dicom(grey([0, 1, 2, 3]), "1.2.840.10008.1.2.4.90")],
  ["a cut one", dicom(grey([0, 1, 2, 3], [], "MONOCHROME2", 1).map((element) => (element[0] === 0x7fe0 ? [...element.slice(0, 3), words([1])] : element)) as never)],
  ["palette colours", dicom(grey([0, 1, 2, 3], [], "PALETTE COLOR"))],
])("refuses %s, so that the rendition stays", (_name, bytes) => {
  expect(() => decode(bytes, "application/dicom")).toThrow(UnreadableError);
});

it("refuses other kinds", () => {
  expect(() => decode(new ArrayBuffer(8), "image/tiff")).toThrow(UnreadableError);
});
