// Keeps the people whom the user has selected, also while other pages of the list are shown.

import * as page from "../app.js";

const MAX_PEOPLE = 200;
const SHOWN_NAMES = 3;

// Names by user id, in the order of selection.
const selected = new Map();

export function listenForSelection() {
  page.on("change", "[data-select]", (box) => {
    if (!box.checked) selected.delete(box.dataset.select);
    else if (selected.size < MAX_PEOPLE) selected.set(box.dataset.select, nameOf(box));
    show();
  });
  page.on("click", "[data-selection-clear]", () => {
    selected.clear();
    show();
    page.main.querySelector("[data-select]")?.focus();
  });
}

export function restoreSelection() {
  show();
}

function nameOf(box) {
  return box.closest("tr").querySelector(".people-chart__name").textContent.trim();
}

function show() {
  for (const box of page.main.querySelectorAll("[data-select]")) box.checked = selected.has(box.dataset.select);
  const bar = page.main.querySelector("[data-selection]");
  if (!bar) return;
  bar.hidden = !selected.size;
  const count = bar.querySelector("[data-selection-count]");
  count.textContent = count.dataset.selectionCount.replace("{count}", selected.size);
  bar.querySelector("[data-selection-names]").textContent = [...selected.values()].slice(0, SHOWN_NAMES).join(", ");
  const link = bar.querySelector("[data-selection-link]");
  link.lastElementChild.textContent = link.dataset.selectionLink.replace("{count}", selected.size);
  link.href = `${link.pathname}?people=${[...selected.keys()].join(",")}`;
}
