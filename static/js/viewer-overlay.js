/* The marked places over one picture: drawing, choosing, and drawing or moving a box by hand.

   Works over any picture that can say where an image point is on the stage: the "pane"
   {stage, imageId, frame, size, toStage([x, y]), toImage([x, y]), centre(box)}.
   Events on the document: hears fs:edit-mode {mode: "add"|"move"|null, findingId, imageId};
   says fs:box-edited {findingId|null, imageId, box}; the page's panel saves.

   AI definite: solid box. AI suspicion: dashed box. A doctor's own: corner brackets in another colour.
   Rejected: faint and struck through. Accepted: a tick before its words. */

const SVG = "http://www.w3.org/2000/svg";
const SMALLEST = 8; // image pixels: a slip of the hand is no box
const HANDLES = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function make(name, attributes = {}) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** The box between two image points, inside of the image, in whole pixels. */
export function boxBetween([x1, y1], [x2, y2], size) {
  const left = Math.round(clamp(Math.min(x1, x2), 0, size.width));
  const top = Math.round(clamp(Math.min(y1, y2), 0, size.height));
  const right = Math.round(clamp(Math.max(x1, x2), 0, size.width));
  const bottom = Math.round(clamp(Math.max(y1, y2), 0, size.height));
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** The box with one handle dragged by (dx, dy), or all of it (handle null). */
export function boxDragged(box, handle, dx, dy, size) {
  if (handle === null) {
    return {
      ...box,
      x: Math.round(clamp(box.x + dx, 0, size.width - box.width)),
      y: Math.round(clamp(box.y + dy, 0, size.height - box.height)),
    };
  }
  const [hx, hy] = HANDLES[handle];
  const from = [box.x + (hx === 0 ? dx : 0), box.y + (hy === 0 ? dy : 0)];
  const to = [box.x + box.width + (hx === 1 ? dx : 0), box.y + box.height + (hy === 1 ? dy : 0)];
  const next = boxBetween(from, to, size);
  return { ...next, width: Math.max(next.width, 1), height: Math.max(next.height, 1) };
}

export class Overlay {
  #mode = null;
  #edited = null; // {id, box}: the box under the hand
  #drag = null;
  #tap = null;
  #gone = new AbortController();

  constructor(pane, svg, findings) {
    this.pane = pane;
    this.svg = svg;
    this.findings = findings;
    this.ground = make("rect", { class: "edit-ground", width: "100%", height: "100%" });
    const { signal } = this.#gone;
    findings.addEventListener("change", () => this.draw(), { signal });
    findings.addEventListener("select", ({ detail }) => this.#centre(detail), { signal });
    document.addEventListener("fs:edit-mode", ({ detail }) => this.edit(detail), { signal });
    // A box is chosen by a tap on its line or label. It never takes a hand that moves or zooms the picture.
    pane.stage.addEventListener("pointerdown", (event) => (this.#tap = this.#mode ? null : { x: event.clientX, y: event.clientY, at: event.timeStamp }), { capture: true });
    pane.stage.addEventListener("pointerup", (event) => this.#tapped(event), { capture: true });
    svg.addEventListener("pointerdown", (event) => this.#down(event));
    svg.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) svg.addEventListener(name, (event) => this.#up(event));
  }

  /** The picture goes: nothing is heard any more. */
  destroy() {
    this.#gone.abort();
  }

  get isEditing() {
    return this.#mode !== null;
  }

  /* Drawing ------------------------------------------------------------------------------------- */
  draw() {
    const { imageId, frame, size } = this.pane;
    if (!imageId || !size) return;
    const shown = this.hidden ? [] : this.findings.of(imageId).filter((finding) => finding.frame === (frame ?? 0));
    const groups = shown.map((finding) => this.#group(finding));
    this.svg.replaceChildren(...groups);
    for (const group of groups) this.#placeLabel(group);
    if (this.#mode) this.#drawEditing();
  }

  #corners(box) {
    const right = box.x + box.width;
    const bottom = box.y + box.height;
    return [[box.x, box.y], [right, box.y], [right, bottom], [box.x, bottom]].map((point) => this.pane.toStage(point));
  }

  #group(finding) {
    const box = this.#edited?.id === finding.id ? this.#edited.box : finding.box;
    const corners = this.#corners(box);
    const points = corners.map((corner) => corner.join(",")).join(" ");
    const isOwn = finding.source === "doctor" || finding.state === "moved" || finding.state === "added";
    const classes = [finding.certainty === "definite" ? "definite" : "suspicion", isOwn && "own", `is-${finding.state}`];
    if (finding.id === this.findings.selected) classes.push("is-focused");
    const group = make("g", { class: classes.filter(Boolean).join(" "), "data-id": finding.id });
    const outline = isOwn ? () => make("path", { d: brackets(corners) }) : () => make("polygon", { points });
    for (const name of ["shadow-line", "line"]) {
      const element = outline();
      element.setAttribute("class", name);
      group.append(element);
    }
    if (finding.state === "rejected") {
      const [[x1, y1], , [x2, y2]] = corners;
      group.append(make("line", { class: "line strike", x1, y1, x2, y2 }));
    }
    const words = make("text");
    const probability = finding.probability == null ? "" : Number(finding.probability).toFixed(2);
    const tick = finding.state === "accepted" ? "\u2713" : finding.state === "rejected" ? "\u2717" : "";
    words.textContent = [finding.number, tick, finding.label, probability].filter(Boolean).join("  ");
    group.append(make("rect", { class: "label-ground", rx: 3 }), words);
    group.corners = corners;
    return group;
  }

  /** Puts the label above its box, below where there is no room above, and never outside. */
  #placeLabel(group) {
    const words = group.querySelector("text");
    const ground = group.querySelector(".label-ground");
    const extent = words.getBBox();
    const width = extent.width + 10;
    const height = extent.height + 5;
    const { clientWidth, clientHeight } = this.pane.stage;
    const left = Math.min(...group.corners.map(([x]) => x));
    const top = Math.min(...group.corners.map(([, y]) => y));
    const below = Math.max(...group.corners.map(([, y]) => y)) + 4;
    const y = top - height - 4 >= 0 ? top - height - 4 : below + height <= clientHeight ? below : top + 4;
    const x = clamp(left, 0, Math.max(0, clientWidth - width));
    for (const [name, value] of Object.entries({ x, y, width, height })) ground.setAttribute(name, value);
    words.setAttribute("x", x + 5);
    words.setAttribute("y", y + height * 0.72);
  }

  #drawEditing() {
    this.svg.prepend(this.ground);
    if (!this.#edited) return;
    const corners = this.#corners(this.#edited.box);
    const points = corners.map((corner) => corner.join(",")).join(" ");
    if (this.#edited.id === null) this.svg.append(make("polygon", { class: "draft", points }));
    if (this.#mode !== "move") return;
    this.svg.append(make("polygon", { class: "body", points, "data-handle": "body" }));
    const { x, y, width, height } = this.#edited.box;
    HANDLES.forEach(([hx, hy], index) => {
      const [cx, cy] = this.pane.toStage([x + width * hx, y + height * hy]);
      this.svg.append(make("circle", { class: "handle-ground", cx, cy, r: 18, "data-handle": index }));
      this.svg.append(make("circle", { class: "handle", cx, cy, r: 6 }));
    });
  }

  #centre({ findingId, imageId, centre }) {
    const finding = this.findings.find(findingId);
    if (!finding || finding.imageId !== this.pane.imageId || imageId !== this.pane.imageId) return;
    this.hidden = false;
    if (centre) this.pane.centre(finding.box, finding.frame);
    this.draw();
  }

  /* Editing ------------------------------------------------------------------------------------- */
  edit({ mode, findingId = null, imageId }) {
    const isOurs = mode && String(imageId) === this.pane.imageId;
    this.#mode = isOurs ? mode : null;
    this.#edited = null;
    this.#drag = null;
    const finding = isOurs && mode === "move" ? this.findings.find(findingId) : null;
    if (mode === "move" && isOurs && !finding) this.#mode = null;
    if (finding) this.#edited = { id: finding.id, box: { ...finding.box } };
    this.svg.classList.toggle("is-editing", this.#mode !== null);
    this.pane.stage.classList.toggle("is-editing", this.#mode !== null);
    if (this.#mode) this.pane.stage.focus({ preventScroll: true });
    this.draw();
  }

  /** Keys while a box is drawn or moved; true when the key was used. */
  key(event) {
    if (!this.#mode) return false;
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key === "Escape") this.#end();
    else if (moves[event.key] && this.#edited) {
      this.#edited.box = boxDragged(this.#edited.box, null, ...moves[event.key], this.pane.size);
      this.draw();
    } else if (event.key === "Enter") this.#finish(this.#edited?.box ?? this.#middle());
    else return false;
    event.preventDefault();
    return true;
  }

  /** A box in the middle of what is seen, for hands on the keyboard. */
  #middle() {
    const { clientWidth, clientHeight } = this.pane.stage;
    const from = this.pane.toImage([clientWidth * 0.4, clientHeight * 0.4]);
    return boxBetween(from, this.pane.toImage([clientWidth * 0.6, clientHeight * 0.6]), this.pane.size);
  }

  #finish(box) {
    if (box.width < SMALLEST || box.height < SMALLEST) return;
    const detail = { findingId: this.#edited?.id ?? null, imageId: this.pane.imageId, box };
    document.dispatchEvent(new CustomEvent("fs:box-edited", { detail }));
    if (this.#mode === "add") this.#end();
  }

  #end() {
    const detail = { mode: null, findingId: null, imageId: this.pane.imageId };
    document.dispatchEvent(new CustomEvent("fs:edit-mode", { detail }));
  }

  #point(event) {
    const edge = this.svg.getBoundingClientRect();
    return this.pane.toImage([event.clientX - edge.left, event.clientY - edge.top]);
  }

  #tapped(event) {
    const tap = this.#tap;
    this.#tap = null;
    if (!tap || event.button > 0 || event.timeStamp - tap.at > 600) return;
    if (Math.hypot(event.clientX - tap.x, event.clientY - tap.y) > 6) return;
    const edge = this.svg.getBoundingClientRect();
    const point = [event.clientX - edge.left, event.clientY - edge.top];
    const near = event.pointerType === "mouse" ? 7 : 16;
    const group = [...this.svg.querySelectorAll("g")].find((each) => isOn(each, point, near));
    if (group) this.findings.select(group.dataset.id, this.pane.imageId);
  }

  #down(event) {
    if (event.button > 0) return;
    if (!this.#mode || (event.pointerType === "touch" && !event.isPrimary)) return;
    event.stopPropagation();
    event.preventDefault();
    this.svg.setPointerCapture(event.pointerId);
    const start = this.#point(event);
    if (this.#mode === "add") {
      this.#edited = { id: null, box: boxBetween(start, start, this.pane.size) };
      this.#drag = { start };
    } else if (event.target.dataset.handle !== undefined) {
      const handle = event.target.dataset.handle === "body" ? null : Number(event.target.dataset.handle);
      this.#drag = { start, handle, box: { ...this.#edited.box } };
    } else this.#end(); // beside the box: done
  }

  #move(event) {
    if (!this.#drag) return;
    event.stopPropagation();
    const { start, handle, box } = this.#drag;
    const now = this.#point(event);
    this.#edited.box = box
      ? boxDragged(box, handle, now[0] - start[0], now[1] - start[1], this.pane.size)
      : boxBetween(start, now, this.pane.size);
    this.draw();
  }

  #up(event) {
    if (!this.#drag) return;
    event.stopPropagation();
    this.#drag = null;
    const { box } = this.#edited;
    if (event.type === "pointerup") this.#finish(box);
    if (this.#mode === "add") this.#edited = null;
    this.draw();
  }
}

/** Whether a point of the stage is on a box's label or near its line. */
function isOn(group, [x, y], near) {
  const label = group.querySelector(".label-ground");
  const [left, top, width, height] = ["x", "y", "width", "height"].map((name) => Number(label.getAttribute(name)));
  if (x >= left && x <= left + width && y >= top && y <= top + height) return true;
  return group.corners.some(([x1, y1], index) => {
    const [x2, y2] = group.corners[(index + 1) % 4];
    const along = clamp(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / ((x2 - x1) ** 2 + (y2 - y1) ** 2 || 1), 0, 1);
    return Math.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)) <= near;
  });
}

/** Four corners, each with a third of its sides. */
function brackets(corners) {
  const towards = ([x1, y1], [x2, y2]) => [x1 + (x2 - x1) / 3.2, y1 + (y2 - y1) / 3.2];
  return corners
    .map((corner, index) => {
      const before = towards(corner, corners[(index + 3) % 4]);
      const after = towards(corner, corners[(index + 1) % 4]);
      return `M${before.join(" ")}L${corner.join(" ")}L${after.join(" ")}`;
    })
    .join("");
}
