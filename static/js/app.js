// Starts the page inside the portal's frame. It is served as one file with the modules in app/.

import { initBX24 } from "./app/bx24.js";
import { updateClocksEachMinute } from "./app/clocks.js";
import { listenForCopy } from "./app/copy_text.js";
import { listenForDownloads } from "./app/download.js";
import { listenForEditors } from "./app/editors.js";
import { listenForEdits } from "./app/edits.js";
import { listenForDismiss, showError } from "./app/errors.js";
import { init, loadModules } from "./app/modules.js";
import { main } from "./app/page.js";
import { listenForReminders } from "./app/reminders.js";
import { listenForNavigation, resume } from "./app/router.js";

// What other scripts import from here.
export { onPortalEvent } from "./app/bx24.js";
export { whileBusy } from "./app/busy.js";
export { showResponseError } from "./app/errors.js";
export { clockText, momentOn, showClock, timeAt, updateClocks } from "./app/clocks.js";
export { isPlainClick, on } from "./app/events.js";
export { isRightToLeft, main } from "./app/page.js";
export { load } from "./app/router.js";
export { send } from "./app/session.js";

// Resolves when the first page is ready to use.
export const ready = start();

async function start() {
  listenForNavigation();
  listenForCopy();
  listenForDownloads();
  listenForDismiss();
  listenForEdits();
  listenForEditors();
  listenForReminders();
  initBX24();
  init([]);
  updateClocksEachMinute();
  try {
    for (const module of await loadModules(main)) module.init();
  } catch {
    // A script could not be loaded; everything that does not need it still works.
    showError("offline");
  }
  document.documentElement.dataset.ready = "";
  resume();
}
