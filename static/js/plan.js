// Starts the page Find a time. It is served as one file with the modules in plan/.

import { listenForPicker } from "./plan/picker.js";
import { listenForWhen } from "./plan/when.js";

listenForPicker();
listenForWhen();

// Called each time the page is shown.
export function init() {}
