// What moves on the team's page: clocks, the search, the reading of everyone, the invitation.

const PAUSE = 300;
const POLL = 2000;

// What the page lends: its main part, and how it loads, sends and complains.
let page = null;
let polling = 0;

export function wake(parts) {
  if (!page) listen();
  page = parts;
  tick();
  clearTimeout(polling);
  if (part("[data-run][data-under-way]")) polling = setTimeout(poll, POLL);
}

function part(selector) {
  return page.main.querySelector(selector);
}

function listen() {
  document.addEventListener("click", clicked);
  document.addEventListener("input", searched);
  document.addEventListener("change", (event) => {
    if (event.target.matches(".filters select")) event.target.form.requestSubmit();
  });
  setInterval(tick, 10_000);
}

const ACTIONS = { runStart: startRun, runCancel: cancelRun, copy: copyText };

function clicked(event) {
  const button = event.target.closest("[data-run-start], [data-run-cancel], [data-copy]");
  if (!button) return;
  const name = Object.keys(ACTIONS).find((action) => action in button.dataset);
  once(button, ACTIONS[name]);
}

async function once(button, action) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await action(button);
  } catch {
    page.complain("offline");
  } finally {
    button.removeAttribute("aria-busy");
  }
}

// --- The search ---

let typing = 0;

function searched(event) {
  if (!event.target.matches(".filters [type=search]")) return;
  clearTimeout(typing);
  // The field may be another element by then: an answer that came in between brought a new one.
  typing = setTimeout(() => part(".filters")?.requestSubmit(), PAUSE);
}

// --- The clocks ---

function tick() {
  const now = new Date();
  for (const clock of page.main.querySelectorAll("[data-there]")) {
    clock.textContent = timeIn(clock.dataset.there, now) ?? clock.textContent;
  }
  const line = part("[data-band-now]");
  const time = line && timeIn(line.dataset.bandNow, now);
  if (!time) return;
  const [hours, minutes] = time.split(":").map(Number);
  line.setAttribute("x", hours * 60 + minutes - 1);
}

function timeIn(timeZone, moment) {
  try {
    return new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" }).format(moment);
  } catch {
    // A browser older than the zone's name shows what the server wrote.
    return undefined;
  }
}

// --- The reading of everyone ---

async function startRun(button) {
  const run = await told(button.dataset.runStart, "POST");
  if (!run) return;
  button.hidden = true;
  draw(run);
  part("[data-run-cancel]")?.focus();
  polling = setTimeout(poll, POLL);
}

async function cancelRun(button) {
  if (await told(button.dataset.runCancel, "POST")) await reload();
}

async function poll() {
  const box = part("[data-run]");
  if (!box) return;
  if (document.hidden) return again();
  let run;
  try {
    run = await told(box.dataset.run, "GET");
  } catch {
    // A connection that is lost for a moment is no reason to stop watching.
    return again();
  }
  // What is shown may have been replaced meanwhile, and is watched from there.
  if (!run || !box.isConnected) return;
  if (!run.under_way) return reload();
  draw(run);
  again();
}

function again() {
  clearTimeout(polling);
  polling = setTimeout(poll, POLL);
}

async function told(path, method) {
  const answer = await page.send(path, { method, accept: "application/json" });
  if (answer.ok) return answer.json();
  page.complain(answer.status === 401 ? "session_missing" : "strange_answer");
  return null;
}

function draw(run) {
  const box = part("[data-run]");
  box.hidden = false;
  box.dataset.underWay = "";
  part("[data-run-words]").textContent = run.words;
  const bar = box.querySelector("progress");
  bar.max = run.total || 1;
  if (run.total) bar.value = run.done + run.failed;
  else bar.removeAttribute("value");
}

function reload() {
  return page.load(part("[data-address]").dataset.address, {});
}

// --- The invitation ---

async function copyText(button) {
  const source = part(button.dataset.copy);
  const copied = await copy(source);
  const words = part("[data-copy-told]");
  words.textContent = copied ? button.dataset.copied : button.dataset.marked;
  words.hidden = false;
}

// A frame of another site may be refused the clipboard: then the text is shown and marked.
async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.value);
    return true;
  } catch {
    source.hidden = false;
    source.focus();
    source.select();
    return document.execCommand("copy");
  }
}
