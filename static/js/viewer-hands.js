/* Mouse, pen, fingers, buttons and sliders of the plain viewer; the diagnostic one has its own and is only told. */

export function useHands(viewer) {
  const stage = viewer.stage;
  viewer.pointers = new Map();
  viewer.root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-viewer-action], [data-viewer-opens]");
    if (button?.dataset.viewerOpens) openRow(viewer, button.dataset.viewerOpens);
    else if (button) viewer.act(button.dataset.viewerAction);
  });
  viewer.root.addEventListener("input", (event) => {
    const data = event.target.dataset;
    if (viewer.diagnostic) viewer.diagnostic.input(event.target);
    else if ("viewerOpacity" in data) viewer.toggleHeatmap(viewer.heatmapOn);
    else if ("viewerFrame" in data) viewer.setFrame(Number(event.target.value));
    else if ("viewerBrightness" in data || "viewerContrast" in data) viewer.light();
  });
  stage.addEventListener("wheel", (event) => {
    if (viewer.diagnostic) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 18 : 1;
    viewer.zoom(Math.exp(-event.deltaY * lines * 0.0016), ...pointOf(viewer, event));
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => {
    if (viewer.diagnostic || event.target.closest("button")) return;
    if (viewer.isFitted) viewer.zoom(2.5, ...pointOf(viewer, event));
    else viewer.fit();
  });
  stage.addEventListener("pointerdown", (event) => pointerDown(viewer, event));
  stage.addEventListener("pointermove", (event) => pointerMove(viewer, event));
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => pointerUp(viewer, event));
  }
  new ResizeObserver(() => (viewer.diagnostic ? null : viewer.isFitted ? viewer.fit() : viewer.draw())).observe(stage);
}

/** One row of further tools at a time. */
function openRow(viewer, name) {
  for (const row of viewer.root.querySelectorAll("[data-viewer-row]")) {
    const isOpen = row.dataset.viewerRow === name && row.hidden;
    row.hidden = !isOpen;
    viewer.root.querySelector(`[data-viewer-opens="${row.dataset.viewerRow}"]`)?.setAttribute("aria-expanded", String(isOpen));
  }
}

function pointOf(viewer, event) {
  const edge = viewer.stage.getBoundingClientRect();
  return [event.clientX - edge.left, event.clientY - edge.top];
}

function pointerDown(viewer, event) {
  if (viewer.diagnostic || event.button > 0 || event.target.closest("button")) return;
  viewer.pointers.set(event.pointerId, pointOf(viewer, event));
  // A finger on the fitted picture scrolls the page; two fingers, or any other hand, are ours.
  if (event.pointerType === "mouse" || !viewer.isFitted || viewer.pointers.size > 1) {
    viewer.stage.setPointerCapture(event.pointerId);
  }
  viewer.stage.classList.add("is-dragging");
}

function pointerMove(viewer, event) {
  const before = viewer.pointers.get(event.pointerId);
  if (!before) return;
  const now = pointOf(viewer, event);
  viewer.pointers.set(event.pointerId, now);
  if (viewer.pointers.size === 1) {
    viewer.pan(now[0] - before[0], now[1] - before[1]);
    return;
  }
  const other = [...viewer.pointers].find(([id]) => id !== event.pointerId)[1];
  const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
  viewer.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  viewer.zoom(distance(now, other) / distance(before, other), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
}

function pointerUp(viewer, event) {
  viewer.pointers.delete(event.pointerId);
  if (viewer.pointers.size === 0) viewer.stage.classList.remove("is-dragging");
}
