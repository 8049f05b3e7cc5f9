/* What one picture's view means in another one of another size. Pure. */

/** Zoom is relative to the fitted picture; pan is a share of the stage; both are comparable between pictures. */
export interface View {
  zoom: number;
  pan: [number, number];
}

export interface Size {
  width: number;
  height: number;
}

/** The same look at another stage: equal zoom, and the picture's middle moved by the same share. */
export function linkedView(view: View, from: Size, to: Size): View {
  const ratio = (a: number, b: number): number => (b > 0 ? a / b : 1);
  return {
    zoom: view.zoom,
    pan: [view.pan[0] * ratio(to.width, from.width), view.pan[1] * ratio(to.height, from.height)],
  };
}

interface Shown {
  lower: number;
  upper: number;
}

/** The window of one picture applied to another: the same share of what each showed first. */
export function linkedWindow(now: Shown, first: Shown, otherFirst: Shown): Shown {
  const width = first.upper - first.lower || 1;
  const other = otherFirst.upper - otherFirst.lower;
  const moved = (value: number): number => otherFirst.lower + ((value - first.lower) / width) * other;
  return { lower: moved(now.lower), upper: moved(now.upper) };
}
