/* What the reader draws is kept on the server, one row a drawing, without ever losing or doubling one.

   Every change is saved a moment later. Saves of one drawing follow each other; each names the revision that was
   read, so that two windows cannot overwrite each other unseen. */

import { eventTarget } from "@cornerstonejs/core";
import { Enums, annotation as state, type Types } from "@cornerstonejs/tools";

import type { StudyImage } from "./contract";
import type { Point } from "./geometry";
import { nameOf } from "./loader";
import { KINDS } from "./measures";
import type { Calibration } from "./spacing";

export interface Row {
  id: string;
  image: string;
  frame: number;
  kind: string;
  points: Point[];
  text: string;
  millimetres: number | null;
  revision: number;
}

type Drawing = Types.Annotation;
const TOOL_TO_KIND = Object.fromEntries(Object.entries(KINDS).map(([kind, tool]) => [tool, kind]));
const DELAY_MS = 500;

export interface Addresses {
  list(study: string): string;
  one(image: string, id: string): string;
}

export class Keeper extends EventTarget {
  private revisions = new Map<string, number>(); // of what the server has
  private contents = new Map<string, string>(); // the same, as text: drawing again is no change
  private timers = new Map<string, number>();
  private queues = new Map<string, Promise<void>>();
  private images = new Map<string, StudyImage>();
  private failed = new Set<string>();
  private filling = false;
  calibrations = new Map<string, Calibration>(); // by image

  constructor(
    private readonly addresses: Addresses,
    private readonly token: string,
    private readonly tell: (what: "changed" | "lost" | "refused") => void,
  ) {
    super();
    const { ANNOTATION_COMPLETED, ANNOTATION_MODIFIED, ANNOTATION_REMOVED } = Enums.Events;
    const on = (name: string, act: (drawing: Drawing) => void): void =>
      eventTarget.addEventListener(name, ((event: CustomEvent<{ annotation: Drawing }>) => act(event.detail.annotation)) as EventListener);
    on(ANNOTATION_COMPLETED, (drawing) => this.completed(drawing));
    on(ANNOTATION_MODIFIED, (drawing) => this.isReady(drawing) && this.later(drawing));
    on(ANNOTATION_REMOVED, (drawing) => !this.filling && this.remove(drawing));
    window.addEventListener("online", () => this.again());
    window.addEventListener("beforeunload", (event) => {
      if (this.isBusy) event.preventDefault();
    });
  }

  get isBusy(): boolean {
    return this.timers.size > 0 || this.queues.size > 0 || this.failed.size > 0;
  }

  /** Draws what the server has of a study; asked for once a study. */
  async load(study: string, images: StudyImage[]): Promise<void> {
    for (const image of images) this.images.set(image.id, image);
    const answer = await fetch(this.addresses.list(study), { credentials: "same-origin" }).catch(() => null);
    if (!answer?.ok || answer.redirected) return this.tell("lost");
    const { annotations } = (await answer.json()) as { annotations: Row[] };
    this.filling = true;
    for (const row of annotations) if (!this.revisions.has(row.id)) this.draw(row);
    this.filling = false;
    this.dispatchEvent(new Event("change"));
  }

  private draw(row: Row): void {
    const image = this.images.get(row.image);
    if (!image) return;
    this.revisions.set(row.id, row.revision);
    const { revision: _read, ...content } = row;
    this.contents.set(row.id, textOf(content));
    if (row.kind === "calibration") this.calibrate(row.image, row.points, row.millimetres);
    state.state.addAnnotation(
      {
        annotationUID: row.id,
        highlighted: false,
        invalidated: true,
        isLocked: false,
        isVisible: true,
        metadata: {
          toolName: KINDS[row.kind],
          referencedImageId: nameOf(image, row.frame),
          FrameOfReferenceUID: image.id,
          viewPlaneNormal: [0, 0, -1],
          viewUp: [0, -1, 0],
        },
        data: {
          handles: {
            points: (row.kind === "text" ? [row.points[0], row.points[0]] : row.points).map(([x, y]) => [x, y, 0]),
            activeHandleIndex: null,
            arrowFirst: true,
            textBox: { hasMoved: false, worldPosition: [0, 0, 0], worldBoundingBox: { topLeft: [0, 0, 0], topRight: [0, 0, 0], bottomLeft: [0, 0, 0], bottomRight: [0, 0, 0] } },
          },
          label: row.text,
          millimetres: row.millimetres ?? undefined,
          cachedStats: {},
        },
      } as unknown as Drawing,
      image.id,
    );
  }

  private calibrate(image: string, points: Point[], millimetres: number | null): void {
    if (points.length === 2 && millimetres) this.calibrations.set(image, { points: [points[0], points[1]], millimetres });
  }

  /** The row of a drawing, null for what is none of ours or not finished. */
  rowOf(drawing: Drawing): Omit<Row, "revision"> | null {
    const kind = TOOL_TO_KIND[drawing.metadata?.toolName ?? ""];
    const [image, frame] = (drawing.metadata?.referencedImageId ?? "").replace(/^fs:/, "").split("/");
    if (!kind || !drawing.annotationUID || !this.images.has(image)) return null;
    const all = (drawing.data.handles?.points ?? []).map(([x, y]): Point => [Math.round(x * 100) / 100, Math.round(y * 100) / 100]);
    const millimetres = (drawing.data as { millimetres?: number }).millimetres ?? null;
    return {
      id: drawing.annotationUID,
      image,
      frame: Number(frame),
      kind,
      points: kind === "text" ? all.slice(0, 1) : all,
      text: String(drawing.data.label ?? ""),
      millimetres,
    };
  }

  private isReady(drawing: Drawing): boolean {
    return this.revisions.has(drawing.annotationUID ?? "") && !this.filling;
  }

  private completed(drawing: Drawing): void {
    if (this.filling) return;
    if (drawing.metadata?.toolName === KINDS.calibration) {
      this.dispatchEvent(new CustomEvent("calibration", { detail: drawing }));
      return;
    }
    this.revisions.set(drawing.annotationUID ?? "", 0);
    this.later(drawing);
  }

  /** The reader said how long the object is; the former calibration of the image goes. */
  calibrated(drawing: Drawing, millimetres: number): void {
    const row = this.rowOf(drawing);
    if (!row) return;
    this.filling = true;
    for (const other of state.state.getAllAnnotations()) {
      const isFormer = other !== drawing && other.metadata?.toolName === KINDS.calibration && this.rowOf(other)?.image === row.image;
      if (isFormer && other.annotationUID) {
        this.revisions.delete(other.annotationUID);
        state.state.removeAnnotation(other.annotationUID);
      }
    }
    this.filling = false;
    (drawing.data as { millimetres?: number }).millimetres = millimetres;
    this.calibrate(row.image, row.points, millimetres);
    this.revisions.set(row.id, 0);
    this.later(drawing);
    this.dispatchEvent(new Event("change"));
  }

  private later(drawing: Drawing): void {
    const id = drawing.annotationUID ?? "";
    const row = this.rowOf(drawing);
    if (row?.kind === "calibration") {
      this.calibrate(row.image, row.points, row.millimetres);
      this.dispatchEvent(new Event("change"));
    }
    if (!row || this.contents.get(id) === textOf(row)) return;
    window.clearTimeout(this.timers.get(id));
    this.timers.set(
      id,
      window.setTimeout(() => {
        this.timers.delete(id);
        this.enqueue(id, () => this.save(drawing));
      }, DELAY_MS),
    );
  }

  private enqueue(id: string, act: () => Promise<void>): void {
    const next = (this.queues.get(id) ?? Promise.resolve()).then(act);
    this.queues.set(id, next);
    void next.finally(() => {
      if (this.queues.get(id) === next) this.queues.delete(id);
      this.dispatchEvent(new Event("saved"));
    });
  }

  private async save(drawing: Drawing): Promise<void> {
    const row = this.rowOf(drawing);
    if (!row || !this.revisions.has(row.id)) return; // removed meanwhile
    const revision = this.revisions.get(row.id) ?? 0;
    const answer = await this.send("PUT", this.addresses.one(row.image, row.id), JSON.stringify({ ...row, revision }));
    if (!answer) return this.lost(row.id);
    this.failed.delete(row.id);
    if (answer.ok) {
      this.revisions.set(row.id, ((await answer.json()) as Row).revision);
      this.contents.set(row.id, textOf(row));
    } else this.tell(answer.status === 412 ? "changed" : "refused");
  }

  private remove(drawing: Drawing): void {
    const id = drawing.annotationUID ?? "";
    const row = this.rowOf(drawing);
    window.clearTimeout(this.timers.get(id));
    this.timers.delete(id);
    if (!row || !this.revisions.has(id)) return;
    if (row.kind === "calibration") {
      this.calibrations.delete(row.image);
      this.dispatchEvent(new Event("change"));
    }
    this.enqueue(id, async () => {
      const revision = this.revisions.get(id) ?? 0;
      this.revisions.delete(id);
      this.failed.delete(id);
      if (!revision) return; // the server never had it
      const answer = await this.send("DELETE", `${this.addresses.one(row.image, id)}?revision=${revision}`);
      if (!answer) this.tell("lost");
      else if (answer.status === 412) this.tell("changed");
    });
  }

  private lost(id: string): void {
    this.failed.add(id);
    this.tell("lost");
  }

  private again(): void {
    for (const id of this.failed) {
      const drawing = state.state.getAnnotation(id);
      if (drawing) this.later(drawing);
    }
  }

  private send(method: string, url: string, body?: string): Promise<Response | null> {
    const headers: Record<string, string> = { "X-CSRFToken": this.token };
    if (body) headers["Content-Type"] = "application/json";
    return fetch(url, { method, body, headers, credentials: "same-origin", keepalive: true })
      .then((answer) => (answer.redirected ? null : answer)) // signed out: the sign-in page is no answer
      .catch(() => null);
  }
}

function textOf(row: Omit<Row, "revision">): string {
  return JSON.stringify([row.image, row.frame, row.kind, row.points, row.text, row.millimetres]);
}
