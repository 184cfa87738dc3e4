// Applies a filter as soon as it is chosen, and a search when typing pauses.

import * as page from "../app.js";

const TYPING_PAUSE_MS = 300;

let typingTimer = 0;

export function listenForFilters() {
  page.on("change", ".filters select", (select) => select.form.requestSubmit());
  page.on("input", ".filters [type=search]", () => {
    clearTimeout(typingTimer);
    // Look the form up again: a response may have replaced it meanwhile.
    typingTimer = setTimeout(() => page.main.querySelector(".filters")?.requestSubmit(), TYPING_PAUSE_MS);
  });
}
