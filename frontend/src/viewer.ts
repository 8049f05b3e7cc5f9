/* The diagnostic viewer: one or two pictures beside each other, tools, keys, and what is kept of them. */

import { RenderingEngine, getRenderingEngine } from "@cornerstonejs/core";
import { Enums as ToolEnums, annotation, utilities } from "@cornerstonejs/tools";

import { act, keyAction } from "./actions";
import { Cine } from "./cine";
import type { PlainViewer, StudyImage, StudyImages } from "./contract";
import { type Hung, beside, gridOf, likest } from "./hanging";
import { Keeper } from "./keeping";
import { linkedView, linkedWindow } from "./linking";
import { nameOf, rasterOf } from "./loader";
import { TOOLS, type ToolName, activate, isTool, makeTools } from "./measures";
import type { Ground } from "./measures-text";
import { Page } from "./page";
import { Pane } from "./pane";
import { snapshot } from "./snapshot";
import { type Scale, scaleOf } from "./spacing";

const ENGINE = "fs-viewer";
const REMEMBERED = "fs-viewer-tool";

export class DiagnosticViewer {
  readonly page: Page;
  readonly panes: Pane[] = [];
  active: Pane;
  tool: ToolName;
  links = { view: true, light: false };
  readonly cine = new Cine(() => this.cineTold());
  private prior: StudyImages | null = null;
  private readonly keeper: Keeper;
  private readonly group: ReturnType<typeof makeTools>;
  private studies = new Map<string, StudyImages>();
  private following = false;
  private drawingsShown = true;

  constructor(readonly plain: PlainViewer) {
    this.page = new Page(plain.root);
    const { views } = this.page.config;
    this.studies.set(views.study, views);
    const engine = new RenderingEngine(ENGINE);
    const [calibrated, calibration, mean, deviation] = ["calibrated", "calibration", "mean", "deviation"].map((name) => this.page.word(name));
    this.group = makeTools((target) => this.groundOf(target), { calibrated, calibration, mean, deviation }, this.page.locale, (kind, done, text) => {
      void this.page.ask(kind, text).then((answer) => done(answer ?? (text === undefined ? "" : text)));
    });
    this.keeper = new Keeper(this.page.addresses, this.page.token, (what) => plain.kit.notify(this.page.word(what), "error"));
    this.keeper.addEventListener("calibration", ((event: CustomEvent) => void this.calibrate(event.detail)) as EventListener);
    this.keeper.addEventListener("change", () => this.redrawDrawings());
    this.active = this.addPane(engine, plain.stage, plain.overlay, plain.heatmap);
    this.tool = this.rememberedTool();
    plain.findings.addEventListener("change", () => this.page.press("ai", plain.findings.aiVisible && !plain.findings.aiHidden));
    plain.root.addEventListener("viewer:revealed", ((event: CustomEvent<{ images: StudyImage[] }>) => this.revealed(event.detail.images)) as EventListener);
  }

  async start(): Promise<void> {
    const { views } = this.page.config;
    const image = views.images.find((each) => each.id === this.plain.imageId) ?? views.images[0];
    await this.active.show(views.images, image, this.plain.frame);
    this.useTool(this.tool); // the wheel scrolls where there is a stack
    this.active.lookAs(this.plain);
    this.plain.root.classList.add("is-diagnostic");
    performance.mark("viewer:diagnostic");
    void this.active.showHeatmap(this.plain.heatmapOn);
    void this.keeper.load(views.study, views.images);
    this.plain.root.dispatchEvent(new CustomEvent("viewer:diagnostic", { bubbles: true }));
  }

  private rememberedTool(): ToolName {
    const known = localStorage.getItem(REMEMBERED) ?? "";
    if (known === "window" || known === "move") return known;
    return matchMedia("(pointer: coarse)").matches ? "move" : "window";
  }

  /* Panes --------------------------------------------------------------------------------------- */
  private addPane(engine: RenderingEngine, stage: HTMLElement, overlay: PlainViewer["overlay"], heatmap: PlainViewer["heatmap"]): Pane {
    const pane = new Pane(engine, `fs-pane-${this.panes.length}`, stage, overlay, heatmap, this.plain.findings, (each) => this.describe(each));
    this.panes.push(pane);
    this.group.addViewport(pane.id, ENGINE);
    stage.addEventListener("pointerdown", () => this.choose(pane), { capture: true });
    stage.addEventListener("focusin", () => this.choose(pane));
    pane.addEventListener("view", () => this.follow(pane, "view"));
    pane.addEventListener("window", () => this.follow(pane, "light"));
    pane.addEventListener("image", () => this.imageShown(pane));
    pane.addEventListener("depth", () => this.redrawDrawings()); // densities are told at full depth only
    this.listenForLongPress(pane);
    return pane;
  }

  choose(pane: Pane): void {
    if (this.active !== pane) this.cine.stop();
    this.active = pane;
    for (const each of this.panes) each.stage.classList.toggle("is-active", each === pane && this.panes.length > 1);
    this.page.press("invert", pane.isInverted);
    this.markChosenView();
  }

  get isCompared(): boolean {
    return this.panes.length > 1;
  }

  /** Shows further pictures beside the first one: none, one, or up to three in a grid. */
  async hang(others: Hung[]): Promise<void> {
    const engine = getRenderingEngine(ENGINE) as RenderingEngine;
    this.cine.stop();
    while (this.panes.length > others.length + 1) this.closePane();
    while (this.panes.length <= others.length) this.choose(this.openPane(engine));
    this.plain.root.classList.toggle("is-compared", this.isCompared);
    this.plain.root.classList.toggle("is-grid", this.panes.length > 2);
    this.page.press("side-by-side", this.panes.length === 2);
    this.page.press("grid", this.panes.length > 2);
    engine.resize(true, true);
    await Promise.all(others.map(({ study, image }, index) => this.showIn(this.panes[index + 1], study, image)));
    this.useTool(this.tool);
    for (const pane of this.panes) pane.fit();
  }

  private openPane(engine: RenderingEngine): Pane {
    const template = this.page.part("pane") as unknown as HTMLTemplateElement;
    const stage = (template.content.cloneNode(true) as DocumentFragment).querySelector("[data-viewer-stage]") as HTMLElement;
    this.page.part("panes")?.append(stage);
    const svg = stage.querySelector<SVGSVGElement>("[data-viewer-marks]") as SVGSVGElement;
    const heatmap = new this.plain.kit.Heatmap(stage.querySelector("[data-viewer-heatmap]") as HTMLCanvasElement);
    // The overlay is given its pane by the pane itself.
    const blank = { ...this.panes[0], stage, imageId: "", frame: 0, size: null } as unknown as Pane;
    return this.addPane(engine, stage, new this.plain.kit.Overlay(blank, svg, this.plain.findings), heatmap);
  }

  private closePane(): void {
    const last = this.panes.pop() as Pane;
    this.group.removeViewports(ENGINE, last.id);
    last.destroy();
    last.stage.remove();
    if (this.active === last) this.choose(this.panes[0]);
  }

  private async showIn(pane: Pane, study: StudyImages, image: StudyImage): Promise<void> {
    const isPrior = study.study !== this.page.config.views.study;
    pane.stage.dataset.prior = String(isPrior);
    const note = pane.stage.querySelector<HTMLElement>(".viewer-note");
    if (note) note.textContent = `${this.page.word("earlier")} \u00b7 ${this.page.day(study.date)}`;
    for (const each of study.images) if (!this.plain.findings.has(each.id)) this.plain.findings.set(each.id, each.marks.boxes);
    await pane.show(study.images, image);
    void this.keeper.load(study.study, study.images);
  }

  /** The study's other picture beside this one; again, and it goes. */
  sideBySide(): Promise<void> {
    return this.hang(this.panes.length === 2 ? [] : beside(this.page.config.views, this.panes[0].imageId));
  }

  /** All views of the study, and the chosen earlier study's like one, in two rows; again, and they go. */
  async grid(): Promise<void> {
    if (this.panes.length > 2) return this.hang([]);
    const others = gridOf(this.page.config.views, this.panes[0].imageId, this.prior);
    if (others.length) await this.hang(others);
  }

  /** A study of the patient, chosen by its address. */
  async compareWith(url: string): Promise<void> {
    if (!url) {
      this.prior = null;
      this.offerViews(null);
      return this.hang([]);
    }
    let study = this.studies.get(url);
    if (!study) {
      const answer = await fetch(url, { credentials: "same-origin" }).catch(() => null);
      if (!answer?.ok || answer.redirected) return this.plain.kit.notify(this.page.word("lost"), "error");
      study = (await answer.json()) as StudyImages;
      this.studies.set(url, study);
    }
    if (!study.images.length) return;
    this.prior = study;
    const image = likest(study, this.panes[0].item?.image) as StudyImage;
    this.offerViews(study, image);
    if (this.panes.length > 2) await this.hang(gridOf(this.page.config.views, this.panes[0].imageId, study));
    else await this.hang([{ study, image }]);
  }

  /** The earlier study's pictures, to choose from where there are several. */
  private offerViews(study: StudyImages | null, shown?: StudyImage): void {
    const list = this.page.part<HTMLSelectElement>("prior-view");
    list?.parentElement?.toggleAttribute("hidden", (study?.images.length ?? 0) < 2);
    list?.replaceChildren(...(study?.images ?? []).map((image, index) => new Option(`${index + 1} ${image.label}`.trim(), image.id, false, image === shown)));
  }

  private showPriorView(id: string): void {
    const image = this.prior?.images.find((each) => each.id === id);
    const pane = this.panes.find((each) => each.stage.dataset.prior === "true");
    if (this.prior && image && pane) void this.showIn(pane, this.prior, image).then(() => pane.fit());
  }

  async showView(imageId: string): Promise<void> {
    const { views } = this.page.config;
    const image = views.images.find((each) => each.id === imageId);
    if (!image) return;
    this.cine.stop();
    if (this.active === this.panes[0]) await this.active.show(views.images, image);
    else await this.showIn(this.active, views, image);
    this.useTool(this.tool);
  }

  private imageShown(pane: Pane): void {
    if (pane === this.active) this.markChosenView();
    if (pane === this.panes[0] && pane.imageId && pane.imageId !== this.plain.imageId) {
      this.plain.imageId = pane.imageId;
      this.plain.root.dataset.imageId = pane.imageId;
      document.dispatchEvent(new CustomEvent("fs:image-shown", { detail: { imageId: pane.imageId } }));
    }
  }

  private markChosenView(): void {
    for (const link of document.querySelectorAll<HTMLElement>("[data-viewer-view]")) {
      if (link.dataset.viewerView === this.active?.imageId) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  private follow(source: Pane, what: "view" | "light"): void {
    if (this.following || !this.isCompared || !this.links[what]) return;
    this.following = true;
    for (const other of this.panes) {
      if (other === source) continue;
      if (what === "view") other.setView(linkedView(source.view(), source.stageSize(), other.stageSize()));
      else other.setWindow(linkedWindow(source.window(), source.firstWindow(), other.firstWindow()));
    }
    this.following = false;
  }

  private revealed(images: StudyImage[]): void {
    for (const fresh of images) {
      const known = this.page.config.views.images.find((image) => image.id === fresh.id);
      if (known) Object.assign(known, { heatmap_url: fresh.heatmap_url, marks: fresh.marks });
    }
  }

  /* Drawing ------------------------------------------------------------------------------------- */
  private scaleFor(target: string): Scale {
    const id = /fs:([0-9a-f-]+)/.exec(target)?.[1] ?? "";
    const images = [...this.studies.values()].flatMap((study) => study.images);
    return scaleOf(images.find((image) => image.id === id)?.spacing ?? null, this.keeper.calibrations.get(id) ?? null);
  }

  private groundOf(target: string): Ground {
    const [, id = "", frame = "0"] = /fs:([0-9a-f-]+)\/(\d+)/.exec(target) ?? [];
    const image = [...this.studies.values()].flatMap((study) => study.images).find((each) => each.id === id);
    const raster = image ? rasterOf(nameOf(image, Number(frame))) : null;
    return { scale: this.scaleFor(target), raster, unit: image?.modality === "CT" ? "HU" : "" };
  }

  private cineTold(): void {
    this.page.press("cine", this.cine.isRunning);
    const speed = this.page.part<HTMLSelectElement>("speed");
    if (speed) speed.value = String(this.cine.speed);
  }

  scale(pane = this.active): Scale {
    return this.scaleFor(`fs:${pane.imageId}`);
  }

  useTool(name: ToolName): void {
    if (!this.page.config.may_draw && !["window", "move", "zoom", "magnify"].includes(name)) return;
    this.tool = name;
    if (name === "window" || name === "move") localStorage.setItem(REMEMBERED, name);
    activate(this.group, name, this.panes.some((pane) => pane.stack.length > 1));
    for (const button of this.page.root.querySelectorAll<HTMLElement>("[data-viewer-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.viewerTool === name));
    }
    this.page.root.dataset.tool = name;
  }

  private async calibrate(drawing: Parameters<Keeper["calibrated"]>[0]): Promise<void> {
    const answer = await this.page.ask("calibration");
    const millimetres = Number(answer);
    if (answer && millimetres >= 1 && millimetres <= 1000) this.keeper.calibrated(drawing, millimetres);
    else if (drawing.annotationUID) annotation.state.removeAnnotation(drawing.annotationUID);
    this.redrawDrawings();
  }

  redrawDrawings(): void {
    for (const drawing of annotation.state.getAllAnnotations()) drawing.invalidated = true;
    utilities.triggerAnnotationRenderForViewportIds(this.panes.map((pane) => pane.id));
    for (const pane of this.panes) this.describe(pane);
  }

  removeChosen(): void {
    for (const id of annotation.selection.getAnnotationsSelected()) annotation.state.removeAnnotation(id);
    this.redrawDrawings();
  }

  showDrawings(on = !this.drawingsShown): void {
    this.drawingsShown = on;
    for (const drawing of annotation.state.getAllAnnotations()) {
      if (drawing.annotationUID) annotation.visibility.setAnnotationVisibility(drawing.annotationUID, on);
    }
    this.page.press("drawings", on);
    this.redrawDrawings();
  }

  /** A finger that rests shows the magnifier until it is lifted. */
  private listenForLongPress(pane: Pane): void {
    const fingers = new Set<number>();
    pane.stage.addEventListener("pointerdown", (event) => event.pointerType === "touch" && fingers.add(event.pointerId), { capture: true });
    for (const name of ["pointerup", "pointercancel"] as const) document.addEventListener(name, (event) => fingers.delete(event.pointerId), { capture: true });
    pane.element.addEventListener(ToolEnums.Events.TOUCH_PRESS, ((event: CustomEvent) => {
      if (fingers.size !== 1) return; // two fingers that zoom slowly
      const magnifier = this.group.getToolInstance(TOOLS.magnify) as { preTouchStartCallback(event: unknown): void };
      magnifier.preTouchStartCallback({ ...event, type: ToolEnums.Events.TOUCH_START, detail: { ...event.detail, element: pane.element, currentPoints: event.detail.startPoints }, preventDefault() {} });
    }) as EventListener);
  }

  /* Keeping ------------------------------------------------------------------------------------- */
  async keepImage(): Promise<void> {
    const { kit } = this.plain;
    const body = new FormData();
    const item = this.panes[0].item;
    if (!item || !this.page.config.may_keep) return;
    try {
      body.append("file", await snapshot(this.panes.map((pane) => pane.stage)), "key-image.png");
      const answer = await fetch(this.page.addresses.keyImages(item.image.id), {
        method: "POST",
        body,
        headers: { "X-CSRFToken": this.page.token },
        credentials: "same-origin",
      });
      const kept = (await answer.json()) as { id: string; url: string; detail?: string };
      if (!answer.ok) return kit.notify(kept.detail ?? this.page.word("refused"), "error");
      kit.notify(this.page.word("kept"), "success");
      document.dispatchEvent(new CustomEvent("fs:key-image-kept", { detail: { ...kept, imageId: item.image.id } }));
    } catch {
      kit.notify(this.page.word("lost"), "error");
    }
  }

  /* Words --------------------------------------------------------------------------------------- */
  describe(pane: Pane): void {
    const note = pane.stage.querySelector<HTMLElement>("[data-viewer-info]");
    if (!note || !pane.item) return;
    const progress = Number(pane.stage.style.getPropertyValue("--viewer-progress") || 0);
    const depth = pane.isFull
      ? this.page.word("depthFull", { bits: pane.item.image.bits })
      : this.page.word(pane.stage.dataset.depth === "web" ? "depthWeb" : "depthLoading", { share: Math.round(progress * 100) });
    const scale = this.scale(pane);
    const unit = this.page.word({ patient: "unitPatient", calibrated: "unitCalibrated", detector: "unitDetector", unknown: "unitUnknown" }[scale.source]);
    const frames = pane.stack.length > 1 ? `${pane.index + 1} / ${pane.stack.length}` : "";
    const zoom = `${Math.round(pane.viewport.getZoom() * 100)} %`;
    const { flipHorizontal, flipVertical } = pane.viewport.getCamera();
    const mirrored = flipHorizontal !== flipVertical ? this.page.word("mirrored") : "";
    note.textContent = [frames, mirrored, pane.lightText(), zoom, depth, unit].filter(Boolean).join(" \u00b7 ");
    if (pane !== this.active) return;
    const label = this.page.part("scale");
    if (label) label.textContent = zoom;
    this.page.part("frames")?.toggleAttribute("hidden", pane.stack.length < 2);
    const slider = this.page.part<HTMLInputElement>("frame");
    if (slider && pane.stack.length > 1) Object.assign(slider, { max: String(pane.stack.length - 1), value: String(pane.index) });
    const number = this.page.part("frame-number");
    if (number && frames) number.textContent = frames;
  }

  /* Hands --------------------------------------------------------------------------------------- */
  act(action: string): void {
    if (isTool(action)) this.useTool(action);
    else act(this, action);
  }

  /** True when the key was used. */
  key(event: KeyboardEvent): boolean {
    if (this.panes.some((pane) => pane.overlay.key(event))) return true;
    if (event.key === "Escape") this.cine.stop();
    const action = keyAction(event, this);
    if (!action) return false;
    this.act(action);
    event.preventDefault();
    return true;
  }

  input(target: HTMLInputElement | HTMLSelectElement): void {
    if ("viewerFrame" in target.dataset) {
      this.cine.stop();
      void this.active.goTo(Number(target.value));
    } else if ("viewerSpeed" in target.dataset) this.cine.speed = Number(target.value);
    else if ("viewerOpacity" in target.dataset) for (const pane of this.panes) void pane.showHeatmap(undefined, Number(target.value) / 100);
    else if ("viewerPriorView" in target.dataset) this.showPriorView(target.value);
    else if ("viewerPrior" in target.dataset) void this.compareWith(target.value);
    else if ("viewerLink" in target.dataset) this.links[target.dataset.viewerLink as "view" | "light"] = (target as HTMLInputElement).checked;
  }

  centreOn(box: { x: number; y: number; width: number; height: number }, frame?: number): void {
    this.panes[0].centre(box, frame);
  }
}
