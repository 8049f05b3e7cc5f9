/* One job: a camera's live picture in a <video>, and its end.

   const camera = await openCamera(video, { deviceId, width, height });   // the rear one unless deviceId says which
   await cameras();              // [{ id, label }]: labels are empty until a camera was allowed once
   camera.deviceId; camera.width; camera.height; camera.frame();          // frame(): a canvas in full resolution
   camera.stop();                // also stops by itself when the page is left or hidden for good

   Errors are CameraError with a stable .code: "insecure" (no https), "denied", "none" (no camera), "busy" (another
   program has it), "failed". The words for them come from the page. */

const CODES = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotFoundError: "none",
  OverconstrainedError: "none",
  NotReadableError: "busy",
  AbortError: "busy",
};

export class CameraError extends Error {
  constructor(code, cause) {
    super(code, { cause });
    this.code = code;
  }
}

export class Camera {
  #ended = () => this.stop();

  constructor(video, stream, onEnded) {
    this.video = video;
    this.stream = stream;
    this.onEnded = onEnded;
    this.track = stream.getVideoTracks()[0];
    this.track.addEventListener("ended", this.#ended); // unplugged, or permission taken back
    addEventListener("pagehide", this.#ended);
  }

  get deviceId() {
    return this.track.getSettings().deviceId ?? "";
  }

  /** Pixels of the live picture. */
  get width() {
    return this.video.videoWidth;
  }

  get height() {
    return this.video.videoHeight;
  }

  get isOpen() {
    return this.track.readyState === "live";
  }

  /** Draws the present frame into a canvas (a new one, or yours) and returns it. `side` bounds its longer side. */
  frame(canvas = document.createElement("canvas"), side = Infinity) {
    const factor = Math.min(1, side / Math.max(this.width, this.height, 1));
    canvas.width = Math.max(1, Math.round(this.width * factor));
    canvas.height = Math.max(1, Math.round(this.height * factor));
    canvas.getContext("2d", { willReadFrequently: true }).drawImage(this.video, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  stop() {
    if (!this.stream) return;
    removeEventListener("pagehide", this.#ended);
    this.track.removeEventListener("ended", this.#ended);
    for (const track of this.stream.getTracks()) track.stop();
    if (this.video.srcObject === this.stream) this.video.srcObject = null;
    this.stream = null;
    this.onEnded?.();
  }
}

/** Opens a camera and resolves when its first frame can be drawn. */
export async function openCamera(video, { deviceId = "", width = 3840, height = 2160, onEnded } = {}) {
  if (!navigator.mediaDevices?.getUserMedia) throw new CameraError("insecure");
  const which = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: { ideal: "environment" } };
  const wanted = { ...which, width: { ideal: width }, height: { ideal: height } };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    video.muted = true;
    video.playsInline = true;
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    for (const track of stream?.getTracks() ?? []) track.stop();
    throw new CameraError(CODES[error.name] ?? "failed", error);
  }
  return new Camera(video, stream, onEnded);
}

/** The cameras of this device, in the browser's order. */
export async function cameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId, label }) => ({ id: deviceId, label }));
}
