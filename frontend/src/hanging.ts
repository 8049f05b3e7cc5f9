/* Which pictures stand beside each other. Pure. */

import type { StudyImage, StudyImages } from "./contract";

export interface Hung {
  study: StudyImages;
  image: StudyImage;
}

export const MOST = 4;

/** The picture of a study that is most like this one: the same view, else the first. */
export function likest(study: StudyImages, image?: StudyImage): StudyImage | undefined {
  return study.images.find((each) => each.label !== "" && each.label === image?.label) ?? study.images[0];
}

/** The study's other picture; the same one when there is no other. */
export function beside(views: StudyImages, first: string): Hung[] {
  const image = views.images.find((each) => each.id !== first) ?? views.images[0];
  return image ? [{ study: views, image }] : [];
}

/** Up to three beside the first one: the study's other views in their order, and last the prior's like view. */
export function gridOf(views: StudyImages, first: string, prior: StudyImages | null): Hung[] {
  const shown = views.images.find((each) => each.id === first);
  const old = prior ? likest(prior, shown) : undefined;
  const others = views.images.filter((each) => each.id !== first).slice(0, MOST - 1 - (old ? 1 : 0));
  return [...others.map((image) => ({ study: views, image })), ...(prior && old ? [{ study: prior, image: old }] : [])];
}
