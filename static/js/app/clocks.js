// Updates clocks, and the lines that mark the current time on a chart, every minute.
// Both have `data-zone`, an IANA name, or `data-offset`, the seconds ahead of UTC.

export function updateClocks() {
  const now = new Date();
  for (const clock of document.querySelectorAll("[data-clock]")) {
    clock.textContent = formatTime(now, clock.dataset) ?? clock.textContent;
  }
  for (const line of document.querySelectorAll("[data-now]")) moveLine(line, formatTime(now, line.dataset));
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

// The chart is 1440 units wide, one for each minute of the day.
function moveLine(line, time) {
  if (!time) return;
  const [hours, minutes] = time.split(":").map(Number);
  line.setAttribute("x", hours * 60 + minutes - line.width.baseVal.value / 2);
}
