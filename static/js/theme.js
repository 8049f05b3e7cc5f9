/* Chooses light, dark, reading or the device's own brightness before the first paint (a classic script in
   <head>, so that nothing flashes). The choice stays in this browser: localStorage "theme".
   Buttons: <button data-theme-choice="light|dark|reading|auto">; the chosen one gets aria-pressed="true". */
(() => {
  "use strict";
  const KEY = "theme";
  const CHOICES = ["light", "dark", "reading", "auto"];
  const deviceIsDark = matchMedia("(prefers-color-scheme: dark)");

  function stored() {
    try {
      const value = localStorage.getItem(KEY);
      return CHOICES.includes(value) ? value : "auto";
    } catch {
      return "auto"; // storage is blocked: the device decides
    }
  }

  function apply(choice) {
    const theme = choice === "auto" ? (deviceIsDark.matches ? "dark" : "light") : choice;
    document.documentElement.dataset.theme = theme;
    document.documentElement.dataset.bsTheme = theme === "light" ? "light" : "dark";
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    }
  }

  apply(stored());
  deviceIsDark.addEventListener("change", () => apply(stored()));
  addEventListener("storage", (event) => event.key === KEY && apply(stored()));
  document.addEventListener("DOMContentLoaded", () => apply(stored()));
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-theme-choice]");
    if (!button) return;
    try {
      localStorage.setItem(KEY, button.dataset.themeChoice);
    } catch {
      /* not kept, but applied */
    }
    apply(button.dataset.themeChoice);
  });
})();
