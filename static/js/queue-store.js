/* Files that wait in this browser, in IndexedDB. Each is locked (ECDH P-256, HKDF, AES-GCM) with the public key of the
   person who left it: this device can lock, only the private key, which the server gives to that person's pages and
   which is never kept here, can open. Clear are opaque marks of person and clinic, time, size and state.

   const store = await openStore();            // null where the browser cannot (no https, storage blocked)
   await store.arrive(identity);  await store.leave();      // who is signed in on this device; nobody
   const who = await store.who();              // { person, clinic, lock }, or null
   await store.add(who, { name, type, fields, endpoint }, file);   // → record; throws QuotaExceededError
   await store.list(who);                      // that person's records of that clinic, oldest first, still locked
   const key = await privateKey(jwk);
   await store.open(record, key);              // → { name, type, fields, endpoint }
   await store.file(record, key);              // → File
   await store.change(record, { … }, key?);    // with key: { about: { … } } is locked anew
   await store.remove(record); */

const NAME = "upload-queue";
const KEPT_MS = 7 * 24 * 3600 * 1000;
const CURVE = { name: "ECDH", namedCurve: "P-256" };
const INFO = new TextEncoder().encode("upload-queue");

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

export const privateKey = (jwk) => crypto.subtle.importKey("jwk", jwk, CURVE, false, ["deriveBits"]);

export async function openStore() {
  if (!window.isSecureContext || !window.indexedDB || !crypto.subtle) return null;
  try {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("files", { keyPath: "id" });
      request.result.createObjectStore("device", { keyPath: "id" });
    };
    const store = new Store(await done(request));
    await store.expire();
    return store;
  } catch (error) {
    if (error instanceof DOMException) return null; // storage is blocked: files are kept by the page alone
    throw error;
  }
}

/* The key that one record is locked with: both sides reach it, each with its own private half. */
async function shared(own, other) {
  const bits = await crypto.subtle.deriveBits({ name: "ECDH", public: other }, own, 256);
  const start = await crypto.subtle.importKey("raw", bits, "HKDF", false, ["deriveKey"]);
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(32), info: INFO };
  return crypto.subtle.deriveKey(how, start, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}

async function seal(key, bytes) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  return { iv, data: await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, bytes) };
}

const unseal = (key, { iv, data }) => crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, data);
const packed = (about) => new TextEncoder().encode(JSON.stringify(about));

async function opener(record, key) {
  return shared(key, await crypto.subtle.importKey("raw", record.sender, CURVE, false, []));
}

class Store {
  constructor(base) {
    this.base = base;
  }

  #read(name) {
    return this.base.transaction(name).objectStore(name);
  }

  /* Resolves once it is on the disk: a full one refuses only then. */
  #write(name, act) {
    const transaction = this.base.transaction(name, "readwrite", { durability: "strict" });
    act(transaction.objectStore(name));
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new DOMException("aborted", "AbortError"));
    });
  }

  async arrive({ person, clinic, lock, seconds }) {
    const now = { id: "now", person, clinic, lock, until: Date.now() + seconds * 1000 };
    await this.#write("device", (device) => device.put(now));
  }

  async leave() {
    await this.#write("device", (device) => device.clear());
  }

  async who() {
    const now = await done(this.#read("device").get("now"));
    return now && now.until > Date.now() ? now : null;
  }

  async add({ person, clinic, lock }, about, file) {
    const own = await crypto.subtle.generateKey(CURVE, false, ["deriveBits"]);
    const key = await shared(own.privateKey, await crypto.subtle.importKey("jwk", lock, CURVE, false, []));
    const record = {
      id: crypto.randomUUID(),
      person,
      clinic,
      at: Date.now(),
      size: file.size,
      state: about.endpoint ? "waiting" : "loose",
      url: "",
      message: "",
      sender: await crypto.subtle.exportKey("raw", own.publicKey),
      head: await seal(key, packed(about)),
      body: await seal(key, await file.arrayBuffer()),
    };
    await this.#write("files", (files) => files.add(record));
    return record;
  }

  async list({ person, clinic }) {
    const all = await done(this.#read("files").getAll());
    return all.filter((each) => each.person === person && each.clinic === clinic).sort((a, b) => a.at - b.at);
  }

  async open(record, key) {
    return JSON.parse(new TextDecoder().decode(await unseal(await opener(record, key), record.head)));
  }

  async file(record, key) {
    const secret = await opener(record, key);
    const { name, type } = await this.open(record, key);
    return new File([await unseal(secret, record.body)], name, { type });
  }

  async change({ id }, { about, ...values }, key) {
    if (about) {
      const before = await done(this.#read("files").get(id));
      if (!before) return;
      values.head = await seal(await opener(before, key), packed(about));
    }
    await this.#write("files", (files) => {
      // What the person has removed meanwhile stays away.
      files.get(id).onsuccess = ({ target: { result } }) => result && files.put({ ...result, ...values });
    });
  }

  async remove({ id }) {
    await this.#write("files", (files) => files.delete(id));
  }

  async expire() {
    for (const record of await done(this.#read("files").getAll())) {
      if (Date.now() - record.at > KEPT_MS) await this.remove(record);
    }
  }
}
