// Edits reminders as chips. Each stands for a word, such as "15min" or "1d@18:00", which the form sends.

import { on } from "./events.js";
import { announce, main } from "./page.js";

const MINUTES = { min: 1, hour: 60, day: 1440 };

const storedChips = new Map();

export function listenForReminders() {
  on("click", "[data-add]", (button) => addReminder(button.closest("[data-field]")));
  on("click", "[data-remove]", removeReminder);
  on("change", "[data-unit]", (unit) => showFields(unit.closest("[data-field]")));
  on("input", ".reminder-editor__new", (fields) => fields.toggleAttribute("data-begun", true));
  on("keydown", ".reminder-editor__new input", (input, event) => {
    // Enter adds the reminder, instead of saving without it.
    if (event.key !== "Enter") return;
    event.preventDefault();
    addReminder(input.closest("[data-field]"));
  });
}

// Remembers the stored reminders, so that canceling can show them again.
export function rememberReminders() {
  storedChips.clear();
  for (const kind of main.querySelectorAll("[data-field]")) storedChips.set(kind, [...chipsOf(kind)]);
}

export function restoreReminders() {
  for (const [kind, chips] of storedChips) {
    if (!kind.isConnected) continue;
    kind.querySelector("ul").replaceChildren(...chips);
    kind.querySelector("[data-begun]")?.removeAttribute("data-begun");
    showNone(kind);
    showFields(kind);
  }
}

// Returns the fields that have changed, or null for a form without reminders. What was chosen but not added is saved too.
export function reminderFields(form) {
  const kinds = [...form.querySelectorAll("[data-field]")];
  if (!kinds.length) return null;
  for (const fields of form.querySelectorAll("[data-begun]")) addReminder(fields.closest("[data-field]"));
  const changed = kinds.filter((kind) => words(kind) !== kind.dataset.words);
  return (changed.length ? changed : kinds).map((kind) => [kind.dataset.field, words(kind)]);
}

function chipsOf(kind) {
  return kind.querySelectorAll("li[data-word]");
}

function words(kind) {
  return [...chipsOf(kind)].map(({ dataset }) => dataset.word).join(",");
}

function addReminder(kind) {
  const editor = kind.closest("[data-texts]");
  const [count, time] = ["count", "time"].map((name) => kind.querySelector(`[data-${name}]`));
  if (!(count.reportValidity() && time.reportValidity())) return;
  const unit = kind.querySelector("[data-unit]").value;
  const number = unit === "on" ? 0 : Number(count.value || 0);
  const isAtTime = unit === "on" || unit === "at";
  const word = isAtTime ? `${number}d@${time.value}` : `${number}${unit}`;
  kind.querySelector("[data-begun]")?.removeAttribute("data-begun");
  const chips = [...chipsOf(kind)];
  const same = chips.find(({ dataset }) => dataset.word === word);
  if (same) return same.querySelector("button").focus();
  if (chips.length >= Number(editor.dataset.max)) return;
  const texts = JSON.parse(editor.dataset.texts);
  appendChip(kind, word, isAtTime ? atTime(texts.at, number, time.value) : before(texts, number * MINUTES[unit]));
}

function appendChip(kind, word, text) {
  const chip = kind.querySelector("template").content.firstElementChild.cloneNode(true);
  chip.dataset.word = word;
  for (const place of chip.querySelectorAll("[data-text]")) place.textContent = text;
  kind.querySelector("ul").append(chip);
  showNone(kind);
  announce(text);
}

function removeReminder(button) {
  const kind = button.closest("[data-field]");
  button.closest("li").remove();
  showNone(kind);
  kind.querySelector("[data-add]").focus();
}

function showNone(kind) {
  kind.querySelector("[data-none]").hidden = chipsOf(kind).length > 0;
}

function showFields(kind) {
  const unit = kind.querySelector("[data-unit]").value;
  kind.querySelector("[data-count]").hidden = unit === "on";
  kind.querySelector("[data-time]").hidden = unit !== "on" && unit !== "at";
}

// Whole days and hours are written as such, as the server does.
function before(texts, minutes) {
  if (!minutes) return texts.min["0"];
  const unit = ["day", "hour", "min"].find((each) => minutes % MINUTES[each] === 0);
  return inPlural(texts[unit], minutes / MINUTES[unit]);
}

function atTime(texts, days, time) {
  return (texts[days] ?? inPlural(texts, days)).replace("{time}", time);
}

function inPlural(texts, count) {
  const form = new Intl.PluralRules(document.documentElement.lang).select(count);
  return (texts[form] ?? texts.other).replace("{count}", count);
}
