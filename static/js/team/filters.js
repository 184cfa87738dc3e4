// Applies a filter as soon as it is chosen, and a search when typing pauses.

import * as page from "../app.js";

const TYPING_PAUSE_MS = 300;

let typingTimer = 0;

export function listenForFilters() {
  document.addEventListener("click", clear, true);
  page.on("click", "[data-filters]", toggle);
  page.on("change", ".filters select, .filters [type=date]", (field) => field.form.requestSubmit());
  page.on("input", ".filters [type=search]", () => {
    clearTimeout(typingTimer);
    // Look the form up again: a response may have replaced it meanwhile.
    typingTimer = setTimeout(() => page.main.querySelector(".filters")?.requestSubmit(), TYPING_PAUSE_MS);
  });
}

// On a phone the filters unfold below the search.
function toggle(button) {
  const isOpen = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!isOpen));
}

// Empties the form at once, so that a search typed before the response arrives has no old filter.
function clear(event) {
  if (!event.target.closest("[data-keep=clear]") || !page.isPlainClick(event)) return;
  clearTimeout(typingTimer);
  for (const field of page.main.querySelectorAll(".filters select, .filters [type=search], .filters [type=hidden][value='1']")) field.value = "";
}
