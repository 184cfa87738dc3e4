// Warns when the clock of the browser's time zone differs from the calendar's or the profile's.

export function compareZones() {
  const notice = document.querySelector('[data-disagreement="browser"]');
  const difference = notice && findDifference(notice.dataset);
  if (!difference) return;
  const text = notice.querySelector(`[data-differs="${difference}"]`);
  // Only now: the first use of Intl takes longer than all else that is done before the first page is ready.
  text.querySelector("[data-browser-zone]").textContent = Intl.DateTimeFormat().resolvedOptions().timeZone;
  text.hidden = notice.hidden = notice.parentElement.hidden = false;
}

// Returns "calendar", "profile" or "both", whichever the browser's zone differs from, or a falsy value.
function findDifference({ year, calendar, profile, offset }) {
  const fromCalendar = calendar ? !isOurClock(calendar, year) : Number(offset) !== ourOffset(new Date());
  const fromProfile = profile ? !isOurClock(profile, year) : fromCalendar;
  if (!fromCalendar) return fromProfile && "profile";
  return fromProfile ? "both" : "calendar";
}

// Zones with different names may have the same time, so the server sends the offset on the first day of each month.
function isOurClock(offsets, year) {
  return offsets.split(" ").every((offset, month) => Number(offset) === ourOffset(new Date(Date.UTC(year, month, 1, 12))));
}

function ourOffset(moment) {
  return -60 * moment.getTimezoneOffset();
}
