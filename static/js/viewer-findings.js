/* What is known of the marked places, one list an image, and whether the AI's share of it is shown.

   Everything that draws listens here; the page's panel speaks through events on the document:
   - fs:findings-changed {imageId, findings}: the panel's list replaces ours
   - fs:ai-visibility {visible}: both ways     - fs:ai-revealed {}: the end of a first reading without the AI
   - fs:finding-selected {findingId, imageId}: both ways; the viewer selects and centres
   A finding: {id, source: "ai"|"doctor", state: "proposed"|"accepted"|"rejected"|"moved"|"added",
   box: {x, y, width, height} in pixels of the image, probability, certainty, label, frame}. */

export class Findings extends EventTarget {
  #lists = new Map(); // image id -> findings

  constructor({ aiHidden = false } = {}) {
    super();
    this.aiHidden = aiHidden; // a first reading: nothing of the AI until it is revealed
    this.aiVisible = true;
    this.selected = null;
    document.addEventListener("fs:findings-changed", ({ detail }) => this.set(detail.imageId, detail.findings));
    document.addEventListener("fs:ai-visibility", ({ detail }) => this.showAi(detail.visible, { tell: false }));
    document.addEventListener("fs:ai-revealed", () => this.reveal());
    document.addEventListener("fs:finding-selected", ({ detail }) => {
      if (!this.#telling) this.select(detail.findingId, detail.imageId, { tell: false });
    });
  }

  #telling = false;
  #tell(name, detail) {
    this.#telling = true;
    document.dispatchEvent(new CustomEvent(name, { detail }));
    this.#telling = false;
  }

  #changed(name = "change", detail = undefined) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  set(imageId, findings) {
    this.#lists.set(String(imageId), findings.map(normalised));
    this.#changed();
  }

  /** What may be drawn on one image; numbers are those of the panel's list. */
  of(imageId) {
    const all = this.#lists.get(String(imageId)) ?? [];
    return all
      .map((finding, index) => ({ ...finding, number: index + 1 }))
      .filter((finding) => finding.source !== "ai" || (this.aiVisible && !this.aiHidden));
  }

  has(imageId) {
    return this.#lists.has(String(imageId));
  }

  find(id) {
    for (const [imageId, list] of this.#lists) {
      const found = list.find((finding) => finding.id === String(id));
      if (found) return { imageId, ...found };
    }
    return null;
  }

  showAi(visible = !this.aiVisible, { tell = true } = {}) {
    if (this.aiHidden || visible === this.aiVisible) return;
    this.aiVisible = visible;
    if (tell) this.#tell("fs:ai-visibility", { visible });
    this.#changed();
  }

  reveal() {
    if (!this.aiHidden) return;
    this.aiHidden = false;
    this.#changed("reveal");
    this.#changed();
  }

  select(id, imageId, { tell = true } = {}) {
    this.selected = id == null ? null : String(id);
    if (tell) this.#tell("fs:finding-selected", { findingId: this.selected, imageId });
    this.#changed();
    if (this.selected) this.#changed("select", { findingId: this.selected, imageId: String(imageId), centre: !tell });
  }
}

/** Also takes the template's marks, whose box is a list and who are all the AI's. */
function normalised(finding, index) {
  const box = Array.isArray(finding.box)
    ? { x: finding.box[0], y: finding.box[1], width: finding.box[2], height: finding.box[3] }
    : finding.box;
  return { source: "ai", state: "proposed", frame: 0, ...finding, id: String(finding.id ?? index + 1), box };
}
