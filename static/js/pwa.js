/* Registers the service worker, and offers to install the site where the browser can.
   <button data-install hidden> is shown while installing is possible. */

import { openStore } from "./queue-store.js";

// A page of nobody who uploads (the sign-in page, for one): no file can be left on this device in anybody's name now.
if (!document.getElementById("queue-identity")) openStore().then((store) => store?.leave());

if (navigator.serviceWorker && window.isSecureContext) {
  // Without a worker the site works as before; only the page without a connection is the browser's own.
  addEventListener("load", () => navigator.serviceWorker.register("/service-worker.js").catch(() => {}));
}

let offer = null;
const buttons = () => document.querySelectorAll("[data-install]");

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault(); // our own button asks, when the person wants it
  offer = event;
  for (const button of buttons()) button.hidden = false;
});
addEventListener("appinstalled", () => {
  offer = null;
  for (const button of buttons()) button.hidden = true;
});
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-install]") || !offer) return;
  offer.prompt();
  offer = null; // it answers once
  for (const button of buttons()) button.hidden = true;
});
