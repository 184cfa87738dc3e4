// Saves a setting as soon as it is chosen. The new value shows at once; the server's answer shows what is stored.

import { on } from "./events.js";
import { main } from "./page.js";
import { reminderFields } from "./reminders.js";
import { load } from "./router.js";

// The changes that were saved since the page was opened; their rows say so until it is left.
const savedChanges = new Set();

export function listenForEdits() {
  on("submit", "form[data-edit]", saveEdit);
}

async function saveEdit(form, event) {
  event.preventDefault();
  const row = form.closest("[data-setting], [data-row], .reminder-editor") ?? form;
  if (row.getAttribute("aria-busy") === "true") return;
  const fields = reminderFields(form) ?? [...new FormData(form, event.submitter)];
  const undo = showSaving(row, event.submitter);
  const body = new URLSearchParams(fields);
  const isAnswered = await load(form.getAttribute("action"), { method: "POST", body, busy: row });
  if (!isAnswered) undo();
}

// Returns a function that shows the old value again, for an answer that does not come.
function showSaving(row, button) {
  const saving = row.querySelector("[data-saving]");
  const state = row.querySelector("[data-state]:not([hidden])");
  const wasOn = button?.getAttribute("aria-checked");
  if (wasOn) button.setAttribute("aria-checked", String(wasOn !== "true"));
  if (state) {
    keepFocus(state);
    state.hidden = true;
  }
  if (saving) saving.hidden = false;
  return () => {
    if (wasOn) button.setAttribute("aria-checked", wasOn);
    if (state) state.hidden = false;
    if (saving) saving.hidden = true;
  };
}

// A button that is hidden loses the focus, so the setting's own control has it from now on, as in the page that comes.
function keepFocus(state) {
  const { activeElement } = document;
  if (!state.contains(activeElement)) return;
  const name = CSS.escape(activeElement.dataset.keep);
  main.querySelector(`[data-keep="${name}"]`)?.focus({ preventScroll: true });
}

export function showSaved() {
  for (const state of main.querySelectorAll('[data-state="saved"]')) {
    const { change } = state.dataset;
    if (!state.hidden) savedChanges.add(change);
    else if (savedChanges.has(change)) state.hidden = false;
  }
}
