// Warns when the browser's time zone differs from the calendar's or the profile's.

export function compareZones() {
  const notice = document.querySelector('[data-disagreement="browser"]');
  const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!notice || !browserZone) return;
  const difference = findDifference(browserZone, notice.dataset);
  if (!difference) return;
  const text = notice.querySelector(`[data-differs="${difference}"]`);
  text.querySelector("[data-browser-zone]").textContent = browserZone;
  text.hidden = notice.hidden = notice.parentElement.hidden = false;
}

// Returns "calendar", "profile" or "both", whichever the browser's zone differs from, or a falsy value.
function findDifference(browserZone, { zone, profile, offset }) {
  try {
    const fromCalendar = zone
      ? !haveSameClock(browserZone, zone)
      : Number(offset) !== -new Date().getTimezoneOffset() * 60;
    const fromProfile = profile ? !haveSameClock(browserZone, profile) : fromCalendar;
    if (!fromCalendar) return fromProfile && "profile";
    return fromProfile ? "both" : "calendar";
  } catch {
    // This browser does not know one of the zones.
    return "";
  }
}

// Zones with different names may have the same time, so compare it on the first day of each month.
function haveSameClock(one, other) {
  const [a, b] = [one, other].map(
    (timeZone) => new Intl.DateTimeFormat("en-GB", { timeZone, dateStyle: "short", timeStyle: "short" }),
  );
  const year = new Date().getFullYear();
  return [...Array(12).keys()].every((month) => {
    const day = Date.UTC(year, month, 1, 12);
    return a.format(day) === b.format(day);
  });
}
