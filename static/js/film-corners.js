/* Four corners over a picture, moved by touch, mouse or keyboard (arrows; with Shift in large steps).

   const corners = new Corners(box);        // .film-corners: an <img data-film-photo>, an <svg>, four <button data-corner>
   corners.set([[x, y], …]);  corners.values;   // shares of the picture, clockwise from the left top
   Event on the box: "film:corners" (detail = values) after each change by hand. */

const STEP = 0.002;
const LARGE = 10;

export class Corners {
  constructor(box) {
    this.box = box;
    this.handles = [...box.querySelectorAll("[data-corner]")];
    this.outline = box.querySelector("polygon");
    this.values = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]];
    this.handles.forEach((handle, index) => this.#listen(handle, index));
  }

  set(values) {
    this.values = values.map(([x, y]) => [within(x), within(y)]);
    this.#draw();
  }

  #listen(handle, index) {
    let grip = null;
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      const [x, y] = this.#place(event);
      grip = [this.values[index][0] - x, this.values[index][1] - y]; // the corner stays under the finger's side
      handle.focus();
      event.preventDefault();
    });
    handle.addEventListener("pointermove", (event) => {
      if (!grip) return;
      const [x, y] = this.#place(event);
      this.#move(index, x + grip[0], y + grip[1]);
    });
    for (const name of ["pointerup", "pointercancel"]) handle.addEventListener(name, () => (grip = null));
    handle.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
      if (!steps[event.key]) return;
      event.preventDefault();
      const [x, y] = this.values[index];
      const by = STEP * (event.shiftKey ? LARGE : 1);
      this.#move(index, x + steps[event.key][0] * by, y + steps[event.key][1] * by);
    });
  }

  #place(event) {
    const edge = this.box.getBoundingClientRect();
    return [(event.clientX - edge.left) / edge.width, (event.clientY - edge.top) / edge.height];
  }

  #move(index, x, y) {
    this.values[index] = [within(x), within(y)];
    this.#draw();
    this.box.dispatchEvent(new CustomEvent("film:corners", { detail: this.values }));
  }

  #draw() {
    // Physical sides on purpose: a picture is not mirrored in languages that are written from the right.
    this.values.forEach(([x, y], index) => {
      this.handles[index].style.left = `${x * 100}%`;
      this.handles[index].style.top = `${y * 100}%`;
    });
    this.outline.setAttribute("points", this.values.map(([x, y]) => `${x * 1000},${y * 1000}`).join(" "));
  }
}

const within = (value) => Math.min(1, Math.max(0, value));
