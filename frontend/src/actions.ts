/* Buttons and keys of the diagnostic viewer by name; the names are those of the template. */

import type { DiagnosticViewer } from "./viewer";
import { presetWindow, presetsFor } from "./windowing";

const STEP = 1.3;
const ARROW = 60; // stage pixels

const ACTIONS: Record<string, (viewer: DiagnosticViewer) => void> = {
  "zoom-in": ({ active }) => active.zoomBy(STEP),
  "zoom-out": ({ active }) => active.zoomBy(1 / STEP),
  fit: ({ active }) => active.fit(),
  reset: (viewer) => {
    viewer.active.reset();
    viewer.page.press("invert", false);
  },
  invert: (viewer) => {
    viewer.active.invert();
    viewer.page.press("invert", viewer.active.isInverted);
  },
  "turn-left": ({ active }) => active.turn(-90),
  "turn-right": ({ active }) => active.turn(90),
  "flip-horizontal": ({ active }) => active.flip("flipHorizontal"),
  "flip-vertical": ({ active }) => active.flip("flipVertical"),
  auto: ({ active }) => active.autoWindow(),
  "reset-light": ({ active }) => active.resetLight(),
  "preset-1": (viewer) => preset(viewer, 0),
  "preset-2": (viewer) => preset(viewer, 1),
  "preset-3": (viewer) => preset(viewer, 2),
  left: ({ active }) => active.panBy(ARROW, 0),
  right: ({ active }) => active.panBy(-ARROW, 0),
  up: (viewer) => (viewer.active.stack.length > 1 ? scroll(viewer, -1) : viewer.active.panBy(0, ARROW)),
  down: (viewer) => (viewer.active.stack.length > 1 ? scroll(viewer, 1) : viewer.active.panBy(0, -ARROW)),
  previous: (viewer) => scroll(viewer, -1),
  next: (viewer) => scroll(viewer, 1),
  cine: ({ cine, active }) => cine.toggle(active),
  slower: ({ cine }) => cine.change(-1),
  faster: ({ cine }) => cine.change(1),
  boxes: (viewer) => {
    const on = viewer.panes[0].overlay.hidden === true;
    for (const pane of viewer.panes) {
      pane.overlay.hidden = !on;
      pane.redraw();
    }
    viewer.page.press("boxes", on);
  },
  heatmap: (viewer) => {
    const on = !viewer.panes[0].heat.on;
    for (const pane of viewer.panes) void pane.showHeatmap(on);
    viewer.page.press("heatmap", on);
    viewer.page.part("opacity-label")?.toggleAttribute("hidden", !on);
  },
  ai: ({ plain }) => plain.findings.showAi(),
  drawings: (viewer) => viewer.showDrawings(),
  delete: (viewer) => viewer.removeChosen(),
  "side-by-side": (viewer) => void viewer.sideBySide(),
  grid: (viewer) => void viewer.grid(),
  "key-image": (viewer) => void viewer.keepImage(),
  full: ({ plain }) => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else plain.root.requestFullscreen?.().catch(() => undefined);
  },
};

function scroll(viewer: DiagnosticViewer, delta: number): void {
  viewer.cine.stop();
  viewer.active.scroll(delta);
}

function preset(viewer: DiagnosticViewer, index: number): void {
  const { active } = viewer;
  const chosen = presetsFor(active.item?.image.modality ?? "")[index];
  if (chosen) active.setWindow(presetWindow(chosen, active.firstWindow()));
}

const KEYS: Record<string, string> = {
  "+": "zoom-in",
  "=": "zoom-in",
  "-": "zoom-out",
  "0": "fit",
  "1": "auto",
  "2": "preset-1",
  "3": "preset-2",
  "4": "preset-3",
  "[": "previous",
  "]": "next",
  P: "cine",
  "{": "slower",
  "}": "faster",
  i: "invert",
  b: "boxes",
  h: "heatmap",
  o: "ai",
  O: "ai",
  w: "window",
  x: "move",
  z: "zoom",
  g: "magnify",
  l: "length",
  y: "angle",
  C: "cobb",
  E: "ellipse",
  R: "rectangle",
  D: "probe",
  q: "arrow",
  t: "text",
  K: "calibrate",
  M: "drawings",
  v: "side-by-side",
  V: "grid",
  s: "key-image",
  f: "full",
  ".": "turn-right",
  ",": "turn-left",
  "<": "flip-vertical",
  ">": "flip-horizontal",
  Delete: "delete",
  Backspace: "delete",
  Home: "reset",
};
const ON_STAGE: Record<string, string> = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", PageUp: "previous", PageDown: "next" };

export function keyAction(event: KeyboardEvent, viewer: DiagnosticViewer): string | null {
  const isOnStage = viewer.panes.some((pane) => pane.stage.contains(document.activeElement));
  if (isOnStage && ON_STAGE[event.key]) return ON_STAGE[event.key];
  if (event.key === "Escape" && viewer.page.root.contains(document.activeElement)) return "move";
  // A page's open question that is answered by digits goes first.
  if (/^[1-9]$/.test(event.key) && document.querySelector("form:not([hidden]) [data-digit]")) return null;
  return KEYS[event.key] ?? null;
}

export function act(viewer: DiagnosticViewer, action: string): void {
  ACTIONS[action]?.(viewer);
}
