// Every page: colours, keyboard, times, and the live stream. What a page needs besides it asks for by an attribute.

import { keys } from "./keys.js";
import { follow } from "./live.js";
import { tell } from "./times.js";

const THEMES = ["system", "light", "dark"];
const button = document.getElementById("theme");

function theme() {
  return document.documentElement.dataset.theme ?? "system";
}

function name() {
  button.setAttribute("aria-label", `Colours: ${theme() === "system" ? "as the system" : theme()}`);
  button.title = button.getAttribute("aria-label");
}

function turn() {
  const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  if (next === "system") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", next);
    document.documentElement.dataset.theme = next;
  }
  name();
  dispatchEvent(new Event("themechange"));
}

button.addEventListener("click", turn);
name();
keys(turn);
tell();
follow();

// A form that filters sends only what is filled in, so that addresses stay short.
for (const form of document.querySelectorAll("form.filters")) {
  form.addEventListener("submit", () => {
    for (const field of form.elements) if (field.name && !field.value) field.disabled = true;
  });
  for (const select of form.querySelectorAll("select")) select.addEventListener("change", () => form.requestSubmit());
}
addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form.filters [disabled]")) field.disabled = false;
});
if (document.querySelector("[data-chart]")) import("./charts.js").then(({ start }) => start());
