// Until the page is awake what is done to it waits: a link would take the frame itself away, and so would a
// form; a button or a field would do nothing.

const HELD = {
  click({ target }) {
    const held = target.closest("a[data-page], a[data-load], button");
    return held && (() => held.click());
  },
  submit: ({ target, submitter }) => () => target.requestSubmit(submitter),
  input: again,
  change: again,
};

function again({ target, type }) {
  return () => target.dispatchEvent(new Event(type, { bubbles: true }));
}

for (const [type, hold] of Object.entries(HELD)) addEventListener(type, waits(hold), true);

function waits(hold) {
  return (event) => {
    if ("awake" in document.documentElement.dataset) return;
    const repeat = hold(event);
    if (!repeat) return;
    event.preventDefault();
    import("./app.js").then(repeat);
  };
}
