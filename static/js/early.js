// Until the page is awake a click waits for it: a link would take the frame itself away, a button do nothing.

addEventListener(
  "click",
  (event) => {
    if ("awake" in document.documentElement.dataset) return;
    const held = event.target.closest("a[data-page], a[data-load], button");
    if (!held) return;
    event.preventDefault();
    import("./app.js").then(() => held.click());
  },
  true,
);
