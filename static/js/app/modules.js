// Loads the scripts that only some pages need, and initializes each page.

import { compareZones } from "./browser_zone.js";
import { updateClocks } from "./clocks.js";

const MODULES = {
  "[data-me]": () => import("../me.js"),
  "[data-plan]": () => import("../plan.js"),
  "[data-team], [data-plan]": () => import("../team.js"),
};

// Load them before the page is shown, so that its buttons work at once.
export function loadModules(part) {
  const selectors = Object.keys(MODULES).filter((selector) => part.querySelector(selector));
  return Promise.all(selectors.map((selector) => MODULES[selector]()));
}

export function init(modules) {
  updateClocks();
  compareZones();
  for (const module of modules) module.init();
}
