// Verifies offline codes in the browser (docs/offline-codes.md). After the first visit it asks nobody: the page is kept by
// offline-worker.js, keys and status lists by this module. The same checks, in the same order, as certs/offline_verdict.py.

const STORE = "fujie-offline-data";
const KEYS = "/pki/code-keys";
const CWT = "application/statuslist+cwt";
const DAY = 86400;
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHECKED = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const ROOT = "1.2.156.3005.2";
const ALGORITHMS = { "-7": "ES256", "-8": "EDDSA", "-65537": "SM2" };

// --- reading ------------------------------------------------------------------------------------------------------------------

export function base45(text) {
  if (text.length % 3 === 1) { throw new Error("base45"); }
  const digits = [...text].map((one) => ALPHABET.indexOf(one));
  if (digits.includes(-1)) { throw new Error("base45"); }
  const octets = [];
  for (let at = 0; at < digits.length; at += 3) {
    const whole = at + 2 < digits.length;
    const value = digits[at] + 45 * digits[at + 1] + (whole ? 2025 * digits[at + 2] : 0);
    if (value > (whole ? 0xffff : 0xff)) { throw new Error("base45"); }
    if (whole) { octets.push(value >> 8); }
    octets.push(value & 255);
  }
  return new Uint8Array(octets);
}

export function cbor(octets) {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  let at = 0;
  const argument = (low) => {
    if (low < 24) { return low; }
    if (low > 27) { throw new Error("cbor"); }
    const width = 1 << (low - 24);
    let value = 0;
    for (let place = 0; place < width; place++) { value = value * 256 + view.getUint8(at++); }
    return value;
  };
  const string = (length) => {
    if (length > octets.length - at) { throw new Error("cbor"); }
    at += length;
    return octets.slice(at - length, at);
  };
  const item = (depth) => {
    if (depth > 8) { throw new Error("cbor"); }
    const head = view.getUint8(at++);
    const value = argument(head & 31);
    switch (head >> 5) {
      case 0: return value;
      case 1: return -1 - value;
      case 2: return string(value);
      case 3: return new TextDecoder("utf-8", { fatal: true }).decode(string(value));
      case 4: { const found = []; for (let n = 0; n < value; n++) { found.push(item(depth + 1)); } return found; }
      case 5: { const found = new Map(); for (let n = 0; n < value; n++) { const key = item(depth + 1); found.set(key, item(depth + 1)); } return found; }
      default: throw new Error("cbor");
    }
  };
  const value = item(0);
  if (at !== octets.length) { throw new Error("cbor"); }
  return value;
}

const hex = (octets) => [...octets].map((one) => one.toString(16).padStart(2, "0")).join("");
const base64 = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
const joined = (...parts) => { const all = parts.flatMap((part) => [...part]); return new Uint8Array(all); };

function octetString(octets) {
  const n = octets.length;
  return joined(n < 24 ? [0x40 | n] : n < 256 ? [0x58, n] : [0x59, n >> 8, n & 255], octets);
}

// RFC 9052 §4.4
function toBeSigned(protectedHeader, payload) {
  return joined([0x84, 0x6a], new TextEncoder().encode("Signature1"), octetString(protectedHeader), [0x40], octetString(payload));
}

function checkCharacter(text) {
  let product = 36;
  for (const one of text) { product = (((product + CHECKED.indexOf(one)) % 36 || 36) * 2) % 37; }
  return CHECKED[(37 - product) % 36];
}

function verificationCode(octets) {
  let value = octets.reduce((sum, one) => sum * 256n + BigInt(one), 0n);
  let code = "";
  for (let place = 0; place < 16; place++) { code = CROCKFORD[Number(value & 31n)] + code; value >>= 5n; }
  return code;
}

const day = (days) => (days === undefined ? null : new Date(days * DAY * 1000).toISOString().slice(0, 10));
const civil = (instant) => new Date(instant.getTime() + 8 * 3600 * 1000).toISOString().slice(0, 10);

function sign1(octets) {
  const [header, unprotected, payload, signature] = cbor(octets);
  if (!(unprotected instanceof Map) || unprotected.size || signature.length !== 64) { throw new Error("cose"); }
  const said = cbor(header);
  return { algorithm: ALGORITHMS[said.get(1)], kid: hex(said.get(4)), message: toBeSigned(header, payload), payload: cbor(payload), signature };
}

export function readCode(text) {
  if (!text.startsWith("FJ1:")) { throw new Error("prefix"); }
  const signed = sign1(base45(text.slice(4)));
  const said = signed.payload;
  const body = said.get(1);
  return {
    ...signed,
    identifier: `${ROOT}.${body}.${checkCharacter(body.replaceAll(".", ""))}`,
    name: said.get(2), number: said.get(3), issuer: said.get(4), issuedOn: day(said.get(5)), validTo: day(said.get(6)),
    validFrom: day(said.get(10)), holders: said.get(7), list: said.get(8)[0], index: said.get(8)[1], code: verificationCode(said.get(9)),
    fields: said.get(11) ?? [],
  };
}

async function holds(signed, key) {
  const kinds = {
    ES256: [{ name: "ECDSA", namedCurve: "P-256" }, { name: "ECDSA", hash: "SHA-256" }],
    EDDSA: [{ name: "Ed25519" }, { name: "Ed25519" }],
  };
  const [kind, scheme] = kinds[signed.algorithm] ?? [];
  if (!kind) { return null; }
  const loaded = await crypto.subtle.importKey("spki", base64(key.public), kind, false, ["verify"]);
  return crypto.subtle.verify(scheme, loaded, signed.signature, signed.message);
}

// --- what is kept --------------------------------------------------------------------------------------------------------------

async function kept(path, accept) {
  const store = await caches.open(STORE);
  try {
    const answer = await fetch(path, { headers: { Accept: accept }, cache: "no-cache" });
    if (answer.ok) { await store.put(path, answer.clone()); return answer; }
  } catch { /* no network: what was kept has to do */ }
  return store.match(path, { ignoreVary: true });
}

async function listFrom(answer, keys) {
  const octets = new Uint8Array(await answer.arrayBuffer());
  if (octets[0] !== 0xd2) { throw new Error("cwt"); }
  const signed = sign1(octets.slice(1));
  const key = keys.find((one) => one.kid === signed.kid && one.alg === signed.algorithm && !one.compromised_at);
  if (!key || !(await holds(signed, key))) { throw new Error("signature"); }
  const packed = new Blob([signed.payload.get(65533).get("lst")]).stream().pipeThrough(new DecompressionStream("deflate"));
  return {
    issuedAt: new Date(signed.payload.get(6) * 1000), expiresAt: new Date(signed.payload.get(4) * 1000),
    octets: new Uint8Array(await new Response(packed).arrayBuffer()),
  };
}

export async function gather() {
  const answer = await kept(KEYS, "application/json, */*");
  if (!answer) { return { keys: [], lists: new Map(), keysAt: null }; }
  const set = JSON.parse(new TextDecoder().decode(base64((await answer.json()).payload)));
  const lists = new Map();
  for (const address of set.status_lists) {
    const path = new URL(address).pathname;
    try {
      const found = await kept(path, CWT);
      if (found) { lists.set(Number(path.split("/").pop()), await listFrom(found, set.keys)); }
    } catch { /* a list that nobody of ours signed is no list */ }
  }
  return { keys: new Date(set.next_update) > new Date() ? set.keys : [], lists, keysAt: new Date(set.issued_at) };
}

// --- judging -------------------------------------------------------------------------------------------------------------------

export async function judge(text, printed, known, now = new Date()) {
  let code;
  try { code = readCode(text.trim()); } catch { return { answer: "unreadable", checks: [] }; }
  const checks = [];
  const say = (name, outcome, age) => checks.push({ name, outcome, age });
  const key = known.keys.find((one) => one.kid === code.kid && one.alg === code.algorithm);
  say("CODE_KEY", !key ? "open" : keyStands(key, now) ? "good" : "bad");
  const held = key ? await holds(code, key).catch(() => null) : null;
  say("CODE_SIGNATURE", held === null ? "open" : held && inTime(key, code) ? "good" : "bad");
  if (printed) { say("CODE_MATCH", matches(code, printed) ? "good" : "bad"); }
  const today = civil(now);
  say("CODE_DATES", (code.validTo && today > code.validTo) || (code.validFrom && today < code.validFrom) ? "bad" : "good");
  const list = known.lists.get(code.list);
  say("CODE_STATUS", statusOf(list, code.index, now), list && now - list.issuedAt);
  const answer = checks.some((one) => one.outcome === "bad") ? "bad" : checks.some((one) => one.outcome === "open") ? "open" : "good";
  const vouched = checks[0].outcome === "good" && checks[1].outcome === "good";
  return { answer, checks, code: vouched ? code : null };
}

const keyStands = (key, now) => !key.compromised_at && now < new Date(key.good_until) && now >= new Date(key.signs_from);

function inTime(key, code) {
  const begins = civil(new Date(new Date(key.signs_from).getTime() - DAY * 1000));
  return begins <= code.issuedOn && code.issuedOn <= civil(new Date(new Date(key.signs_until).getTime() + DAY * 1000));
}

function matches(code, printed) {
  const wanted = printed.trim();
  const typed = wanted.toUpperCase().replaceAll(/[- ]/g, "").replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  return wanted === code.number || wanted === code.identifier || typed === code.code;
}

function statusOf(list, index, now) {
  if (!list || index >> 2 >= list.octets.length) { return "open"; }
  const value = (list.octets[index >> 2] >> ((index & 3) * 2)) & 3;
  const stale = now >= list.expiresAt || now < new Date(list.issuedAt.getTime() - DAY * 1000);
  if (value === 1) { return "bad"; }
  if (value === 2) { return stale ? "open" : "bad"; }
  return value === 0 && !stale ? "good" : "open";
}
