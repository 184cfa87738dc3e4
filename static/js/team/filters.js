// Sends the team's filters as soon as one is chosen, and a search when typing pauses.

import * as page from "../app.js";

const TYPING_PAUSE_MS = 300;

let typingTimer = 0;

export function listenForFilters() {
  page.on("change", ".filters select", (select) => select.form.requestSubmit());
  page.on("input", ".filters [type=search]", () => {
    clearTimeout(typingTimer);
    // The form may be another element by then: an answer that came in between brought a new one.
    typingTimer = setTimeout(() => page.main.querySelector(".filters")?.requestSubmit(), TYPING_PAUSE_MS);
  });
}
