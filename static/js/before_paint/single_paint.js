// Delays the first paint until the browser has read the whole page. Painted earlier, the page would be laid out twice,
// and scripts that have already arrived would wait for the layout.

// The link waits for an element that does not exist. Without its removal, browsers would log a warning.
function paintWhenRead() {
  const link = Object.assign(document.createElement("link"), { rel: "expect", href: "#never", blocking: "render" });
  document.head.append(link);
  document.addEventListener("readystatechange", () => link.remove(), { once: true });
}
