/* Shows one page in plain words while the server cannot be reached, and keeps nothing else.

   Only the files named below enter the cache. Pages of people, images and answers of the API are never touched: the
   worker does not answer for them, so that they go to the network and come from nowhere else. */

const SHELL = {{ shell|safe }};
const CACHE = `shell-${SHELL.version}`;

self.addEventListener("install", (event) => {
  // Without cookies: what is kept was made for nobody.
  const plain = (address) => new Request(address, { credentials: "omit", cache: "reload" });
  event.waitUntil(
    caches.open(CACHE)
      .then((cache) => cache.addAll([SHELL.page, ...SHELL.files].map(plain)))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys().then((names) =>
      Promise.all(names.filter((name) => name.startsWith("shell-") && name !== CACHE).map((name) => caches.delete(name))),
    ),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== self.location.origin) return;
  if (request.mode === "navigate") {
    event.respondWith(fetch(request).catch(() => kept(SHELL.page)));
  } else if (SHELL.files.includes(address.pathname)) {
    event.respondWith(fetch(request).catch(() => kept(address.pathname)));
  }
});

async function kept(address) {
  return (await caches.match(address, { cacheName: CACHE })) ?? Response.error();
}
