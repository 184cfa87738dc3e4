// Runs before the first paint. It is served as one file with those in before_paint/; a script that is no module, and
// so waits for nothing, can neither import nor export.

paintWhenRead();
replayEvents();
customElements.define("browser-zone", BrowserZone);
