/* What the server and the plain viewer hand over. */

import type { KnownSpacing } from "./spacing";

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** One image as diagnosis/web/viewer.py tells it. */
export interface StudyImage {
  id: string;
  width: number;
  height: number;
  bits: number;
  modality: string;
  label: string;
  series: string;
  spacing: KnownSpacing | null;
  frames: number;
  content_type: string;
  rendition_url: string;
  frame_url: string;
  full_url: string;
  thumbnail_url: string;
  heatmap_url: string;
  marks: { width: number; height: number; boxes: unknown[] };
}

export interface StudyImages {
  study: string;
  date: string;
  images: StudyImage[];
}

/** A picture that can say where its points are; static/js/viewer-overlay.js draws over it. */
export interface OverlayPane {
  stage: HTMLElement;
  imageId: string;
  frame: number;
  size: { width: number; height: number } | null;
  toStage(point: [number, number]): [number, number];
  toImage(point: [number, number]): [number, number];
  centre(box: Box, frame?: number): void;
}

export interface Overlay {
  pane: OverlayPane;
  hidden?: boolean;
  readonly isEditing: boolean;
  draw(): void;
  destroy(): void;
  key(event: KeyboardEvent): boolean;
}

export interface Findings extends EventTarget {
  aiHidden: boolean;
  aiVisible: boolean;
  has(imageId: string): boolean;
  set(imageId: string, findings: unknown[]): void;
  of(imageId: string): unknown[];
  showAi(visible?: boolean): void;
}

export interface Heatmap {
  canvas: HTMLCanvasElement;
  readonly isOn: boolean;
  show(url: string, opacity: number): Promise<boolean>;
  place(toStage: (point: [number, number]) => [number, number], size: { width: number; height: number }): void;
}

/** static/js/viewer.js: what shows at once, and what stays without WebGL. */
export interface PlainViewer {
  root: HTMLElement;
  stage: HTMLElement;
  layer: HTMLElement;
  findings: Findings;
  overlay: Overlay;
  heatmap: Heatmap;
  imageId: string;
  frame: number;
  size: { width: number; height: number };
  view: { scale: number; x: number; y: number };
  isFitted: boolean;
  heatmapOn: boolean;
  suspended: boolean;
  kit: {
    Overlay: new (pane: OverlayPane, svg: SVGSVGElement, findings: Findings) => Overlay;
    Heatmap: new (canvas: HTMLCanvasElement) => Heatmap;
    notify: (message: string, level?: string) => void;
    isTyping: (event: Event) => boolean;
  };
}
