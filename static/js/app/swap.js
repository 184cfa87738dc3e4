// Replaces the page inside the document, and updates focus, title and the current link.

import { init } from "./modules.js";
import { announce, main } from "./page.js";

export function swap(part, { path, modules, focus, isResumed }) {
  const focused = document.activeElement;
  main.replaceChildren(part);
  const title = main.querySelector("[data-title]")?.dataset.title;
  if (title) document.title = title;
  markCurrentLink(path);
  init(modules);
  if (isResumed) return;
  const target = focus ? main.querySelector(focus) : findSameControl(focused);
  (target ?? main).focus({ preventScroll: Boolean(target) });
  announce(announcement(title, target));
}

// Returns the control that had the focus, or the one that `data-next` names, in the new page; keeps what was typed into a search meanwhile.
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
  const link = links.find((each) => each.getAttribute("href") === path.split("?")[0]);
  if (!link) return;
  for (const each of links) each.removeAttribute("aria-current");
  link.setAttribute("aria-current", "page");
}
