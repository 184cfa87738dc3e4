// Shows that another page is loading if the wait is long enough to notice: its skeleton stands in the page's place.

import { main } from "./page.js";

const DELAY_MS = 150;
// Pages that begin with a list of people; the others are cards.
const LISTS = ["/team", "/plan", "/insights/"];

let skeletonTimer = 0;

export function showSkeletonSoon(path, { delay = DELAY_MS } = {}) {
  hideSkeleton();
  skeletonTimer = setTimeout(() => {
    const kind = LISTS.some((start) => path.startsWith(start)) ? "list" : "cards";
    const skeleton = document.querySelector(`[data-skeleton="${kind}"]`);
    if (!skeleton) return;
    skeleton.hidden = false;
    // The page itself stays, out of sight, with the focus and for the case that the new one does not come.
    main.dataset.waiting = "";
  }, delay);
}

export function hideSkeleton() {
  clearTimeout(skeletonTimer);
  for (const skeleton of document.querySelectorAll("[data-skeleton]")) skeleton.hidden = true;
  delete main.dataset.waiting;
}
