// The stream of the server: fragments into `data-live`, series into `data-chart`, and a page anew when evidence came.

import { morph, parsed } from "./morph.js";
import { tell } from "./times.js";

const pulse = document.getElementById("pulse");
const topics = document.body.dataset.topics.trim().split(/\s+/);
let source = null;
let seq = Number(document.body.dataset.seq);
let fetching = false;

function say(state, text) {
  pulse.className = `pulse ${state}`;
  pulse.querySelector("span").textContent = text;
}

function take(event) {
  const news = JSON.parse(event.data);
  for (const [name, html] of Object.entries(news.html ?? {})) {
    for (const place of document.querySelectorAll(`[data-live="${CSS.escape(name)}"]`)) morph(place, parsed(html));
  }
  if (news.charts) import("./charts.js").then(({ draw }) => draw(news.charts));
  if (news.seq !== undefined && news.seq !== seq) {
    seq = news.seq;
    refresh();
  }
  tell();
}

/** Fetch this page again for what is marked `data-refresh`; at most one fetch at a time. */
export async function refresh() {
  // A list that somebody points at or walks through stays as it is until they have gone.
  const places = [...document.querySelectorAll("[data-refresh]:not([data-still])")].filter(
    (place) => !place.matches("[data-calm]:is(:hover, :focus-within)"),
  );
  if (!places.length || fetching) return;
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const place of places) {
      const found = next.querySelector(`[data-refresh="${CSS.escape(place.dataset.refresh)}"]`);
      if (found) morph(place, found);
    }
    tell();
  } catch {
    // The stream says that the server is gone.
  } finally {
    // Not more often than each other second, however fast evidence comes.
    setTimeout(() => { fetching = false; }, 2000);
  }
}

function open() {
  if (source || document.hidden) return;
  source = new EventSource(`/live?${topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&")}`);
  source.onopen = () => say("live", "live");
  source.onerror = () => say("lost", "connection lost");
  for (const topic of topics) source.addEventListener(topic, take);
}

function close() {
  source?.close();
  source = null;
  say("", "not live");
}

/** Follow the stream while the page is seen. */
export function follow() {
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
  setInterval(tell, 1000);
}
