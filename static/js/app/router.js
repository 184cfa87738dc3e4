// Loads pages into the document; the frame itself never navigates.

import { whileBusy } from "./busy.js";
import { showError, showResponseError } from "./errors.js";
import { isPlainClick, on } from "./events.js";
import { hideSkeleton, showSkeletonSoon } from "./loading.js";
import { loadModules } from "./modules.js";
import { main } from "./page.js";
import { addToHistory, keepEntry, replaceEntry } from "./page_history.js";
import { interruptedPath, isOtherPage, listenForHistory } from "./page_history.js";
import { send } from "./session.js";
import { watchCard } from "./stale_card.js";
import { swap } from "./swap.js";

// The request under way; a later one replaces it.
let current = null;

// Resolves to whether there is a new page. `busy` is the part that waits for it, by default the whole page; `remember`
// puts the page into the history; `isResumed` means that nobody has asked for the page, so the focus stays.
export async function load(path, { method = "GET", body, focus, busy = main, remember = addToHistory, isResumed } = {}) {
  current?.abort();
  const request = (current = new AbortController());
  busy.setAttribute("aria-busy", "true");
  const isPage = method === "GET";
  // What is on screen stays while filters answer.
  if (isPage && isOtherPage(path)) showSkeletonSoon(path, isResumed ? { delay: 0 } : {});
  else hideSkeleton();
  try {
    const response = await send(path, { method, body, signal: request.signal });
    const text = await response.text();
    const part = isHtml(response) && parse(text);
    const modules = part && (await loadModules(part));
    if (request !== current) return true;
    hideSkeleton();
    if (part && isPage) remember(path);
    if (part) swap(part, { path, modules, focus, isResumed });
    else showResponseError(response.status, text);
    watchCard(load);
    return Boolean(part);
  } catch {
    // A replaced request is aborted on purpose; otherwise the connection was lost.
    if (request.signal.aborted) return true;
    hideSkeleton();
    showError("offline");
    return false;
  } finally {
    if (request === current || busy !== main) busy.removeAttribute("aria-busy");
  }
}

function isHtml(response) {
  return (response.headers.get("Content-Type") ?? "").startsWith("text/html");
}

// The server escapes this HTML, and scripts inserted this way do not run.
function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

// Goes on where a reload of the portal's page has interrupted, unless something was pressed meanwhile.
export async function resume() {
  const path = await interruptedPath();
  if (path && !current) load(path, { remember: replaceEntry, isResumed: true });
}

export function listenForNavigation() {
  listenForHistory((path) => load(path, { remember: keepEntry }));
  watchCard(load);
  on("click", "[data-page], [data-load]", (link, event) => {
    if (!isPlainClick(event)) return;
    event.preventDefault();
    load(link.getAttribute("href"));
  });
  on("click", "[data-refresh]", (button) =>
    whileBusy(button, () => load(button.dataset.refresh, { method: "POST", focus: "[data-refresh]" })),
  );
  on("submit", "form[data-form]", submit);
}

// Leaves empty fields out of the query.
function submit(form, event) {
  event.preventDefault();
  const fields = [...new FormData(form, event.submitter)];
  const action = form.getAttribute("action");
  if (form.method === "post") return load(action, { method: "POST", body: new URLSearchParams(fields) });
  const query = new URLSearchParams(fields.filter(([, value]) => value)).toString();
  return load(query ? `${action}?${query}` : action);
}
