// Loads the plan as soon as another day or length is chosen.

import * as page from "../app.js";

const KEY_PAUSE_MS = 600;

let pause = 0;

export function listenForForm() {
  page.on("change", "[data-plan-form] input", (input) => {
    clearTimeout(pause);
    if (input.form.reportValidity()) pause = setTimeout(submit, isTyped(input) ? KEY_PAUSE_MS : 0);
  });
}

// A date changes with each digit that is typed.
function isTyped(input) {
  return input.type === "date";
}

function submit() {
  page.main.querySelector("[data-plan-form]")?.requestSubmit();
}
