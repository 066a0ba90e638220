// Keeps the page for offline codes, and nothing else. SHELL, what it is made of, is written before this file when it is sent.

const STORE = `fujie-offline-page-${VERSION}`;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(STORE).then((store) => store.addAll(SHELL)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const stale = (name) => name.startsWith("fujie-offline-page-") && name !== STORE;
  const cleared = caches.keys().then((names) => Promise.all(names.filter(stale).map((name) => caches.delete(name))));
  event.waitUntil(cleared.then(() => self.clients.claim()));
});

// The page from the network while there is one, else as it was kept; its parts have their version in their address.
self.addEventListener("fetch", (event) => {
  const address = new URL(event.request.url);
  if (event.request.method !== "GET" || address.origin !== location.origin) { return; }
  if (address.pathname === "/verify/offline") {
    event.respondWith(fromNetwork(event.request));
  } else if (SHELL.includes(address.pathname + address.search)) {
    event.respondWith(caches.match(event.request).then((found) => found ?? fetch(event.request)));
  }
});

async function fromNetwork(request) {
  const store = await caches.open(STORE);
  try {
    const answer = await fetch(request);
    if (answer.ok) { await store.put("/verify/offline", answer.clone()); }
    return answer;
  } catch {
    return store.match("/verify/offline", { ignoreVary: true });
  }
}
