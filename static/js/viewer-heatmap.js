/* Where the model looked: a grey map in colours, laid over the image by an affine transform. */

/* Dark violet, red, yellow: readable on grey, and for people who see no red or green by its lightness. */
const RAMP = [[45, 0, 75], [140, 20, 90], [225, 70, 40], [252, 170, 30], [255, 250, 150]];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function rampColour(value) {
  const place = clamp(value, 0, 1) * (RAMP.length - 1);
  const index = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[index].map((from, channel) => from + (RAMP[index + 1][channel] - from) * (place - index));
}

/** Colours a grey map in place; leaves a map that has colour or transparency as it is. */
function colourise(pixels) {
  for (let at = 0; at < pixels.length; at += 4) {
    const isGrey = pixels[at] === pixels[at + 1] && pixels[at] === pixels[at + 2];
    if (!isGrey || pixels[at + 3] !== 255) return;
  }
  const table = Array.from({ length: 256 }, (_, grey) => rampColour(grey / 255));
  for (let at = 0; at < pixels.length; at += 4) {
    const grey = pixels[at];
    [pixels[at], pixels[at + 1], pixels[at + 2]] = table[grey];
    pixels[at + 3] = clamp((grey - 20) * 1.35, 0, 255); // what is cold stays clear
  }
}

export function loadImage(url, { shared = false } = {}) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    if (shared) image.crossOrigin = "anonymous";
    image.decoding = "async";
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("image"));
    image.src = url;
  });
}

/** Waits for an <img> of the page that may be there already. */
export function pictureOf(image) {
  return new Promise((resolve, reject) => {
    const done = () => (image.naturalWidth ? resolve(image) : reject(new Error("image")));
    if (image.complete) done();
    else for (const name of ["load", "error"]) image.addEventListener(name, done, { once: true });
  });
}

export class Heatmap {
  #loaded = "";

  constructor(canvas) {
    this.canvas = canvas;
  }

  get isOn() {
    return !this.canvas.hidden;
  }

  /** Shows the map at the address (a falsy one hides it); false when it could not be loaded. */
  async show(url, opacity) {
    this.canvas.hidden = !url;
    this.wanted = url;
    if (!url) return true;
    this.canvas.style.opacity = opacity;
    if (this.#loaded === url) return true;
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    let map;
    try {
      map = await loadImage(url, { shared: true });
    } catch {
      map = await loadImage(url).catch(() => null); // a storage host without CORS: shown, not read
    }
    if (this.wanted !== url) return true;
    this.canvas.hidden = !map;
    if (!map) return false;
    this.#loaded = url;
    this.canvas.width = map.naturalWidth;
    this.canvas.height = map.naturalHeight;
    context.drawImage(map, 0, 0);
    try {
      const data = context.getImageData(0, 0, this.canvas.width, this.canvas.height);
      colourise(data.data);
      context.putImageData(data, 0, 0);
    } catch {
      this.canvas.classList.add("is-blended");
    }
    return true;
  }

  /** Stretches the map over the image, however it is turned: three projected corners are an affine map. */
  place(toStage, size) {
    const [ox, oy] = toStage([0, 0]);
    const [rx, ry] = toStage([size.width, 0]);
    const [dx, dy] = toStage([0, size.height]);
    const numbers = [(rx - ox) / size.width, (ry - oy) / size.width, (dx - ox) / size.height, (dy - oy) / size.height, ox, oy];
    this.canvas.style.width = `${size.width}px`;
    this.canvas.style.height = `${size.height}px`;
    this.canvas.style.transform = `matrix(${numbers.join(",")})`;
  }
}
