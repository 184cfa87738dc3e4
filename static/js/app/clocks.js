// Keeps clocks and the lines that mark the time on a chart right, minute by minute.
// Both carry `data-zone`, an IANA name, or `data-offset`, the seconds ahead of UTC.

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

// Return "14:05", or undefined where this browser cannot tell; then what the server wrote stays.
function formatTime(now, { zone, offset }) {
  try {
    if (zone) return timeFormat(zone).format(now);
  } catch {
    // A browser older than the zone's name: the offset of a moment ago will do.
  }
  return offset && timeFormat("UTC").format(now.getTime() + Number(offset) * 1000);
}

function timeFormat(timeZone) {
  return new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });
}

// The chart is as wide as a day has minutes.
function moveLine(line, time) {
  if (!time) return;
  const [hours, minutes] = time.split(":").map(Number);
  line.setAttribute("x", hours * 60 + minutes - line.width.baseVal.value / 2);
}
