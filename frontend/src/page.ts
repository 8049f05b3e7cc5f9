/* The page's side: texts, addresses and small parts that the template brings. */

import type { StudyImages } from "./contract";

interface Config {
  views: StudyImages;
  addresses: { annotations: string; annotation: string; key_images: string };
  may_keep: boolean;
  may_draw: boolean;
}

const NIL = "00000000-0000-0000-0000-000000000000";
const ONE = "11111111-1111-1111-1111-111111111111";

export class Page {
  readonly config: Config;
  private readonly words: DOMStringMap;
  readonly locale = document.documentElement.lang || "en";

  constructor(readonly root: HTMLElement) {
    this.config = JSON.parse(document.getElementById(`${root.id}-config`)?.textContent ?? "{}") as Config;
    this.words = this.part("words")?.dataset ?? {};
  }

  part<T extends HTMLElement = HTMLElement>(name: string): T | null {
    return this.root.querySelector<T>(`[data-viewer-${name}]`);
  }

  word(name: string, values: Record<string, string | number> = {}): string {
    const text = this.words[name] ?? "";
    return Object.entries(values).reduce((now, [key, value]) => now.replace(`{${key}}`, String(value)), text);
  }

  /** "2024-03-05" as the reader's language writes it. */
  day(date: string): string {
    const moment = new Date(`${date}T00:00:00Z`);
    return Number.isNaN(moment.getTime()) ? date : new Intl.DateTimeFormat(this.locale, { dateStyle: "medium", timeZone: "UTC" }).format(moment);
  }

  get addresses() {
    const { annotations, annotation, key_images: keyImages } = this.config.addresses;
    return {
      list: (study: string): string => annotations.replace(NIL, study),
      one: (image: string, id: string): string => annotation.replace(NIL, image).replace(ONE, id),
      keyImages: (image: string): string => keyImages.replace(NIL, image),
    };
  }

  get token(): string {
    const headers = JSON.parse(document.body.getAttribute("hx-headers") ?? "{}") as Record<string, string>;
    return headers["X-CSRFToken"] ?? "";
  }

  press(action: string, on: boolean): void {
    this.root.querySelector(`[data-viewer-action="${action}"]`)?.setAttribute("aria-pressed", String(on));
  }

  /** Asks for a text or a number in the page's own dialog; null when the reader changed their mind. */
  ask(kind: "arrow" | "text" | "calibration", value = ""): Promise<string | null> {
    const dialog = this.part<HTMLDialogElement>("ask");
    if (!dialog) return Promise.resolve(null);
    const input = dialog.querySelector("input") as HTMLInputElement;
    const label = dialog.querySelector("[data-viewer-ask-label]") as HTMLElement;
    label.textContent = this.word(`ask${kind[0].toUpperCase()}${kind.slice(1)}`);
    const isNumber = kind === "calibration";
    input.type = isNumber ? "number" : "text";
    Object.assign(input, isNumber ? { min: "1", max: "1000", step: "any" } : { maxLength: 500 });
    input.required = kind !== "arrow";
    input.value = value;
    dialog.returnValue = "";
    dialog.showModal();
    input.focus();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? input.value.trim() : null), { once: true });
    });
  }
}
