// Moves along the calendar's days by arrow keys, and follows the portal's calendar to other dates.

import * as page from "../app.js";

// The row of days that the calendar was moved from, and the steps since: several may come before the next row does.
let origin = null;
let steps = 0;

export function listenForDays() {
  page.on("keydown", "[data-days] a", moveFocus);
  const calendar = "Calendar.customView:";
  page.onPortalEvent(`${calendar}decreaseViewRangeDate`, () => shift(-1));
  page.onPortalEvent(`${calendar}increaseViewRangeDate`, () => shift(1));
  page.onPortalEvent(`${calendar}adjustToDate`, goTo);
}

// Called each time the Team page is shown: scrolls a long row, and nothing around it, to the chosen day.
export function showChosenDay() {
  const day = daysRow()?.querySelector("[aria-current]");
  if (!day) return;
  const list = day.closest("ol");
  list.scrollBy({ left: centerOf(day) - centerOf(list) });
}

function centerOf(element) {
  const { left, right } = element.getBoundingClientRect();
  return (left + right) / 2;
}

function daysRow() {
  return page.main.querySelector("[data-days]");
}

function moveFocus(link, event) {
  const links = [...link.closest("[data-days]").querySelectorAll("a")];
  const [forwards, backwards] = page.isRightToLeft() ? ["ArrowLeft", "ArrowRight"] : ["ArrowRight", "ArrowLeft"];
  const at = links.indexOf(link);
  const next = { [forwards]: at + 1, [backwards]: at - 1, Home: 0, End: links.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const target = links[next];
  if (!target) return;
  link.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}

function shift(step) {
  const row = daysRow();
  if (!row) return;
  if (row !== origin) [origin, steps] = [row, 0];
  steps += step;
  page.load(`${row.dataset.days}&shift=${steps}`);
}

function goTo(date) {
  const row = daysRow();
  if (!row || !/^\d{4}-\d{2}-\d{2}$/.test(date)) return;
  [origin, steps] = [null, 0];
  page.load(`${row.dataset.days}&on=${date}`);
}
