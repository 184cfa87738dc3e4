// Starts the pages with the person's own settings. It is served as one file with the modules in me/.

import { listenForEdits, showSaved } from "./me/edits.js";
import { listenForEditors } from "./me/editors.js";
import { listenForReminders, rememberReminders } from "./me/reminders.js";

listenForEdits();
listenForEditors();
listenForReminders();

// Called each time one of the pages is shown.
export function init() {
  showSaved();
  rememberReminders();
}
