/* The drawing tools; what is written beside a drawing follows our own rules (measures-text.ts). */

import {
  AngleTool,
  ArrowAnnotateTool,
  CobbAngleTool,
  EllipticalROITool,
  Enums,
  LabelTool,
  LengthTool,
  MagnifyTool,
  PanTool,
  ProbeTool,
  RectangleROITool,
  StackScrollTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
  addTool,
  annotation,
} from "@cornerstonejs/tools";

import { type Drawn, type Ground, type Words, textLines } from "./measures-text";

export class CalibrationTool extends LengthTool {
  static toolName = "Calibration";
}

/** Names of the page's buttons to Cornerstone's tools. */
export const TOOLS = {
  window: WindowLevelTool.toolName,
  move: PanTool.toolName,
  zoom: ZoomTool.toolName,
  magnify: MagnifyTool.toolName,
  length: LengthTool.toolName,
  angle: AngleTool.toolName,
  cobb: CobbAngleTool.toolName,
  ellipse: EllipticalROITool.toolName,
  rectangle: RectangleROITool.toolName,
  probe: ProbeTool.toolName,
  arrow: ArrowAnnotateTool.toolName,
  text: LabelTool.toolName,
  calibrate: CalibrationTool.toolName,
} as const;
export type ToolName = keyof typeof TOOLS;
export const isTool = (name: string): name is ToolName => name in TOOLS;

/** Kinds as the server knows them, and the tools that draw them. */
export const KINDS: Record<string, string> = {
  length: TOOLS.length,
  angle: TOOLS.angle,
  cobb: TOOLS.cobb,
  ellipse: TOOLS.ellipse,
  rectangle: TOOLS.rectangle,
  probe: TOOLS.probe,
  arrow: TOOLS.arrow,
  text: TOOLS.text,
  calibration: TOOLS.calibrate,
};

type GroundOf = (target: string) => Ground;
type Ask = (kind: "arrow" | "text", done: (text: string) => void, text?: string) => void;

const GROUP = "viewer";

export function makeTools(groundOf: GroundOf, words: Words, locale: string, ask: Ask) {
  const all = [WindowLevelTool, PanTool, ZoomTool, MagnifyTool, StackScrollTool, LengthTool, AngleTool, CobbAngleTool, EllipticalROITool, RectangleROITool, ProbeTool, ArrowAnnotateTool, LabelTool, CalibrationTool];
  for (const tool of all) addTool(tool);
  const group = ToolGroupManager.createToolGroup(GROUP);
  if (!group) throw new Error("tools exist already");
  const lines = (kind: string) => ({ getTextLines: (data: Drawn, target: string) => textLines(kind, data, groundOf(target), words, locale) });
  const asks = (kind: "arrow" | "text") => ({
    getTextCallback: (done: (text: string) => void) => ask(kind, done),
    changeTextCallback: (data: { label?: string }, _event: unknown, done: (text: string) => void) => ask(kind, done, data.label ?? ""),
  });
  group.addTool(TOOLS.window);
  group.addTool(TOOLS.move);
  group.addTool(TOOLS.zoom, { zoomToCenter: false, pinchToZoom: true, pan: true });
  group.addTool(TOOLS.magnify, { magnifySize: 3, magnifyWidth: 220, magnifyHeight: 220 });
  group.addTool(StackScrollTool.toolName);
  group.addTool(TOOLS.length, lines("length"));
  group.addTool(TOOLS.angle, lines("angle"));
  group.addTool(TOOLS.cobb, lines("cobb"));
  for (const kind of ["ellipse", "rectangle", "probe"] as const) group.addTool(TOOLS[kind], lines(kind));
  group.addTool(TOOLS.arrow, asks("arrow"));
  group.addTool(TOOLS.text, asks("text"));
  group.addTool(TOOLS.calibrate, lines("calibration"));
  annotation.config.style.setDefaultToolStyles({
    global: {
      ...annotation.config.style.getDefaultToolStyles()?.global,
      color: "rgb(126, 231, 135)",
      colorHighlighted: "rgb(255, 255, 255)",
      colorSelected: "rgb(255, 255, 255)",
      lineWidth: "1.75",
      textBoxFontFamily: "system-ui, sans-serif",
      textBoxFontSize: `${Math.round(parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.875)}px`,
      textBoxColor: "rgb(126, 231, 135)",
      textBoxColorHighlighted: "rgb(255, 255, 255)",
      textBoxColorSelected: "rgb(255, 255, 255)",
      textBoxBackground: "rgba(0, 0, 0, 0.72)",
    },
  });
  return group;
}

type Group = ReturnType<typeof makeTools>;

/** Left button and one finger do what was chosen; right button, wheel and two fingers always do the same. */
export function activate(group: Group, chosen: ToolName, hasStack: boolean): void {
  const { MouseBindings } = Enums;
  const fixed: Record<string, { mouseButton?: number; numTouchPoints?: number }[]> = {
    [TOOLS.window]: [{ mouseButton: MouseBindings.Secondary }],
    [TOOLS.move]: [{ mouseButton: MouseBindings.Auxiliary }],
    [TOOLS.zoom]: [{ numTouchPoints: 2 }, ...(hasStack ? [] : [{ mouseButton: MouseBindings.Wheel }])],
    [StackScrollTool.toolName]: hasStack ? [{ mouseButton: MouseBindings.Wheel }] : [],
  };
  for (const name of [...Object.values(TOOLS), StackScrollTool.toolName]) {
    const bindings = [...(fixed[name] ?? []), ...(name === TOOLS[chosen] ? [{ mouseButton: MouseBindings.Primary }] : [])];
    group.setToolPassive(name, { removeAllBindings: true });
    if (bindings.length) group.setToolActive(name, { bindings });
  }
}
