// Loads pages into the document; the frame itself never navigates.

import { whileBusy } from "./busy.js";
import { showError, showResponseError } from "./errors.js";
import { isPlainClick, on } from "./events.js";
import { loadModules } from "./modules.js";
import { main } from "./page.js";
import { send } from "./session.js";
import { swap } from "./swap.js";

// The request under way; a later one replaces it.
let current = null;

// Resolves to whether there is a new page. `busy` is the part that waits for it, by default the whole page.
export async function load(path, { method = "GET", body, focus, busy = main } = {}) {
  current?.abort();
  const request = (current = new AbortController());
  busy.setAttribute("aria-busy", "true");
  try {
    const response = await send(path, { method, body, signal: request.signal });
    const text = await response.text();
    const part = isHtml(response) && parse(text);
    const modules = part && (await loadModules(part));
    if (request !== current) return true;
    if (part) swap(part, { path, modules, focus });
    else showResponseError(response.status, text);
    return Boolean(part);
  } catch {
    // A replaced request is aborted on purpose; otherwise the connection was lost.
    if (!request.signal.aborted) showError("offline");
    return request.signal.aborted;
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

export function listenForNavigation() {
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
