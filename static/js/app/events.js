// Listens once at the document for events on elements that come and go.

export function on(type, selector, handler) {
  document.addEventListener(type, (event) => {
    const target = event.target.closest(selector);
    if (target && !event.defaultPrevented) handler(target, event);
  });
}

// With one of these keys held, a click on a link is the browser's: it opens another tab or window.
export function isPlainClick(event) {
  return !(event.ctrlKey || event.metaKey || event.shiftKey);
}
