// Listens at the document for events, so that elements may come and go.

export function on(type, selector, handler) {
  document.addEventListener(type, (event) => {
    const target = event.target.closest(selector);
    if (target && !event.defaultPrevented) handler(target, event);
  });
}

// With one of these keys pressed, the browser opens a link in another tab or window.
export function isPlainClick(event) {
  return !(event.ctrlKey || event.metaKey || event.shiftKey);
}
