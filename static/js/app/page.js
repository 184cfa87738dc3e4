// The elements that stay while the pages inside them change.

export const main = document.getElementById("main");

const announcer = document.getElementById("announce");

// Screen readers read this aloud.
export function announce(text) {
  announcer.textContent = text;
}

export function isRightToLeft() {
  return document.documentElement.dir === "rtl";
}
