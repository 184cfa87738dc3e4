// Folds and unfolds the groups of the list. Those that the reader has changed stay so on other pages of it.

import * as page from "../app.js";

const isFoldedByGroup = new Map();

export function listenForFolds() {
  page.on("click", "[data-fold]", (button) => {
    const isFolded = button.getAttribute("aria-expanded") === "true";
    isFoldedByGroup.set(keyOf(button), isFolded);
    fold(button, isFolded);
  });
}

export function restoreFolds() {
  for (const button of page.main.querySelectorAll("[data-fold]")) {
    const isFolded = isFoldedByGroup.get(keyOf(button));
    if (isFolded !== undefined) fold(button, isFolded);
  }
}

function keyOf(button) {
  return button.closest("[data-group]").dataset.group;
}

function fold(button, isFolded) {
  button.setAttribute("aria-expanded", String(!isFolded));
  button.closest("tbody").toggleAttribute("data-folded", isFolded);
}
