// One page inside the portal's frame: it fetches its parts, and the frame itself never goes anywhere.

const main = document.getElementById("main");
const announcer = document.getElementById("announce");

// The freshest token lives in this variable alone: not in a cookie, not in storage, not in an address.
let token = document.querySelector('meta[name="session-token"]')?.content ?? "";

let current = null;

async function load(path, { method = "GET", body, focus }) {
  current?.abort();
  const request = (current = new AbortController());
  main.setAttribute("aria-busy", "true");
  try {
    const answer = await ask(path, { method, body, signal: request.signal });
    const part = document.createElement("template");
    // Our own server's HTML, escaped there; scripts put in this way do not run.
    if (answer.html) part.innerHTML = answer.body;
    const moving = await whatMoves(part.content);
    if (request === current) show({ ...answer, part: part.content, moving }, focus);
  } catch {
    // Whoever asked again is already loading; only a lost connection is worth a word.
    if (!request.signal.aborted) complain("offline");
  } finally {
    if (request === current) main.removeAttribute("aria-busy");
  }
}

async function ask(path, options) {
  const response = await send(path, options);
  const type = response.headers.get("Content-Type") ?? "";
  return { path, status: response.status, html: type.startsWith("text/html"), body: await response.text() };
}

async function send(path, { accept = "text/html", ...options } = {}) {
  const headers = { Accept: accept, Authorization: `Bearer ${token}` };
  const response = await fetch(path, { ...options, headers, credentials: "omit", redirect: "error" });
  token = response.headers.get("X-Session-Token") ?? token;
  return response;
}

function show(answer, focus) {
  if (answer.html) return swap(answer, focus);
  if (answer.status === 401) return complain("session_missing", codeIn(answer.body));
  complain("strange_answer");
}

function codeIn(body) {
  try {
    return JSON.parse(body).error;
  } catch {
    return undefined;
  }
}

function swap(answer, focus) {
  const held = document.activeElement;
  main.replaceChildren(answer.part);
  const title = main.querySelector("[data-title]")?.dataset.title;
  if (title) document.title = title;
  markLink(answer.path);
  wake(answer.moving);
  const target = focus ? main.querySelector(focus) : sameAs(held);
  (target ?? main).focus({ preventScroll: Boolean(target) });
  announcer.textContent = announcement(title, target);
}

// The control somebody had in hand, in the new part; what they typed meanwhile goes on in it.
function sameAs(held) {
  const keep = held?.dataset?.keep;
  const target = keep && main.querySelector(`[data-keep="${CSS.escape(keep)}"]`);
  if (target?.type === "search") {
    target.value = held.value;
    target.setSelectionRange(held.selectionStart, held.selectionEnd);
  }
  return target || null;
}

function announcement(title, target) {
  const error = main.querySelector("[data-error] h2")?.textContent;
  const asOf = main.querySelector("[data-told], [data-as-of]")?.textContent;
  return error ?? (target && asOf) ?? title ?? "";
}

function markLink(path) {
  const links = [...document.querySelectorAll("[data-page]")];
  const link = links.find((each) => each.getAttribute("href") === path.split("?")[0]);
  if (!link) return;
  for (const each of links) each.removeAttribute("aria-current");
  link.setAttribute("aria-current", "page");
}

// The words wait in the page's templates, so that they are in the reader's language.
function complain(name, code = name) {
  main.querySelector("[data-complaint]")?.remove();
  const notice = document.getElementById(name).content.firstElementChild.cloneNode(true);
  notice.dataset.complaint = name;
  notice.dataset.error = code;
  notice.setAttribute("role", "alert");
  main.prepend(notice);
  notice.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-page], [data-load], [data-refresh], [data-open-path], [data-dismiss]");
  if (!target || event.defaultPrevented) return;
  if (target.matches("[data-refresh]")) return refresh(target);
  if (target.matches("[data-dismiss]")) return dismiss(target);
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (target.matches("[data-page], [data-load]")) {
    event.preventDefault();
    load(target.getAttribute("href"), {});
  } else if (frame) {
    event.preventDefault();
    openPath(target);
  }
});

// Forms are sent with the token in a header; empty fields of a query say nothing and are left out.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-form]");
  if (!form) return;
  event.preventDefault();
  const fields = [...new FormData(form, event.submitter)];
  const action = form.getAttribute("action");
  if (form.method === "post") return load(action, { method: "POST", body: new URLSearchParams(fields) });
  const query = new URLSearchParams(fields.filter(([, value]) => value)).toString();
  load(query ? `${action}?${query}` : action, {});
});

async function refresh(button) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  await load(button.dataset.refresh, { method: "POST", focus: "[data-refresh]" });
  button.removeAttribute("aria-busy");
}

function dismiss(button) {
  button.closest(".notice").remove();
  main.focus();
}

// --- Clocks ---

function timeFormat(zone) {
  return new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" });
}

function timeAt(now, { zone, offset }) {
  if (zone) {
    try {
      return timeFormat(zone).format(now);
    } catch {
      // A browser older than the zone's name: the offset it had a moment ago will do.
    }
  }
  return timeFormat("UTC").format(now.getTime() + Number(offset) * 1000);
}

function tick() {
  const now = new Date();
  for (const clock of document.querySelectorAll("[data-clock]")) {
    clock.textContent = timeAt(now, clock.dataset);
    const [hours, minutes] = clock.textContent.split(":").map(Number);
    document.querySelector("[data-now]")?.setAttribute("x", hours * 60 + minutes - 5);
  }
}

function tickEachMinute() {
  setTimeout(() => {
    tick();
    tickEachMinute();
  }, 60_000 - (Date.now() % 60_000));
}

// Two zones may have different names and one clock; a year's first days of months tell.
function sameClock(one, other) {
  const [a, b] = [one, other].map(
    (timeZone) => new Intl.DateTimeFormat("en-GB", { timeZone, dateStyle: "short", timeStyle: "short" }),
  );
  const year = new Date().getFullYear();
  return [...Array(12).keys()].every((month) => {
    const day = Date.UTC(year, month, 1, 12);
    return a.format(day) === b.format(day);
  });
}

// The browser's zone against the calendar's and the profile's: only here are all three known.
function compareZones() {
  const notice = document.querySelector('[data-disagreement="browser"]');
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!notice || !here) return;
  const unlike = unlikeHere(here, notice.dataset);
  if (!unlike) return;
  const words = notice.querySelector(`[data-unlike="${unlike}"]`);
  words.querySelector("[data-browser-zone]").textContent = here;
  words.hidden = notice.hidden = notice.parentElement.hidden = false;
}

function unlikeHere(here, { zone, profile, offset }) {
  try {
    const calendar = zone ? !sameClock(here, zone) : Number(offset) !== -new Date().getTimezoneOffset() * 60;
    const own = profile ? !sameClock(here, profile) : calendar;
    if (!calendar) return own && "profile";
    return own ? "both" : "calendar";
  } catch {
    // A zone this browser does not know cannot be compared.
    return "";
  }
}

// Only whoever opens the team needs what moves there.
const MOVING = { "[data-team]": () => import("./team.js"), "[data-download]": () => import("./download.js") };

// It is fetched before the part is shown: whatever is pressed there is heard.
function whatMoves(part) {
  const marks = Object.keys(MOVING).filter((mark) => part.querySelector(mark));
  return Promise.all(marks.map((mark) => MOVING[mark]()));
}

function wake(moving) {
  tick();
  compareZones();
  for (const each of moving) each.wake(parts);
}

const parts = { main, load, send, complain };

// --- The portal around us ---

// Set once the frame library has met its portal; without it everything here still works.
let frame = null;

function meetPortal() {
  window.BX24?.init(() => {
    frame = window.BX24;
    new ResizeObserver(fitSoon).observe(document.body);
    fit();
  });
}

let fitting = 0;

function fitSoon() {
  clearTimeout(fitting);
  fitting = setTimeout(fit, 80);
}

let fitted = 0;

function fit() {
  const height = Math.ceil(document.body.getBoundingClientRect().height);
  if (height === fitted) return;
  const shrinks = height < fitted;
  fitted = height;
  if (!shrinks) return frame.fitWindow();
  // fitWindow never makes the frame smaller than it is, so the height goes first, the full width after.
  frame.resizeWindow(document.documentElement.clientWidth, height, () => frame.fitWindow());
}

function openPath(link) {
  frame.openPath(link.dataset.openPath, (answer) => {
    if (answer?.result === "error") window.open(link.href, "_blank", "noopener");
  });
}

const library = document.querySelector("script[data-bx24]");
if (window.BX24) meetPortal();
else library?.addEventListener("load", meetPortal);

wake([]);
tickEachMinute();
wake(await whatMoves(main));
document.documentElement.dataset.awake = "";
