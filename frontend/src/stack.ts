/* What is scrolled through: the frames of one image, or the slices of its series. Pure. */

import type { StudyImage } from "./contract";

export interface StackItem {
  image: StudyImage;
  frame: number;
}

export function stackOf(images: StudyImage[], image: StudyImage): StackItem[] {
  const isSlice = image.frames === 1 && image.series !== "" && ["CT", "MR", "PT"].includes(image.modality);
  const members = isSlice ? images.filter((each) => each.series === image.series && each.frames === 1) : [image];
  return members.flatMap((member) => Array.from({ length: member.frames }, (_, frame) => ({ image: member, frame })));
}
