// Starts the Team page. It is served as one file with the modules in team/.

import { listenForDays, showChosenDay } from "./team/calendar_days.js";
import { listenForFilters } from "./team/filters.js";
import { listenForFolds, restoreFolds } from "./team/groups.js";
import { listenForPointer } from "./team/hours_pointer.js";
import { listenForSelection, restoreSelection } from "./team/selection.js";
import { listenForSync, watchSync } from "./team/sync_progress.js";

listenForDays();
listenForFilters();
listenForFolds();
listenForPointer();
listenForSelection();
listenForSync();

// Called each time the Team page is shown.
export function init() {
  restoreFolds();
  restoreSelection();
  watchSync();
  showChosenDay();
}
