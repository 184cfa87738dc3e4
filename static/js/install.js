// The installer: everything is stored already, so it only tells the portal and steps aside.

const PATIENCE = 6000;

const stuck = document.querySelector("[data-stuck]");
const moving = document.querySelector("[data-moving]");
const library = document.querySelector("script[data-bx24]");

function finish() {
  window.BX24?.init(() => window.BX24.installFinish());
}

function explain() {
  moving.hidden = true;
  stuck.hidden = false;
}

if (window.BX24) finish();
else library.addEventListener("load", finish);

library.addEventListener("error", explain);
setTimeout(explain, PATIENCE);
