// Downloads a file with the session token in a header, which a plain link cannot send.

import { whileBusy } from "./busy.js";
import { showResponseError } from "./errors.js";
import { on } from "./events.js";
import { send } from "./session.js";

const REVOKE_DELAY_MS = 60_000;

export function listenForDownloads() {
  on("click", "[data-download]", (button) => whileBusy(button, download));
}

async function download(button) {
  const response = await send(button.dataset.download, { accept: "*/*" });
  if (!response.ok) return showResponseError(response.status);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition"))?.[1] ?? "";
  link.click();
  button.closest("details")?.removeAttribute("open");
  setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_DELAY_MS);
}
