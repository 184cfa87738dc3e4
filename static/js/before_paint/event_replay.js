// Holds back events until the page is ready, then replays them. Before that, a link or a form would navigate the
// frame itself, and a button or a field would do nothing.

// By event type: returns a function that repeats the event, or undefined to let the browser handle it.
const REPLAYS = {
  click({ target }) {
    const control = target.closest("a[data-page], a[data-load], button");
    return control && (() => control.click());
  },
  submit: ({ target, submitter }) => () => target.requestSubmit(submitter),
  input: dispatchAgain,
  change: dispatchAgain,
};

function dispatchAgain({ target, type }) {
  return () => target.dispatchEvent(new Event(type, { bubbles: true }));
}

function replayWhenReady(replayOf) {
  return (event) => {
    if ("ready" in document.documentElement.dataset) return;
    const replay = replayOf(event);
    if (!replay) return;
    event.preventDefault();
    import("../app.js").then(({ ready }) => ready).then(replay);
  };
}

function replayEvents() {
  for (const [type, replayOf] of Object.entries(REPLAYS)) addEventListener(type, replayWhenReady(replayOf), true);
}
