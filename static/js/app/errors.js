// Shows errors that have no page of their own. Their texts are templates in the document, in the user's language.

import { on } from "./events.js";
import { main } from "./page.js";

export function showError(name, code = name) {
  main.querySelector("[data-client-error]")?.remove();
  const notice = document.getElementById(name).content.firstElementChild.cloneNode(true);
  notice.dataset.clientError = name;
  notice.dataset.error = code;
  notice.setAttribute("role", "alert");
  main.prepend(notice);
  notice.scrollIntoView({ block: "nearest" });
}

// Shows that a response could not be used; its text may be JSON with an error code.
export function showResponseError(status, text = "") {
  if (status === 401) showError("session_missing", errorCode(text));
  else showError("strange_answer");
}

function errorCode(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return undefined;
  }
}

export function listenForDismiss() {
  on("click", "[data-dismiss]", (button) => {
    button.closest(".notice").remove();
    main.focus();
  });
}
