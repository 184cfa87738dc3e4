// Starts, cancels and shows the progress of the update of everyone's settings.

import * as page from "../app.js";

const POLL_INTERVAL_MS = 2000;

let pollTimer = 0;

export function listenForSync() {
  page.on("click", "[data-run-start]", (button) => page.whileBusy(button, start));
  page.on("click", "[data-run-cancel]", (button) => page.whileBusy(button, cancel));
}

export function watchSync() {
  clearTimeout(pollTimer);
  if (page.main.querySelector("[data-run][data-under-way]")) pollSoon();
}

async function start(button) {
  const run = await fetchRun(button.dataset.runStart, "POST");
  if (!run) return;
  button.hidden = true;
  showProgress(run);
  page.main.querySelector("[data-run-cancel]")?.focus();
  pollSoon();
}

async function cancel(button) {
  if (await fetchRun(button.dataset.runCancel, "POST")) await reload();
}

function pollSoon() {
  clearTimeout(pollTimer);
  pollTimer = setTimeout(poll, POLL_INTERVAL_MS);
}

async function poll() {
  const box = page.main.querySelector("[data-run]");
  if (!box) return;
  if (document.hidden) return pollSoon();
  let run;
  try {
    run = await fetchRun(box.dataset.run, "GET");
  } catch {
    // Keep polling when the connection is lost for a moment.
    return pollSoon();
  }
  // Stop if the page was replaced meanwhile; the new one polls itself.
  if (!run || !box.isConnected) return;
  if (!run.under_way) return reload();
  showProgress(run);
  pollSoon();
}

async function fetchRun(path, method) {
  const response = await page.send(path, { method, accept: "application/json" });
  if (response.ok) return response.json();
  page.showResponseError(response.status);
  return null;
}

function showProgress(run) {
  const box = page.main.querySelector("[data-run]");
  box.hidden = false;
  box.dataset.underWay = "";
  box.querySelector("[data-run-text]").textContent = run.words;
  const bar = box.querySelector("progress");
  bar.max = run.total || 1;
  if (run.total) bar.value = run.done + run.failed;
  else bar.removeAttribute("value");
}

function reload() {
  return page.load(page.main.querySelector("[data-address]").dataset.address);
}
