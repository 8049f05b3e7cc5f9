/* The way in: static/js/viewer.js imports this when its first picture is on the screen. */

import { init as initCore } from "@cornerstonejs/core";
import { init as initTools } from "@cornerstonejs/tools";

import type { PlainViewer } from "./contract";
import { registerLoader } from "./loader";
import { DiagnosticViewer } from "./viewer";

/** Takes over from the plain viewer; an error leaves that one as it is. */
export async function mount(plain: PlainViewer): Promise<DiagnosticViewer> {
  initCore({ rendering: { webGlContextCount: 2 } } as Parameters<typeof initCore>[0]);
  initTools();
  registerLoader();
  const viewer = new DiagnosticViewer(plain);
  await viewer.start();
  return viewer;
}
