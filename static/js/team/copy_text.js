// Copies a text to the clipboard, and shows whether that worked.

import * as page from "../app.js";

export function listenForCopy() {
  page.on("click", "[data-copy]", (button) => page.whileBusy(button, copyText));
}

async function copyText(button) {
  const source = page.main.querySelector(button.dataset.copy);
  const copied = await copy(source);
  const result = page.main.querySelector("[data-copy-result]");
  result.textContent = copied ? button.dataset.copied : button.dataset.marked;
  result.hidden = false;
}

// Browsers may deny the clipboard to a frame; then show and select the text.
async function copy(source) {
  try {
    await navigator.clipboard.writeText(source.value);
    return true;
  } catch {
    source.hidden = false;
    source.focus();
    source.select();
    return document.execCommand("copy");
  }
}
