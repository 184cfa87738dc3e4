// Opens and closes what a pencil belongs to.

import { on } from "./events.js";
import { main } from "./page.js";
import { restoreReminders } from "./reminders.js";

export function listenForEditors() {
  on("click", "[data-open-editor]", (pencil) => setEditorOpen(pencil, pencil.getAttribute("aria-expanded") !== "true"));
  on("click", "[data-close-editor]", (button) => closeEditor(button));
  on("keydown", ".answers", (card, event) => {
    if (event.key === "Escape") closeEditor(event.target);
  });
}

function setEditorOpen(pencil, isOpen) {
  const editor = document.getElementById(pencil.dataset.openEditor);
  pencil.setAttribute("aria-expanded", String(isOpen));
  pencil.closest(".answer").toggleAttribute("data-editing", isOpen);
  editor.hidden = !isOpen;
  if (isOpen) editor.querySelector("button, input, select")?.focus();
}

// Closes the editor that an element is in, or the one of its pencil, and returns to the pencil.
function closeEditor(element) {
  const editor = element.closest("[id$=-editor]");
  const pencil = editor
    ? main.querySelector(`[data-open-editor="${editor.id}"]`)
    : element.closest("[data-open-editor]");
  if (pencil?.getAttribute("aria-expanded") !== "true") return;
  document.getElementById(pencil.dataset.openEditor).querySelector("form")?.reset();
  restoreReminders();
  setEditorOpen(pencil, false);
  pencil.focus();
}
