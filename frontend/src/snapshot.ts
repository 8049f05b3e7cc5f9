/* The panes as they are on the screen, with everything drawn over them, as one PNG. */

const PROPERTIES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "opacity", "font", "text-anchor", "dominant-baseline", "visibility", "display"];

/** An SVG layer with its styles written into it, for it leaves the page's style sheets behind. */
async function pictureOf(svg: SVGSVGElement, width: number, height: number): Promise<HTMLImageElement> {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const originals = svg.querySelectorAll<SVGElement>("*");
  copy.querySelectorAll<SVGElement>("*").forEach((element, index) => {
    const style = getComputedStyle(originals[index]);
    for (const name of PROPERTIES) element.style.setProperty(name, style.getPropertyValue(name));
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", String(width));
  copy.setAttribute("height", String(height));
  const picture = new Image();
  picture.src = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
  try {
    await picture.decode();
  } finally {
    URL.revokeObjectURL(picture.src);
  }
  return picture;
}

async function drawStage(context: CanvasRenderingContext2D, stage: HTMLElement, [left, top]: [number, number], scale: number): Promise<void> {
  const { clientWidth: width, clientHeight: height } = stage;
  const film = stage.querySelector<HTMLCanvasElement>("canvas.cornerstone-canvas");
  context.setTransform(scale, 0, 0, scale, left * scale, top * scale);
  context.save();
  context.beginPath();
  context.rect(0, 0, width, height);
  context.clip();
  if (film) context.drawImage(film, 0, 0, width, height);
  const heat = stage.querySelector<HTMLCanvasElement>("[data-viewer-heatmap]");
  if (heat && !heat.hidden) {
    context.save();
    const style = getComputedStyle(heat);
    context.globalAlpha = Number(style.opacity);
    const { a, b, c, d, e, f } = new DOMMatrix(style.transform);
    context.transform(a, b, c, d, e, f);
    context.drawImage(heat, 0, 0, heat.offsetWidth, heat.offsetHeight);
    context.restore();
  }
  for (const svg of stage.querySelectorAll<SVGSVGElement>("svg.svg-layer, svg[data-viewer-marks]")) {
    if (svg.childElementCount) context.drawImage(await pictureOf(svg, width, height), 0, 0, width, height);
  }
  const note = stage.querySelector<HTMLElement>("[data-viewer-info]")?.innerText;
  if (note) {
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = "rgb(231 236 241)";
    context.fillText(note, 8, height - 10, width - 16);
  }
  context.restore();
}

export async function snapshot(stages: HTMLElement[]): Promise<Blob> {
  const edges = stages.map((stage) => stage.getBoundingClientRect());
  const [left, top] = [Math.min(...edges.map((edge) => edge.left)), Math.min(...edges.map((edge) => edge.top))];
  const width = Math.max(...edges.map((edge) => edge.right)) - left;
  const height = Math.max(...edges.map((edge) => edge.bottom)) - top;
  const scale = Math.min(window.devicePixelRatio || 1, 4096 / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.floor(width * scale);
  canvas.height = Math.floor(height * scale);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("canvas");
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (const [index, stage] of stages.entries()) await drawStage(context, stage, [edges[index].left - left, edges[index].top - top], scale);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("png"))), "image/png"));
}
