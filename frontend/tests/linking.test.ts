import { expect, it } from "vitest";

import { linkedView, linkedWindow } from "../src/linking";
import { stackOf } from "../src/stack";
import type { StudyImage } from "../src/contract";

it("a linked picture moves by the same share of its own stage", () => {
  const view = linkedView({ zoom: 2.5, pan: [100, -50] }, { width: 800, height: 600 }, { width: 400, height: 300 });
  expect(view).toEqual({ zoom: 2.5, pan: [50, -25] });
});

it("a linked window is the same share of what each showed first", () => {
  const now = { lower: 500, upper: 1500 };
  expect(linkedWindow(now, { lower: 0, upper: 2000 }, { lower: 0, upper: 255 })).toEqual({ lower: 63.75, upper: 191.25 });
});

const image = (id: string, more: Partial<StudyImage> = {}): StudyImage =>
  ({ id, frames: 1, modality: "DX", series: "", ...more }) as StudyImage;

it("frames of one image and slices of one series are stacks, views of a radiograph are not", () => {
  const film = image("a", { frames: 3 });
  expect(stackOf([film, image("b")], film).map((item) => [item.image.id, item.frame])).toEqual([["a", 0], ["a", 1], ["a", 2]]);
  const slices = ["1", "2", "3"].map((id) => image(id, { modality: "CT", series: "s" }));
  const all = [...slices, image("scout", { modality: "CT", series: "t" })];
  expect(stackOf(all, slices[1]).map((item) => item.image.id)).toEqual(["1", "2", "3"]);
  const views = [image("ap", { series: "s" }), image("lat", { series: "s" })];
  expect(stackOf(views, views[0])).toHaveLength(1);
});
