// Replaces the page inside the document, and updates focus, title and the current link.

import { init } from "./modules.js";
import { announce, main } from "./page.js";

export function swap(part, { path, modules, focus, isResumed }) {
  const focused = document.activeElement;
  const openNames = openDetailsNames(focused);
  main.replaceChildren(part);
  for (const [name, details] of detailsByName()) if (details && openNames.has(name)) details.open = true;
  const title = main.querySelector("[data-title]")?.dataset.title;
  if (title) document.title = title;
  markCurrentLink(path);
  init(modules);
  if (isResumed) return;
  const target = focus ? main.querySelector(focus) : findSameControl(focused);
  (target ?? main).focus({ preventScroll: Boolean(target) });
  // After a change the page may be shorter, so that what became of it is out of sight.
  if (main.querySelector("[data-changed]")) target?.scrollIntoView({ block: "nearest" });
  announce(announcement(title, target));
}

// Returns the names of what a person has opened; a form that was sent closes what it is in.
function openDetailsNames(focused) {
  const sent = focused?.closest("form[method=post]");
  const isOpen = ([, details]) => details?.open && !details.contains(sent);
  return new Set([...detailsByName()].filter(isOpen).map(([name]) => name));
}

// Returns what can be opened by its card and its own text. Where two are the same, neither can be found again.
function detailsByName() {
  const found = new Map();
  for (const details of main.querySelectorAll("details")) {
    const card = details.closest("[aria-labelledby]")?.getAttribute("aria-labelledby");
    const text = details.dataset.keep ?? details.querySelector("summary").textContent;
    const name = [card, details.className, text].join(" ");
    found.set(name, found.has(name) ? null : details);
  }
  return found;
}

// Returns the control in the new page that had the focus, or the one that `data-next` names. Keeps what was typed into
// a search meanwhile.
function findSameControl(focused) {
  const name = focused?.dataset?.next ?? focused?.dataset?.keep;
  const target = name && main.querySelector(`[data-keep="${CSS.escape(name)}"]`);
  if (target?.type === "search") {
    target.value = focused.value;
    target.setSelectionRange(focused.selectionStart, focused.selectionEnd);
  }
  return target || null;
}

function announcement(title, target) {
  const error = main.querySelector("[data-error] h2")?.textContent;
  const outcome = main.querySelector("[data-changed]")?.textContent;
  const status = (main.querySelector("[data-refreshed]") ?? main.querySelector("[data-as-of]"))?.textContent;
  return error ?? outcome ?? (target && status) ?? title ?? "";
}

function markCurrentLink(path) {
  const links = [...document.querySelectorAll("[data-page]")];
  // A page below another one, such as /team/invitation, belongs to that one's tab.
  const link = links.find((each) => `${path.split("?")[0]}/`.startsWith(`${each.getAttribute("href")}/`));
  if (!link) return;
  for (const each of links) each.removeAttribute("aria-current");
  link.setAttribute("aria-current", "page");
}
