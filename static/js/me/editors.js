// Opens and closes what a pencil belongs to.

import * as page from "../app.js";
import { restoreReminders } from "./reminders.js";

export function listenForEditors() {
  page.on("click", "[data-open-editor]", (pencil) => setOpen(pencil, pencil.getAttribute("aria-expanded") !== "true"));
  page.on("click", "[data-close-editor]", (button) => close(button));
  page.on("keydown", ".answers", (card, event) => {
    if (event.key === "Escape") close(event.target);
  });
}

function setOpen(pencil, isOpen) {
  const editor = document.getElementById(pencil.dataset.openEditor);
  pencil.setAttribute("aria-expanded", String(isOpen));
  pencil.closest(".answer").toggleAttribute("data-editing", isOpen);
  editor.hidden = !isOpen;
  if (isOpen) editor.querySelector("button, input, select")?.focus();
}

// Closes the editor that an element is in, or the one of its pencil, and returns to the pencil.
function close(element) {
  const editor = element.closest("[id$=-editor]");
  const pencil = editor
    ? page.main.querySelector(`[data-open-editor="${editor.id}"]`)
    : element.closest("[data-open-editor]");
  if (pencil?.getAttribute("aria-expanded") !== "true") return;
  document.getElementById(pencil.dataset.openEditor).querySelector("form")?.reset();
  restoreReminders();
  setOpen(pencil, false);
  pencil.focus();
}
