"use strict";
// Times in the browser's zone, live updates, signing out after idleness, and lesions that can be hidden. Every page works without it.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

function inZone(moment) {
  const day = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short" });
  const time = new Intl.DateTimeFormat("sv-SE", { timeStyle: "medium" });
  return day.format(moment) === day.format(new Date()) ? time.format(moment)
    : `${day.format(moment)} ${time.format(moment).slice(0, 5)}`;
}

function localise(part) {
  for (const time of part.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.textContent = inZone(moment);
    time.title = `${moment.toLocaleString("sv-SE")} ${zone}`;
  }
  for (const mark of part.querySelectorAll("[data-hour]")) {
    mark.textContent = new Intl.DateTimeFormat("sv-SE", { timeStyle: "short" }).format(new Date(Number(mark.dataset.hour)));
  }
  for (const box of part.querySelectorAll("[data-shows]")) showLesion(box);
}

const hiddenLesions = new Set();

function showLesion(box) {
  const lesion = document.getElementById(box.dataset.shows);
  box.checked = !hiddenLesions.has(box.dataset.shows);
  if (lesion) lesion.classList.toggle("off", !box.checked);
}

document.addEventListener("change", (event) => {
  const shows = event.target.dataset && event.target.dataset.shows;
  if (!shows) return;
  event.target.checked ? hiddenLesions.delete(shows) : hiddenLesions.add(shows);
  showLesion(event.target);
});

// A form that takes long is sent once.
document.addEventListener("submit", (event) => {
  const says = event.target.dataset.once;
  const button = event.target.querySelector("button");
  if (says && button) {
    button.textContent = says;
    setTimeout(() => { button.disabled = true; });
  }
});

// Regions as the server sent them: only what changed is replaced.
const asSent = new Map();
for (const region of document.querySelectorAll("[data-region]")) asSent.set(region.id, region.innerHTML);

function placeOf(element) {
  if (!element || element === document.body) return null;
  if (element.id) return `#${CSS.escape(element.id)}`;
  if (element.dataset.shows) return `[data-shows="${CSS.escape(element.dataset.shows)}"]`;
  const address = element.getAttribute("href");
  return address ? `a[href="${CSS.escape(address)}"]` : null;
}

async function refresh(address) {
  const answer = await fetch(address, { headers: { Accept: "text/html", "X-Refresh": "1" } });
  if (answer.redirected) { // to the page for signing in
    location.replace(answer.url);
    return;
  }
  if (answer.status === 401 || answer.status === 403) {
    location.reload();
    return;
  }
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const region of document.querySelectorAll("[data-region]")) {
    const fresh = page.getElementById(region.id);
    if (!fresh || fresh.innerHTML === asSent.get(region.id)) continue;
    const focused = region.contains(document.activeElement) ? placeOf(document.activeElement) : null;
    const opened = [...region.querySelectorAll("details")].map((details) => details.open);
    asSent.set(region.id, fresh.innerHTML);
    region.innerHTML = fresh.innerHTML;
    region.querySelectorAll("details").forEach((details, number) => { details.open = Boolean(opened[number]); });
    localise(region);
    const again = focused && region.querySelector(focused);
    if (again) again.focus({ preventScroll: true });
  }
  document.title = page.title;
  whenSignedOut(page.body.dataset.signedOutIn);
}

// What an idle page shows goes with its session; the session may go on in another window.
let signedOut;
function whenSignedOut(seconds) {
  clearTimeout(signedOut);
  if (seconds) {
    const here = document.body.dataset.live || location.pathname + location.search;
    signedOut = setTimeout(() => refresh(here).catch(() => whenSignedOut(60)), (Number(seconds) + 1) * 1000);
  }
}
whenSignedOut(document.body.dataset.signedOutIn);

for (const place of document.querySelectorAll("[data-zone]")) place.textContent = zone;
for (const field of document.querySelectorAll("[data-zone-value]")) field.value = zone;
localise(document);

if ("live" in document.body.dataset) {
  const address = document.body.dataset.live || location.pathname + location.search;
  if (document.body.dataset.live) history.replaceState(null, "", address);
  let running = false, again = false;
  const update = async () => {
    if (running) { again = true; return; }
    running = true;
    try { await refresh(address); } catch { /* the node is away: the stream tells when it is back */ }
    running = false;
    if (again) { again = false; update(); }
  };
  const events = new EventSource("/events");
  events.addEventListener("changed", update);
  events.addEventListener("open", update);
  addEventListener("pagehide", () => events.close());
}
