/* The page without a connection: tries again when asked, and by itself when the browser is back online. */

function again() {
  const state = document.querySelector("[data-offline-state]");
  if (navigator.onLine) state.textContent = state.dataset.textBack;
  location.reload();
}

document.querySelector("[data-offline-retry]").addEventListener("click", () => location.reload());
addEventListener("online", again);
