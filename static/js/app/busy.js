// Runs a button's action; while it runs, further clicks on the button are ignored.

import { showError } from "./errors.js";

export async function whileBusy(button, action) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await action(button);
  } catch {
    // Actions handle all other errors themselves.
    showError("offline");
  } finally {
    button.removeAttribute("aria-busy");
  }
}
