// Shows everyone's clock at the hour under the pointer, or at the hour that the axis, a slider, was moved to by key.

import * as page from "../app.js";

const STEP = 15;
const DAY = 1440;

export function listenForPointer() {
  page.on("pointermove", "[data-day]", (cell, { clientX }) => showAt(minuteAt(clientX)));
  page.on("pointerdown", "[data-slider]", (slider, { clientX }) => showAt(minuteAt(clientX)));
  page.on("pointerout", "[data-day]", (cell, { relatedTarget }) => {
    if (!relatedTarget?.closest?.("[data-day]")) hide();
  });
  page.on("keydown", "[data-slider]", pressKey);
  page.on("focusout", "[data-slider]", hide);
}

function pressKey(slider, event) {
  if (event.key === "Escape") return hide();
  const forwards = page.isRightToLeft() ? "ArrowLeft" : "ArrowRight";
  const backwards = page.isRightToLeft() ? "ArrowRight" : "ArrowLeft";
  const now = Math.round(Number(slider.getAttribute("aria-valuenow")) / STEP) * STEP;
  const minute = {
    [forwards]: now + STEP,
    [backwards]: now - STEP,
    ArrowUp: now + STEP,
    ArrowDown: now - STEP,
    Home: 0,
    End: Infinity,
  }[event.key];
  if (minute === undefined) return;
  event.preventDefault();
  showAt(clamp(minute));
}

// A chart with `data-length` is a scale of elapsed minutes, so that an hour that the clock repeats has two places.
function lengthOf(chart) {
  return Number(chart.dataset.length ?? DAY);
}

function clamp(minute) {
  return Math.min(Math.max(minute, 0), lengthOf(page.main.querySelector("[data-chart]")) - STEP);
}

function minuteAt(clientX) {
  const { left, right, width } = page.main.querySelector("[data-slider]").getBoundingClientRect();
  const share = (page.isRightToLeft() ? right - clientX : clientX - left) / width;
  const length = lengthOf(page.main.querySelector("[data-chart]"));
  return clamp(Math.floor((share * length) / STEP) * STEP);
}

function showAt(minute) {
  const chart = page.main.querySelector("[data-chart]");
  const moment = momentAt(chart, minute);
  const time = chart.dataset.length ? page.timeAt(chart.dataset, moment) : page.clockText(minute);
  const count = chart.dataset.counts.split(" ")[minute / STEP];
  const text = chart.dataset.moment.replace("{time}", time).replace("{count}", count);
  const slider = chart.querySelector("[data-slider]");
  slider.setAttribute("aria-valuenow", minute);
  slider.setAttribute("aria-valuetext", text);
  place(chart.querySelector("[data-pointer-tag]"), text, minute / lengthOf(chart));
  moveLineTo(chart, slider, minute / lengthOf(chart));
  setTitle(chart, chart.dataset.at.replace("{time}", time));
  for (const row of chart.querySelectorAll("[data-user]")) showRow(row, minute, moment);
  for (const group of chart.querySelectorAll("[data-group]")) showGroup(group, minute, chart.dataset.groupMoment);
}

// Shows how many of a group are at work; its own text has the number of now.
function showGroup({ dataset, children }, minute, text) {
  const share = children[1];
  dataset.shareNow ??= share.textContent;
  const pieces = dataset.pieces.split(" ").map((piece) => piece.split(/[-:]/).map(Number));
  const count = pieces.find(([start, end]) => start <= minute && minute < end)?.[2] ?? 0;
  share.textContent = text.replace("{count}", count).replace("{people}", dataset.people);
}

function momentAt(chart, minute) {
  if (!chart.dataset.length) return page.momentOn(chart.dataset, minute);
  return new Date((Number(chart.dataset.midnight) + minute * 60) * 1000);
}

function place(tag, text, share) {
  tag.textContent = text;
  tag.style.insetInlineStart = `${share * 100}%`;
  tag.hidden = false;
}

function moveLineTo(chart, slider, share) {
  const line = chart.parentElement.querySelector("[data-pointer]");
  const frame = chart.parentElement.getBoundingClientRect();
  const axis = slider.getBoundingClientRect();
  const start = page.isRightToLeft() ? frame.right - axis.right : axis.left - frame.left;
  line.style.insetInlineStart = `${start + axis.width * share}px`;
  line.hidden = false;
}

function showRow(row, minute, moment) {
  const light = row.querySelector("[data-light]");
  if (!light) return;
  light.dataset.lightNow ??= light.dataset.light;
  const bands = row.querySelector("[data-bands]").dataset.bands.trim().split(" ");
  const isAtWork = bands.some((band) => {
    const [start, end] = band.split("-").map(Number);
    return start <= minute && minute < end;
  });
  light.dataset.light = isAtWork ? "day" : "night";
  const clock = light.querySelector("time");
  clock.dataset.held = "";
  page.showClock(clock, moment);
}

function setTitle(chart, text) {
  const title = chart.querySelector("[data-at-title]");
  title.textContent = text;
  title.hidden = !text;
  title.previousElementSibling.hidden = Boolean(text);
}

function hide() {
  const chart = page.main.querySelector("[data-chart]");
  if (!chart) return;
  for (const part of chart.parentElement.querySelectorAll("[data-pointer], [data-pointer-tag]")) part.hidden = true;
  setTitle(chart, "");
  for (const { dataset } of chart.querySelectorAll("[data-light]")) dataset.light = dataset.lightNow ?? dataset.light;
  for (const { dataset, children } of chart.querySelectorAll("[data-share-now]")) {
    children[1].textContent = dataset.shareNow;
    delete dataset.shareNow;
  }
  for (const clock of chart.querySelectorAll("[data-held]")) delete clock.dataset.held;
  page.updateClocks();
}
