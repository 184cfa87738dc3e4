// Copies a text to the clipboard, and shows whether that worked.

import { whileBusy } from "./busy.js";
import { on } from "./events.js";
import { announce, main } from "./page.js";

export function listenForCopy() {
  on("click", "[data-copy]", (button) => whileBusy(button, copyText));
}

async function copyText(button) {
  const copied = await copy(main.querySelector(button.dataset.copy), button);
  const result = (button.closest("[data-copies]") ?? main).querySelector("[data-copy-result]");
  result.textContent = copied ? button.dataset.copied : button.dataset.marked;
  result.hidden = false;
  announce(result.textContent);
}

// Browsers may deny the clipboard to a frame; then copy the selection, or leave the text selected.
async function copy(source, button) {
  try {
    await navigator.clipboard.writeText(source.value);
    return true;
  } catch {
    const wasHidden = source.hidden;
    source.hidden = false;
    source.focus();
    source.select();
    const copied = document.execCommand("copy");
    if (copied && wasHidden) {
      source.hidden = true;
      button.focus();
    }
    return copied;
  }
}
