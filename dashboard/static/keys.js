// The keyboard: `?` help, `/` search, `g` and a letter to a view, j and k through the rows, t for the colours.

const dialog = document.getElementById("keys");
let going = 0;

function rows() {
  return [...document.querySelectorAll("main a.row-link")];
}

function step(by) {
  const all = rows();
  const at = all.indexOf(document.activeElement);
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function typing(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

export function keys(turn) {
  document.getElementById("help").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && typing(event.target)) event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || dialog.open) return;
    const went = Date.now() - going < 1500;
    going = 0;
    if (went) {
      const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    const actions = {
      "?": () => dialog.showModal(),
      "/": () => document.querySelector("main input[type=search]")?.focus() ?? (location.href = "/runs#search"),
      g: () => { going = Date.now(); },
      j: () => step(1),
      k: () => step(-1),
      t: turn,
    };
    if (actions[event.key]) { event.preventDefault(); actions[event.key](); }
  });
}
