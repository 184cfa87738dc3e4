// Loads a card again when what it says is no longer true, such as "At work" after the person's hours.

import { main } from "./page.js";

let staleTimer = 0;

export function watchCard(load) {
  clearTimeout(staleTimer);
  const card = main.querySelector("[data-changes-in]");
  if (!card) return;
  const reload = () => card.isConnected && load(card.dataset.address, { isResumed: true });
  staleTimer = setTimeout(reload, Number(card.dataset.changesIn) * 1000);
}
