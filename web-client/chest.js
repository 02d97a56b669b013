// The key that seals what the client keeps. The browser holds another key, which no script can read, and with it opens
// this one; so whoever copies the client's file has neither.
const DATABASE = "momedo";
const STORE = "keys";
const NAME = "profile";

const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

function opened() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  return settled(request);
}

// Keeps it where it outlasts a phone that is switched off, before anything is sealed with it.
function kept(database, value) {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, "readwrite", { durability: "strict" });
    transaction.objectStore(STORE).put(value, NAME);
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
}

// The 32 bytes, made with the first call in this browser.
export async function key() {
  const database = await opened();
  try {
    const known = await settled(database.transaction(STORE).objectStore(STORE).get(NAME));
    if (known !== undefined) {
      const { lock, iv, sealed } = known;
      return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, lock, sealed));
    }
    const lock = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    const [iv, bytes] = [12, 32].map((length) => crypto.getRandomValues(new Uint8Array(length)));
    const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, lock, bytes);
    await kept(database, { lock, iv, sealed });
    return bytes;
  } finally {
    database.close();
  }
}
