// Updates clocks, and the lines that mark the current time on a chart, every minute.
// Both have `data-zone`, an IANA name, or `data-offset`, the seconds ahead of UTC. A clock with `data-held` shows another
// moment meanwhile.

export function updateClocks() {
  const now = new Date();
  for (const clock of document.querySelectorAll("[data-clock]:not([data-held])")) showClock(clock, now);
  for (const line of document.querySelectorAll("[data-now]")) moveLine(line, formatTime(now, line.dataset));
}

// The server has set the clocks and lines of a new page, but only a script can place a tag.
export function placeTags() {
  for (const tag of document.querySelectorAll("[data-now=tag]")) {
    moveLine(tag, tag.querySelector("[data-clock]").textContent);
  }
}

// Shows the time of a moment on one clock.
export function showClock(clock, moment) {
  clock.textContent = formatTime(moment, clock.dataset) ?? clock.textContent;
}

// Returns the time that a clock shows at a moment: "15:30".
export function timeAt(clock, moment) {
  return formatTime(moment, clock) ?? "";
}

// Returns "15:30" for a minute of the day.
export function clockText(minute) {
  return [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, "0")).join(":");
}

// Returns the moment when the clock of a day shows a minute, also on a day when clocks change.
export function momentOn({ midnight, zone, offset }, minute) {
  const guess = new Date((Number(midnight) + minute * 60) * 1000);
  const shown = minuteOf(formatTime(guess, { zone, offset }) ?? clockText(minute));
  return new Date(guess.getTime() + (minute - shown) * 60_000);
}

export function updateClocksEachMinute() {
  const untilNextMinute = 60_000 - (Date.now() % 60_000);
  setTimeout(() => {
    updateClocks();
    updateClocksEachMinute();
  }, untilNextMinute);
}

// Returns "14:05", or undefined if this browser knows neither zone nor offset; the server's text then stays.
function formatTime(now, { zone, offset }) {
  try {
    if (zone) return timeFormat(zone).format(now);
  } catch {
    // This browser does not know the zone, so use the offset that the server sent.
  }
  return offset && timeFormat("UTC").format(now.getTime() + Number(offset) * 1000);
}

function timeFormat(timeZone) {
  return new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });
}

function minuteOf(time) {
  const [hours, minutes] = time.split(":").map(Number);
  return hours * 60 + minutes;
}

// A chart is 1440 units wide, one for each minute of the day; the bars of a list are placed in percent.
function moveLine(line, time) {
  if (!time) return;
  const minute = minuteOf(time);
  if (line.dataset.now === "tag") {
    line.style.insetInlineStart = `${minute / 14.4}%`;
    line.hidden = false;
  } else if (line.dataset.now === "line") line.setAttribute("x", `${minute / 14.4}%`);
  else line.setAttribute("x", minute - line.width.baseVal.value / 2);
}
