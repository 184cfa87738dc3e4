// Shows people, departments and groups to add to the plan, while their names are typed.

import * as page from "../app.js";

const TYPING_PAUSE_MS = 200;

let typingTimer = 0;
// The request under way; a later one replaces it.
let current = null;

export function listenForPicker() {
  page.on("input", "[data-picker-text]", (field) => {
    clearTimeout(typingTimer);
    typingTimer = setTimeout(() => search(field), TYPING_PAUSE_MS);
  });
  page.on("click", "[data-picker-text]", (field) => isOpen(field) || search(field));
  page.on("keydown", "[data-picker-text]", pressKeyInText);
  page.on("keydown", "[data-found] a", pressKeyInList);
  page.on("focusout", "[data-picker]", (picker, { relatedTarget }) => {
    if (!picker.contains(relatedTarget)) close(picker);
  });
}

async function search(field) {
  current?.abort();
  const request = (current = new AbortController());
  const text = field.value;
  const path = `${field.dataset.results}&${new URLSearchParams({ q: text })}`;
  try {
    const response = await page.send(path, { signal: request.signal });
    if (!response.ok) return page.showResponseError(response.status);
    const html = await response.text();
    if (request !== current || !field.isConnected) return;
    const list = listOf(field);
    // The server escapes this HTML, and scripts inserted this way do not run.
    list.innerHTML = html;
    list.dataset.text = text;
    list.hidden = document.activeElement !== field;
    field.setAttribute("aria-expanded", String(!list.hidden));
  } catch {
    // A replaced request is aborted on purpose; if the connection was lost, the next letter tries again.
  }
}

async function pressKeyInText(field, event) {
  if (event.key === "Escape") return close(field.parentElement);
  if (event.key === "Enter") {
    event.preventDefault();
    clearTimeout(typingTimer);
    await search(field);
    return links(field.parentElement)[0]?.click();
  }
  if (event.key !== "ArrowDown") return undefined;
  event.preventDefault();
  clearTimeout(typingTimer);
  // A list that comes later would take away the link that has the focus.
  if (!isOpen(field) || listOf(field).dataset.text !== field.value) await search(field);
  else current?.abort();
  return links(field.parentElement)[0]?.focus();
}

function pressKeyInList(link, event) {
  const picker = link.closest("[data-picker]");
  const all = links(picker);
  const place = all.indexOf(link);
  if (event.key === "ArrowDown") all[Math.min(place + 1, all.length - 1)].focus();
  else if (event.key === "ArrowUp") (all[place - 1] ?? picker.querySelector("[data-picker-text]")).focus();
  else if (event.key === "Escape") {
    picker.querySelector("[data-picker-text]").focus();
    close(picker);
  } else return;
  event.preventDefault();
}

function listOf(field) {
  return field.parentElement.querySelector("[data-found]");
}

function links(picker) {
  return [...picker.querySelectorAll("[data-found] a")];
}

function isOpen(field) {
  return field.getAttribute("aria-expanded") === "true";
}

function close(picker) {
  current?.abort();
  picker.querySelector("[data-found]").hidden = true;
  picker.querySelector("[data-picker-text]").setAttribute("aria-expanded", "false");
}
