/* Photographs a film: live camera with hints, checks, corners, and then the upload panel. Markup:
   templates/diagnosis/film.html. Steps (data-step on the root): "camera" → "corners" → "sent".

   Nothing leaves this device before "Use this photo", but for a small copy that the server looks for corners in. */

import { CameraError, cameras, openCamera } from "./camera.js";
import { Corners } from "./film-corners.js";
import { greyOf, problemsOf, tiltProblem } from "./film-quality.js";

const LOOK_EVERY = 700;
const COPY_SIDE = 1024;
const LONGEST = 4096;
const FRAME = { left: 0.08, top: 0.06, right: 0.92, bottom: 0.94 };

class Film {
  constructor(root) {
    this.root = root;
    this.words = JSON.parse(root.querySelector("#film-words").textContent);
    this.video = root.querySelector("video");
    this.corners = new Corners(root.querySelector("[data-film-box]"));
    this.photo = null;
    this.#listen();
    this.start();
  }

  async start(deviceId = "") {
    this.#step("camera");
    this.#say("starting");
    try {
      this.camera = await openCamera(this.video, { deviceId, onEnded: () => this.#idle() });
    } catch (error) {
      if (!(error instanceof CameraError)) throw error;
      this.#idle();
      this.#say(error.code, "warning");
      return;
    }
    this.root.classList.add("has-camera");
    this.#say("frame");
    this.#offerOthers(await cameras());
    this.#lookIn(LOOK_EVERY);
  }

  #idle() {
    clearTimeout(this.looking);
    this.root.classList.remove("has-camera");
  }

  #lookIn(time) {
    clearTimeout(this.looking);
    this.looking = setTimeout(() => this.#look(), time); // after the last look: slow phones stay usable
  }

  #look() {
    if (!this.camera?.isOpen) return;
    if (!document.hidden) {
      const [problem] = problemsOf(greyOf(this.camera.frame(undefined, 960), FRAME));
      this.#say(problem ?? "good", problem ? "warning" : "success");
    }
    this.#lookIn(LOOK_EVERY);
  }

  #offerOthers(found) {
    const choice = this.root.querySelector("[data-film-camera]");
    choice.hidden = found.length < 2;
    choice.replaceChildren(...found.map(({ id, label }, n) => new Option(label || `${n + 1}`, id)));
    choice.value = this.camera?.deviceId ?? "";
  }

  /* The photo -------------------------------------------------------------------------------------- */
  async #shoot() {
    const canvas = this.camera.frame(undefined, LONGEST);
    await this.#take(canvas, FRAME);
  }

  async #fromFile(file) {
    let picture;
    try {
      picture = await createImageBitmap(file, { imageOrientation: "from-image" });
    } catch {
      this.#say("unreadable", "error");
      return;
    }
    const factor = Math.min(1, LONGEST / Math.max(picture.width, picture.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(picture.width * factor);
    canvas.height = Math.round(picture.height * factor);
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    await this.#take(canvas, FRAME);
  }

  async #take(canvas, part) {
    const [problem] = problemsOf(greyOf(canvas, part));
    if (problem) {
      this.#say(problem, "error");
      this.root.dataset.refused = problem;
      this.#lookIn(4 * LOOK_EVERY); // the reason stays for a while
      return;
    }
    delete this.root.dataset.refused;
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    this.photo = { canvas, blob };
    this.camera?.stop();
    const shown = this.root.querySelector("[data-film-photo]");
    URL.revokeObjectURL(shown.src);
    shown.src = URL.createObjectURL(blob);
    this.corners.set([[FRAME.left, FRAME.top], [FRAME.right, FRAME.top], [FRAME.right, FRAME.bottom], [FRAME.left, FRAME.bottom]]);
    this.#step("corners");
    this.#say("searching");
    await this.#propose(canvas);
    this.root.querySelector("[data-corner]").focus();
  }

  async #propose(canvas) {
    const factor = Math.min(1, COPY_SIDE / Math.max(canvas.width, canvas.height));
    const copy = document.createElement("canvas");
    copy.width = Math.round(canvas.width * factor);
    copy.height = Math.round(canvas.height * factor);
    copy.getContext("2d").drawImage(canvas, 0, 0, copy.width, copy.height);
    const body = new FormData();
    body.append("file", await new Promise((done) => copy.toBlob(done, "image/jpeg", 0.9)), "copy.jpg");
    const headers = { "X-CSRFToken": this.root.querySelector("[name=csrfmiddlewaretoken]").value, Accept: "application/json" };
    try {
      const answer = await fetch(this.root.dataset.cornersUrl, { method: "POST", body, headers });
      const found = answer.ok ? await answer.json() : {};
      if (this.photo?.canvas !== canvas) return; // another photo was taken meanwhile
      if (found.corners) this.corners.set(found.corners);
      this.#say(found.corners ? "found" : "mark");
      if (found.problems?.length) this.#say(found.problems[0], "warning");
    } catch {
      this.#say("mark"); // without a connection the corners are marked by hand
    }
    this.#checkTilt();
  }

  #checkTilt() {
    const { canvas } = this.photo;
    const problem = tiltProblem(this.corners.values, canvas.width, canvas.height);
    this.root.querySelector("[data-film-use]").disabled = Boolean(problem);
    if (problem) this.#say(problem, "error");
    else if (this.said === "photo_tilted") this.#say("mark");
  }

  #use() {
    const stamp = new Date().toISOString().slice(11, 19).replaceAll(":", "");
    const file = new File([this.photo.blob], `film-${stamp}.jpg`, { type: "image/jpeg" });
    const corners = JSON.stringify(this.corners.values.map(([x, y]) => [Number(x.toFixed(5)), Number(y.toFixed(5))]));
    this.root.querySelector("[data-upload]").upload.add([file], { capture: "film_photo", corners });
    this.photo = null;
    this.#step("sent");
    this.#say("");
  }

  /* Words and hands -------------------------------------------------------------------------------- */
  #step(step) {
    this.root.dataset.step = step;
    for (const part of this.root.querySelectorAll("[data-step-of]")) part.hidden = part.dataset.stepOf !== step;
  }

  #say(code, level = "info") {
    this.said = code;
    const line = this.root.querySelector("[data-film-say]");
    line.textContent = this.words[code] ?? "";
    line.className = `film-say is-${level}`;
    line.dataset.code = code;
  }

  #listen() {
    const on = (name, action) => this.root.querySelector(name).addEventListener("click", action);
    on("[data-film-shoot]", () => this.#shoot());
    on("[data-film-again]", () => this.start());
    on("[data-film-more]", () => this.start());
    on("[data-film-use]", () => this.#use());
    this.root.querySelector("[data-film-camera]").addEventListener("change", (event) => {
      this.camera?.stop();
      this.start(event.target.value);
    });
    const input = this.root.querySelector("[data-film-file]");
    input.addEventListener("change", () => {
      if (input.files[0]) this.#fromFile(input.files[0]);
      input.value = "";
    });
    this.corners.box.addEventListener("film:corners", () => this.#checkTilt());
  }
}

for (const root of document.querySelectorAll("[data-film]")) root.film = new Film(root);
