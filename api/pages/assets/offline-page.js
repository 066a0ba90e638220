// The page around offline.js: pasting, pictures and the camera; how old what is kept is.

const page = document.querySelector("[data-offline]");
const { judge, gather } = await import(page.dataset.module);
const words = Object.fromEntries([...page.querySelectorAll("[data-word]")].map((one) => [one.dataset.word, one.textContent]));
const form = page.querySelector("form");
const result = page.querySelector(".verdict");
const state = page.querySelector(".kept");
let known = { keys: [], lists: new Map(), keysAt: null };

function spoken(milliseconds) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60000));
  const fill = (word, ...numbers) => numbers.reduce((text, number) => text.replace("#", number), words[word]);
  if (minutes >= 1440) { return fill("days", Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)); }
  return minutes >= 60 ? fill("hours", Math.floor(minutes / 60), minutes % 60) : fill("minutes", minutes);
}

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) { made.className = className; }
  return made;
}

const icon = (tone) => page.querySelector(`[data-icon=${tone}] svg`).cloneNode(true);

function row(list, label, value) {
  if (!value) { return; }
  const line = document.createElement("div");
  line.append(element("dt", label), element("dd", value));
  list.append(line);
}

function showKept() {
  const now = Date.now();
  const facts = document.createElement("dl");
  facts.className = "facts";
  row(facts, words.keys, known.keysAt ? `${known.keys.length} · ${spoken(now - known.keysAt)}` : words.none);
  for (const [number, list] of known.lists) { row(facts, `${words.list} ${number}`, spoken(now - list.issuedAt)); }
  if (!known.lists.size) { row(facts, words.list, words.none); }
  state.replaceChildren(facts);
  state.dataset.keys = known.keys.length;
}

function show(verdict) {
  const head = document.createElement("div");
  const tone = { good: "good", open: "wait" }[verdict.answer] ?? "bad";
  head.className = `answer ${tone}`;
  const told = document.createElement("div");
  const decisive = verdict.checks.find((one) => one.outcome === (verdict.answer === "good" ? "" : verdict.answer));
  told.append(element("h2", words[`answer-${verdict.answer}`]));
  if (decisive) { told.append(element("p", words[`${decisive.name}-${decisive.outcome}`])); }
  head.append(icon(tone), told);
  const facts = document.createElement("dl");
  facts.className = "facts";
  const code = verdict.code;
  if (code) {
    row(facts, words.certificate, code.name);
    for (const [name, number] of code.holders) { row(facts, words.holder, `${name} ${number}`); }
    row(facts, words.number, code.number);
    row(facts, words.issuer, code.issuer);
    row(facts, words.issued, code.issuedOn);
    row(facts, words.valid, `${code.validFrom ?? "…"} – ${code.validTo ?? words.open}`);
    for (const [name, value] of code.fields) { row(facts, name, value); }
    row(facts, words.identifier, code.identifier);
  }
  const checks = document.createElement("ul");
  checks.className = "checks";
  for (const one of verdict.checks) {
    const line = document.createElement("li");
    line.className = one.outcome === "open" ? "wait" : one.outcome;
    const said = element("div", "");
    said.append(element("strong", words[`${one.name}-${one.outcome}`]));
    if (one.age !== undefined) { said.append(element("p", `${words.age} ${spoken(one.age)}`, "soft small")); }
    said.append(element("span", one.name, "code"));
    line.append(icon(line.className), said);
    checks.append(line);
  }
  result.replaceChildren(head, facts, checks);
  result.hidden = false;
  result.dataset.answer = verdict.answer;
}

async function verify(text) {
  form.elements.code.value = text;
  show(await judge(text, form.elements.number.value, known));
  result.scrollIntoView({ block: "nearest" });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  delete form.dataset.sent; // nothing was sent: it may be asked again
  for (const button of form.querySelectorAll("button")) { button.removeAttribute("aria-disabled"); }
  verify(form.elements.code.value);
});

async function refresh() {
  known = await gather();
  showKept();
}

async function codeIn(source, detector) {
  const found = (await detector.detect(source)).map((one) => one.rawValue).filter((one) => one.startsWith("FJ1:"));
  return found[0];
}

async function offerPictures() {
  if (!("BarcodeDetector" in globalThis) || !(await BarcodeDetector.getSupportedFormats()).includes("qr_code")) { return; }
  const detector = new BarcodeDetector({ formats: ["qr_code"] });
  const tools = page.querySelector(".pictures");
  tools.hidden = false;
  tools.querySelector("input").addEventListener("change", async (event) => {
    const text = await codeIn(await createImageBitmap(event.target.files[0]), detector).catch(() => undefined);
    if (text) { verify(text); } else { show({ answer: "unreadable", checks: [] }); }
  });
  tools.querySelector("button").addEventListener("click", () => watch(tools.querySelector("video"), detector));
}

async function watch(video, detector) {
  video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  video.hidden = false;
  await video.play();
  const look = async () => {
    const text = await codeIn(video, detector).catch(() => undefined);
    if (!text) { requestAnimationFrame(look); return; }
    for (const track of video.srcObject.getTracks()) { track.stop(); }
    video.hidden = true;
    verify(text);
  };
  look();
}

page.querySelector("[data-refresh]").addEventListener("click", refresh);
page.querySelector("[data-refresh]").hidden = false;
await refresh();
await offerPictures();
if ("serviceWorker" in navigator) {
  await navigator.serviceWorker.register("/verify/offline-worker.js", { scope: "/verify/offline" });
  await navigator.serviceWorker.ready;
  page.dataset.ready = "1";
}
