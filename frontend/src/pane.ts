/* One picture on the screen: a Cornerstone viewport, the AI's marks over it, and what is told about it. */

import { Enums, type RenderingEngine, type Types } from "@cornerstonejs/core";

import type { Box, Findings, Heatmap, Overlay, OverlayPane, PlainViewer, StudyImage } from "./contract";
import type { Size, View } from "./linking";
import { atFullDepth, histogramOf, isFullImage, know, lightOf, loadFull, nameOf } from "./loader";
import { type StackItem, stackOf } from "./stack";
import { type Window, autoWindow, centerOf } from "./windowing";

const ZOOM_LIMITS = [0.5, 60] as const;

export class Pane extends EventTarget implements OverlayPane {
  stack: StackItem[] = [];
  readonly element: HTMLDivElement;
  private inverted = false;
  private readonly gone = new AbortController();
  private readonly resized: ResizeObserver;
  private aside = 0; // counts changes of the picture: an old one that arrives late is not shown

  constructor(
    private readonly engine: RenderingEngine,
    readonly id: string,
    readonly stage: HTMLElement,
    readonly overlay: Overlay,
    readonly heatmap: Heatmap,
    private readonly findings: Findings,
    private readonly info: (pane: Pane) => void,
  ) {
    super();
    this.element = document.createElement("div");
    this.element.className = "viewer-gl";
    stage.querySelector("[data-viewer-heatmap]")?.before(this.element);
    engine.enableElement({ viewportId: id, type: Enums.ViewportType.STACK, element: this.element, defaultOptions: { background: [0, 0, 0] } });
    overlay.pane = this;
    for (const name of [Enums.Events.CAMERA_MODIFIED, Enums.Events.STACK_NEW_IMAGE, Enums.Events.IMAGE_RENDERED]) {
      this.element.addEventListener(name, () => this.redraw());
    }
    this.element.addEventListener(Enums.Events.CAMERA_MODIFIED, () => this.say("view"));
    this.element.addEventListener(Enums.Events.VOI_MODIFIED, () => this.say("window"));
    this.element.addEventListener(Enums.Events.STACK_NEW_IMAGE, () => this.newImage());
    this.element.addEventListener("contextmenu", (event) => event.preventDefault());
    // Browsers send moves of a finger in time only to who listened before it came down.
    stage.addEventListener("touchmove", (event) => event.preventDefault(), { passive: false });
    findings.addEventListener("change", () => void this.showHeatmap(), { signal: this.gone.signal });
    this.resized = new ResizeObserver(() => engine.resize(true, true));
    this.resized.observe(stage);
  }

  get viewport(): Types.IStackViewport {
    return this.engine.getViewport(this.id) as Types.IStackViewport;
  }

  get index(): number {
    return Math.max(0, this.viewport.getTargetImageIdIndex?.() ?? this.viewport.getCurrentImageIdIndex());
  }

  get item(): StackItem | undefined {
    return this.stack[this.index];
  }

  get imageId(): string {
    return this.item?.image.id ?? "";
  }

  get frame(): number {
    return this.item?.frame ?? 0;
  }

  get size(): { width: number; height: number } | null {
    const image = this.item?.image;
    return image ? { width: image.width, height: image.height } : null;
  }

  get name(): string {
    const item = this.item;
    return item ? nameOf(item.image, item.frame) : "";
  }

  get isFull(): boolean {
    return isFullImage(this.viewport.getCornerstoneImage());
  }

  toStage = ([x, y]: [number, number]): [number, number] => this.viewport.worldToCanvas([x, y, 0]) as [number, number];
  toImage = (point: [number, number]): [number, number] => {
    const [x, y] = this.viewport.canvasToWorld(point);
    return [x, y];
  };

  private say(name: string): void {
    this.info(this);
    this.dispatchEvent(new Event(name));
  }

  /* Pictures ------------------------------------------------------------------------------------ */
  /** Shows a stack; the rendition at once, full depth when it has come. */
  async show(images: StudyImage[], image: StudyImage, frame = 0): Promise<void> {
    images.forEach(know);
    this.stack = stackOf(images, image);
    const names = this.stack.map((item) => nameOf(item.image, item.frame));
    const at = this.stack.findIndex((item) => item.image.id === image.id && item.frame === frame);
    this.aside += 1;
    await this.viewport.setStack(names, Math.max(0, at));
    this.resetLight();
    this.viewport.render();
    this.newImage();
  }

  private newImage(): void {
    this.say("image");
    void this.showHeatmap();
    void this.deepen();
  }

  /** Replaces the rendition by full depth under the same view and, until the reader changed it, the same look. */
  private async deepen(): Promise<void> {
    const item = this.item;
    if (this.isFull) this.stage.dataset.depth = "full"; // loaded before, for another pane
    if (!item || this.isFull) return;
    const mine = this.aside;
    const name = this.name;
    let decoded;
    try {
      this.stage.dataset.depth = "loading";
      decoded = await loadFull(item.image, (share) => {
        this.stage.style.setProperty("--viewer-progress", String(share));
        this.info(this);
      });
    } catch {
      if (this.name === name) this.stage.dataset.depth = "web";
      this.info(this);
      return;
    }
    if (mine !== this.aside || this.name !== name || this.isFull) return;
    const before = this.window();
    const image = atFullDepth(item.image, item.frame, decoded);
    const { first } = lightOf(name); // of the image that has just been made
    const width = first.upper - first.lower;
    this.viewport.renderImageObject(image);
    // What the reader set on the 8 bits of the rendition is the same share of the real values.
    this.setWindow({ lower: first.lower + (before.lower / 255) * width, upper: first.lower + (before.upper / 255) * width });
    this.applyInvert();
    this.stage.dataset.depth = "full";
    performance.mark("viewer:full-depth");
    this.info(this);
    this.dispatchEvent(new Event("depth"));
  }

  scroll(delta: number): void {
    if (this.stack.length > 1) this.viewport.scroll(delta);
  }

  async goTo(frame: number): Promise<void> {
    const at = Math.min(Math.max(frame, 0), this.stack.length - 1);
    if (at !== this.index) await this.viewport.setImageIdIndex(at);
  }

  /* Light --------------------------------------------------------------------------------------- */
  window(): Window {
    const range = this.viewport.getProperties().voiRange;
    return range ? { lower: range.lower, upper: range.upper } : this.firstWindow();
  }

  firstWindow(): Window {
    return lightOf(this.name, this.isFull).first;
  }

  setWindow(window: Window): void {
    if (!(window.upper > window.lower)) return;
    this.viewport.setProperties({ voiRange: window });
    this.viewport.render();
    this.info(this);
  }

  /** Fits the window to the values of the part of the picture that is on the screen. */
  autoWindow(): void {
    const histogram = histogramOf(this.name);
    if (histogram) this.setWindow(autoWindow(histogram, lightOf(this.name)));
  }

  get isInverted(): boolean {
    return this.inverted;
  }

  invert(on = !this.inverted): void {
    this.inverted = on;
    this.applyInvert();
  }

  private applyInvert(): void {
    this.viewport.setProperties({ invert: this.inverted !== lightOf(this.name, this.isFull).inverted });
    this.viewport.render();
  }

  resetLight(): void {
    this.inverted = false;
    this.setWindow(this.firstWindow());
    this.applyInvert();
  }

  lightText(): string {
    const { center, width } = centerOf(this.window());
    return `W ${Math.round(width)} L ${Math.round(center)}`;
  }

  /* View ---------------------------------------------------------------------------------------- */
  view(): View {
    return { zoom: this.viewport.getZoom(), pan: [...this.viewport.getPan()] as [number, number] };
  }

  setView(view: View): void {
    this.viewport.setZoom(Math.min(Math.max(view.zoom, ZOOM_LIMITS[0]), ZOOM_LIMITS[1]));
    this.viewport.setPan(view.pan);
    this.viewport.render();
  }

  stageSize(): Size {
    return { width: this.stage.clientWidth, height: this.stage.clientHeight };
  }

  /** Takes over where the plain viewer was looking. */
  lookAs(plain: PlainViewer): void {
    if (plain.isFitted) return;
    const { scale, x, y } = plain.view;
    const { width, height } = this.stageSize();
    this.lookAt([(width / 2 - x) / scale, (height / 2 - y) / scale], scale);
  }

  private lookAt([x, y]: [number, number], scale: number): void {
    const camera = this.viewport.getCamera();
    const position = camera.position ?? [0, 0, -1];
    const depth = camera.focalPoint?.[2] ?? 0;
    this.viewport.setCamera({ focalPoint: [x, y, depth], position: [x, y, position[2]], parallelScale: this.stageSize().height / (2 * scale) });
    this.viewport.render();
  }

  centre(box: Box, frame = this.frame): void {
    void this.goToFrame(frame).then(() => {
      const { width, height } = this.stageSize();
      const around = Math.min(width / (box.width * 3), height / (box.height * 3));
      this.lookAt([box.x + box.width / 2, box.y + box.height / 2], Math.min(around, 2));
    });
  }

  private async goToFrame(frame: number): Promise<void> {
    const at = this.stack.findIndex((item) => item.image.id === this.imageId && item.frame === frame);
    if (at >= 0) await this.goTo(at);
  }

  zoomBy(factor: number): void {
    const { zoom, pan } = this.view();
    this.setView({ zoom: zoom * factor, pan: [pan[0] * factor, pan[1] * factor] });
  }

  panBy(dx: number, dy: number): void {
    const { zoom, pan } = this.view();
    this.setView({ zoom, pan: [pan[0] + dx, pan[1] + dy] });
  }

  fit(): void {
    this.viewport.resetCamera();
    this.viewport.render();
  }

  turn(degrees: number): void {
    const { rotation = 0 } = this.viewport.getViewPresentation();
    this.viewport.setViewPresentation({ rotation: (rotation + degrees + 360) % 360 });
    this.viewport.render();
  }

  flip(axis: "flipHorizontal" | "flipVertical"): void {
    this.viewport.setCamera({ [axis]: !this.viewport.getCamera()[axis] });
    this.viewport.render();
  }

  reset(): void {
    this.viewport.setCamera({ flipHorizontal: false, flipVertical: false });
    this.viewport.setViewPresentation({ rotation: 0 });
    this.fit();
    this.resetLight();
  }

  /* Over the picture ---------------------------------------------------------------------------- */
  redraw(): void {
    this.overlay.draw();
    if (this.heatmap.isOn && this.size) this.heatmap.place(this.toStage, this.size);
  }

  heat = { on: false, opacity: 0.55 };

  async showHeatmap(on = this.heat.on, opacity = this.heat.opacity): Promise<void> {
    this.heat = { on, opacity };
    const image = this.item?.image;
    const isShown = on && this.findings.aiVisible && !this.findings.aiHidden && this.frame === 0;
    await this.heatmap.show(isShown && image ? image.heatmap_url : "", opacity);
    this.redraw();
  }

  destroy(): void {
    this.aside += 1;
    this.gone.abort();
    this.resized.disconnect();
    this.overlay.destroy();
    this.engine.disableElement(this.id);
    this.element.remove();
  }
}
