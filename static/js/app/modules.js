// Loads the scripts and stylesheets that only some pages need, and initializes each page.

import { placeTags } from "./clocks.js";
import { showSaved } from "./edits.js";
import { rememberReminders } from "./reminders.js";

const MODULES = {
  "[data-plan]": () => import("../plan.js"),
  "[data-team], [data-plan]": () => import("../team.js"),
};

// Load them before the page is shown, so that its buttons work at once.
export async function loadModules(part) {
  const selectors = Object.keys(MODULES).filter((selector) => part.querySelector(selector));
  const modules = Promise.all(selectors.map((selector) => MODULES[selector]()));
  await Promise.all([...part.querySelectorAll("link[rel=stylesheet]")].map(loadStylesheet));
  return modules;
}

// Stylesheets stay in the document's head, so that a page that is shown again has its own at once.
function loadStylesheet(link) {
  const isLoaded = document.head.querySelector(`link[href="${CSS.escape(link.getAttribute("href"))}"]`);
  if (link.isConnected) return undefined;
  link.remove();
  if (isLoaded) return undefined;
  document.head.append(link);
  return new Promise((resolve) => {
    link.onload = link.onerror = resolve;
  });
}

export function init(modules) {
  placeTags();
  showSaved();
  rememberReminders();
  for (const module of modules) module.init();
}
