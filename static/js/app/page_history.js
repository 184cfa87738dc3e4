// Lets the browser's Back button go back between our pages, and a reload of the portal's page return to the last one.
//
// The frame's own address never changes: each entry of its history holds the path of a page. The last path is also kept
// in the tab's session storage, or, where the browser denies that to a frame, in the user's own options in the portal.

import { connected } from "./bx24.js";
import { main } from "./page.js";

const LAST_PAGE = "last_page";
const MAX_AGE_MS = 12 * 60 * 60_000; // as long as a session
const MAX_ENTRIES = 50; // in Chromium and Firefox

let currentPath = "";

// Calls `show` with the path of the entry that Back or Forward leads to.
export function listenForHistory(show) {
  currentPath = main.querySelector("[data-address]")?.dataset.address ?? currentLink() ?? "";
  addEventListener("popstate", ({ state }) => {
    if (isPath(state?.path)) show(state.path);
  });
  // The portal's page around the frame may have added entries of its own meanwhile.
  addEventListener("pagehide", () => hasStorage() && store());
}

export function isOtherPage(path) {
  return pageOf(path) !== pageOf(currentPath);
}

// The same page with another query, such as other filters, replaces its entry.
export function addToHistory(path) {
  if (!isOtherPage(path)) return replaceEntry(path);
  // The entry that is left needs its path to come back to; the first one gets it only now, to delay no first page.
  changeEntry("replaceState");
  currentPath = path;
  changeEntry("pushState");
  return store();
}

export function replaceEntry(path) {
  currentPath = path;
  changeEntry("replaceState");
  store();
}

// For an entry that the browser itself went to.
export function keepEntry(path) {
  currentPath = path;
  store();
}

// Returns the path of the page that a reload of the portal's page has interrupted, undefined if there was none.
export async function interruptedPath() {
  const text = hasStorage() ? sessionStorage.getItem(LAST_PAGE) : (await connected).userOption?.get(LAST_PAGE);
  const page = attempt(() => JSON.parse(decodeURIComponent(text)));
  if (page?.owner !== frameKey() || !isPath(page.path) || page.path === currentPath) return undefined;
  // A reload adds no entry to the tab's history; going elsewhere and coming back does, unless the history is full.
  const isReload = page.entries === history.length && page.entries < MAX_ENTRIES;
  return isReload && Math.abs(Date.now() - page.at) < MAX_AGE_MS ? page.path : undefined;
}

async function store() {
  if (!frameKey() || !currentPath) return;
  const page = { owner: frameKey(), path: currentPath, entries: history.length, at: Date.now() };
  // Portals may escape quotes in an option.
  const text = encodeURIComponent(JSON.stringify(page));
  if (hasStorage()) attempt(() => sessionStorage.setItem(LAST_PAGE, text));
  else (await connected).userOption?.set(LAST_PAGE, text);
}

function hasStorage() {
  return attempt(() => sessionStorage.length) !== undefined;
}

// Browsers refuse too many changes within a short time.
function changeEntry(method) {
  attempt(() => history[method]({ path: currentPath }, ""));
}

// Who opened the application, and in which place of the portal: nobody else's page may return, nor another place's.
function frameKey() {
  return document.querySelector("[data-frame]").dataset.frame;
}

function pageOf(path) {
  return path.split("?")[0];
}

function currentLink() {
  return document.querySelector("[data-page][aria-current]")?.getAttribute("href");
}

// Requests carry the session token, so they must never go to another host.
function isPath(value) {
  return typeof value === "string" && /^\/[a-z]/.test(value);
}

function attempt(action) {
  try {
    return action();
  } catch {
    return undefined;
  }
}
