import { describe, expect, it } from "vitest";

import type { StudyImage, StudyImages } from "../src/contract";
import { beside, gridOf, likest } from "../src/hanging";

const study = (name: string, ...labels: string[]): StudyImages => ({
  study: name,
  date: "2026-01-01",
  images: labels.map((label, index) => ({ id: `${name}${index}`, label }) as StudyImage),
});
const ids = (hung: { image: StudyImage }[]): string[] => hung.map(({ image }) => image.id);

describe("hanging", () => {
  const now = study("now", "AP", "LL", "OBL", "AP", "LL");
  const old = study("old", "LL", "AP");

  it("shows the study's views in their order, four at most", () => {
    expect(ids(gridOf(now, "now0", null))).toEqual(["now1", "now2", "now3"]);
    expect(ids(gridOf(now, "now2", null))).toEqual(["now0", "now1", "now3"]);
    expect(ids(gridOf(study("one", "AP"), "one0", null))).toEqual([]);
  });

  it("keeps the last place for the prior's like view", () => {
    expect(ids(gridOf(now, "now0", old))).toEqual(["now1", "now2", "old1"]);
    expect(ids(gridOf(study("one", ""), "one0", old))).toEqual(["old0"]);
    expect(ids(gridOf(now, "now0", study("none")))).toEqual(["now1", "now2", "now3"]);
  });

  it("puts the other view beside the first one, or the same twice", () => {
    expect(ids(beside(now, "now0"))).toEqual(["now1"]);
    expect(ids(beside(study("one", "AP"), "one0"))).toEqual(["one0"]);
  });

  it("matches views by their names", () => {
    expect(likest(old, now.images[0])?.id).toBe("old1");
    expect(likest(old, { id: "x", label: "" } as StudyImage)?.id).toBe("old0");
    expect(likest(study("none"))).toBeUndefined();
  });
});
