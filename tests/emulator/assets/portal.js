// The portal's page: puts the application into its frame and wires the emulator's controls.
import { AppFrame } from "/_emulator/assets/frame.js";

const state = JSON.parse(document.getElementById("state").textContent);
const find = (selector) => document.querySelector(selector);

async function post(name, body) {
  const answer = await fetch(`/_emulator/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ person: state.person, ...body }),
  });
  // Read to its end even where it is empty: whoever leaves the page before that has cut a request short.
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

function addressOf(changes) {
  const wanted = { person: state.person, form: state.form, controls: find("#controls").open ? "open" : "", ...changes };
  const query = Object.entries(wanted).filter(([, value]) => value);
  return `/?${new URLSearchParams(query)}`;
}

const reload = (changes) =>
  location.assign(addressOf({ placement: state.placement, colleague: state.colleague, ...changes }));

function note(text) {
  find("#note").textContent = text;
}

const slider = find("#slider");
let whenClosed = () => {};

function slide(title, closed) {
  find("#slider-title").textContent = title;
  find("#slider-place").replaceChildren();
  whenClosed = closed;
  slider.showModal();
}

async function slideApplication(params, closed) {
  const opening = await post("open", { placement: "DEFAULT", options: params, form: state.form });
  slide(params.bx24_title || "Application", closed);
  if (opening !== null) new AppFrame(opening, find("#slider-place"), page).submit();
}

slider.addEventListener("close", () => {
  find("#slider-place").replaceChildren();
  whenClosed();
});
find("#slider-close").addEventListener("click", () => slider.close());

const page = {
  post,
  reload,
  note,
  slide,
  slideApplication,
  closeSlider: () => slider.close(),
  setTitle: (title) => { find("#title").textContent = title; },
};

function day(offset) {
  return new Date(Date.now() + offset * 86400000).toISOString().slice(0, 10);
}

// What each control does besides telling the emulator; most only tell.
const AFTER = {
  install: () => reload({}),
  "install-market": () => reload({}),
  uninstall: () => reload({ placement: "" }),
  "uninstall-keep": () => reload({ placement: "" }),
  restrict: () => reload({}),
  allow: () => reload({}),
  close: () => reload({}),
  reopen: () => reload({}),
  rename: (answer) => location.assign(answer.origin + addressOf({ placement: state.placement })),
};

const MOVES = {
  main: () => location.assign(addressOf({ placement: "" })),
  gridview: () => location.assign(addressOf({ placement: "CALENDAR_GRIDVIEW" })),
  card: () => location.assign(addressOf({ placement: "USER_PROFILE_TOOLBAR", colleague: state.colleague })),
  chat: () => location.assign(addressOf({ placement: "IM_SIDEBAR", colleague: state.colleague })),
  earlier: () => frame?.happen("Calendar.customView:decreaseViewRangeDate", {}),
  later: () => frame?.happen("Calendar.customView:increaseViewRangeDate", {}),
  today: () => frame?.happen("Calendar.customView:adjustToDate", day(0)),
};

for (const button of document.querySelectorAll("button[data-control]")) {
  button.addEventListener("click", async () => {
    // A switch does the opposite of its present state.
    const name = button.dataset.control;
    if (MOVES[name]) return MOVES[name]();
    const answer = await post(name, {});
    note(answer?.note || "Done.");
    if (AFTER[name]) return AFTER[name](answer);
    return look();
  });
}

find("[data-control=person]").addEventListener("change", (event) => {
  location.assign(addressOf({ person: event.target.value, placement: state.placement }));
});
find("[data-control=colleague]")?.addEventListener("change", (event) => reload({ colleague: event.target.value }));
find("[data-control=date]")?.addEventListener("change", (event) => {
  frame?.happen("Calendar.customView:adjustToDate", event.target.value);
});
find("[data-control=form]").addEventListener("change", (event) => reload({ form: event.target.value }));
find("[data-control=language]").addEventListener("change", async (event) => {
  await post("language", { language: event.target.value });
  reload({});
});

function row(request) {
  const line = document.createElement("li");
  line.dataset.status = request.status;
  line.dataset.method = request.method;
  line.classList.toggle("failed", Boolean(request.error) || request.status >= 400 || request.status === 0);
  const inner = request.inner.length ? ` (${request.inner.join(", ")})` : "";
  const outcome = request.error ? `${request.status} ${request.error}` : String(request.status);
  line.textContent = `${request.time}  ${request.method}${inner} · ${request.person || "nobody"} · ${outcome}`;
  return line;
}

function turn(button, on) {
  button.setAttribute("aria-checked", String(on));
  button.dataset.control = on ? button.dataset.off : button.dataset.on;
}

async function look() {
  const seen = await fetch(`/_emulator/seen?${new URLSearchParams({ person: state.person })}`).then((answer) => answer.json()).catch(() => null);
  if (seen === null) return;
  find("[data-counter=requests]").textContent = seen.count;
  find("[data-counter=refreshes]").textContent = seen.refreshes;
  for (const [name, on] of Object.entries(seen.switches)) turn(find(`[data-switch=${name}]`), on);
  for (const [name, text] of Object.entries(seen.facts)) find(`[data-fact=${name}]`).textContent = text;
  find("#seen").replaceChildren(...seen.requests.map(row));
}

const frame = state.opening ? new AppFrame(state.opening, find("#place"), page) : null;
window.portalFrame = frame;
frame?.submit();
look();
setInterval(look, 1000);
