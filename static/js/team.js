// Starts the Team page. It is served as one file with the modules in team/.

import { listenForFilters } from "./team/filters.js";
import { listenForPointer } from "./team/hours_pointer.js";
import { listenForSync, watchSync } from "./team/sync_progress.js";

listenForFilters();
listenForPointer();
listenForSync();

// Called each time the Team page is shown.
export function init() {
  watchSync();
}
