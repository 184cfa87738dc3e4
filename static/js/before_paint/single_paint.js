// Has browsers paint the page once and whole: not a half of it while they read the rest, which would be laid out twice,
// and not between its last line and the scripts that have already arrived, which would then wait for the layout.

// Waits for an element that never comes. At the end of the page browsers would stop waiting too, but with a warning.
function paintWhenRead() {
  const link = Object.assign(document.createElement("link"), { rel: "expect", href: "#never", blocking: "render" });
  document.head.append(link);
  document.addEventListener("readystatechange", () => link.remove(), { once: true });
}
