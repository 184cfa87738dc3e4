// Uses Bitrix24's frame library to fit the frame to its content, to open the portal's own pages, and to hear its events.

import { isPlainClick, on } from "./events.js";

const FIT_DELAY_MS = 80;

// The library, once it is connected to the portal; without it everything else still works.
let bx24 = null;
let fitTimer = 0;
let fittedHeight = 0;

let setConnected;

// Resolves with the library; never where it could not be loaded, or the portal does not answer.
export const connected = new Promise((resolve) => {
  setConnected = resolve;
});

export function initBX24() {
  on("click", "[data-open-path]", openPath);
  on("click", "[data-open-chat]", openChat);
  const library = document.querySelector("script[data-bx24]");
  if (window.BX24) connect();
  else library?.addEventListener("load", connect);
}

function connect() {
  window.BX24?.init(() => {
    bx24 = window.BX24;
    setConnected(bx24);
    // The portal makes a frame of some height, which may be more than a card needs.
    fittedHeight = document.documentElement.clientHeight;
    new ResizeObserver(fitSoon).observe(document.body);
    fit();
  });
}

// Calls the handler each time the portal's page around the frame sends an event; other pages do not know it.
export async function onPortalEvent(name, handler) {
  (await connected).placement?.bindEvent(name, handler);
}

function fitSoon() {
  clearTimeout(fitTimer);
  fitTimer = setTimeout(fit, FIT_DELAY_MS);
}

function fit() {
  const height = Math.ceil(document.body.getBoundingClientRect().height);
  if (height === fittedHeight) return;
  const shrinks = height < fittedHeight;
  fittedHeight = height;
  if (!shrinks) return bx24.fitWindow();
  // fitWindow never shrinks the frame, so set the smaller height first.
  bx24.resizeWindow(document.documentElement.clientWidth, height, () => bx24.fitWindow());
}

function openPath(link, event) {
  if (!bx24 || !isPlainClick(event)) return;
  event.preventDefault();
  bx24.openPath(link.dataset.openPath, (result) => {
    if (result?.result === "error") window.open(link.href, "_blank", "noopener");
  });
}

function openChat(link, event) {
  if (!bx24?.im?.openMessenger || !isPlainClick(event)) return;
  event.preventDefault();
  bx24.im.openMessenger(link.dataset.openChat);
}
