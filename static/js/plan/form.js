// Loads the plan as soon as another day or length is chosen.

import * as page from "../app.js";

const KEY_PAUSE_MS = 600;
const ANSWER_PAUSE_MS = 100;

let submitTimer = 0;
// What was chosen and not yet sent, by field: an answer to what was pressed before may replace the form meanwhile.
const chosen = new Map();

export function listenForForm() {
  page.on("change", "[data-plan-form] input", (input) => {
    clearTimeout(submitTimer);
    chosen.set(input.name, input.value);
    if (input.form.reportValidity()) submitTimer = setTimeout(submit, isTyped(input) ? KEY_PAUSE_MS : 0);
  });
}

// A date changes with each digit that is typed.
function isTyped(input) {
  return input.type === "date";
}

function submit() {
  // Without the answer, the form would take back what was pressed before, such as the removal of a person.
  if (page.main.hasAttribute("aria-busy")) {
    submitTimer = setTimeout(submit, ANSWER_PAUSE_MS);
    return;
  }
  const form = page.main.querySelector("[data-plan-form]");
  for (const [name, value] of chosen) {
    const field = form?.elements.namedItem(name);
    if (field) field.value = value;
  }
  chosen.clear();
  form?.requestSubmit();
}
