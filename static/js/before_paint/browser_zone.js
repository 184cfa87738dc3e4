// Warns when the clock of the browser's time zone differs from the calendar's or the profile's.

// Put this element last in the notice: the browser calls connectedCallback before it has parsed anything below, so
// showing the notice causes no layout shift.
class BrowserZone extends HTMLElement {
  connectedCallback() {
    const difference = findDifference(this.dataset);
    if (!difference) return;
    const notice = this.closest("[data-disagreement]");
    const text = notice.querySelector(`[data-differs="${difference}"]`);
    text.querySelector("[data-browser-zone]").textContent = browserZone();
    text.hidden = notice.hidden = notice.parentElement.hidden = false;
  }
}

// The first use of Intl takes longer than all other scripts of the first page.
function browserZone() {
  return globalThis.Temporal?.Now.timeZoneId() ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
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
