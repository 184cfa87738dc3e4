// Starts the page Find a time. It is served as one file with the modules in plan/.

import { listenForPicker } from "./plan/picker.js";
import { listenForForm } from "./plan/form.js";

listenForPicker();
listenForForm();

// Called each time the page is shown.
export function init() {}
