// Tells the portal that the installation is done; the server has already stored everything.

const MAX_WAIT_MS = 6000;

const waiting = document.querySelector("[data-waiting]");
const help = document.querySelector("[data-help]");
const library = document.querySelector("script[data-bx24]");

function finish() {
  window.BX24?.init(() => window.BX24.installFinish());
}

function showHelp() {
  waiting.hidden = true;
  help.hidden = false;
}

if (window.BX24) finish();
else library.addEventListener("load", finish);

library.addEventListener("error", showHelp);
setTimeout(showHelp, MAX_WAIT_MS);
