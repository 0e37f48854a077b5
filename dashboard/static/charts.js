// Charts from series of the server: bars on each other, or lines. uPlot draws; colours are those of the style sheet.

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const plot = drawn.get(target.dataset.chart)?.plot;
    if (plot && (plot.width !== target.clientWidth || plot.height !== target.clientHeight)) plot.setSize({ width: target.clientWidth, height: target.clientHeight });
  }
});
const drawn = new Map(); // by name: { plot, spec, place }
const MINUTE = 60, HOUR = 3600, DAY = 86400;

/** A colour of the style sheet as the canvas wants it, in the present light or dark. */
function colour(name) {
  const probe = document.createElement("i");
  probe.className = `c-${name}`;
  document.body.append(probe);
  const found = getComputedStyle(probe).backgroundColor;
  probe.remove();
  return found;
}

function variable(name) {
  const probe = document.createElement("i");
  document.body.append(probe);
  probe.style.color = `var(--${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function said(value, unit) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const text = value === 0 ? "0" : size >= 10000 ? `${(value / 1000).toFixed(0)}k` : size >= 1000 ? `${(value / 1000).toFixed(1)}k` : size >= 100 || Number.isInteger(value) ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toFixed(2).replace(/\.?0+$/, "");
  return unit === "%" ? `${text} %` : unit === "s" ? `${text} s` : `${text}${unit}`;
}

function moment(at, step) {
  const date = new Date(at * 1000);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  return step >= HOUR ? `${date.toLocaleDateString([], { month: "short", day: "numeric" })} ${time}` : time;
}

/** Values as they are drawn: of a stack, the sums up to each series. */
function columns(spec) {
  if (spec.kind !== "stack") return spec.lines.map((line) => line.values);
  const sums = spec.x.map(() => 0);
  return spec.lines.map((line) => line.values.map((value, at) => (sums[at] += value ?? 0)));
}

function legend(place, spec) {
  const bar = document.createElement("div");
  bar.className = "legend";
  const when = document.createElement("span");
  for (const line of spec.lines) {
    const entry = document.createElement("span");
    const value = document.createElement("b");
    entry.append(swatch(line), line.label, value);
    bar.append(entry);
  }
  bar.append(when);
  place.before(bar);
  return {
    show(at) {
      when.textContent = at === null ? "" : moment(spec.x[at], step(spec));
      [...bar.querySelectorAll("b")].forEach((value, number) => {
        value.textContent = at === null ? "" : said(spec.lines[number].values[at], spec.unit);
      });
    },
    remove: () => bar.remove(),
  };
}

const step = (spec) => (spec.x.length > 1 ? spec.x[1] - spec.x[0] : MINUTE);

function options(place, spec, told) {
  const dim = variable("dim"), grid = variable("line");
  const axis = { stroke: dim, font: "11px system-ui, sans-serif", grid: { stroke: grid, width: 1 }, ticks: { show: false }, gap: 6 };
  const series = spec.lines.map((line) => {
    const ink = colour(line.colour);
    const dash = line.colour.endsWith("-dash");
    return spec.kind === "stack"
      ? { stroke: ink, fill: ink, width: 0, paths: uPlot.paths.bars({ size: [0.82, 40], align: 1 }), points: { show: false } }
      : { stroke: ink, width: dash ? 1.25 : 2, dash: dash ? [4, 4] : undefined, points: { size: 4, width: 1, fill: ink } };
  });
  // The highest sums first: those below are drawn over them.
  if (spec.kind === "stack") series.reverse();
  const span = step(spec);
  return {
    width: place.clientWidth, height: place.clientHeight, legend: { show: false }, padding: [8, 16, 0, 0],
    cursor: { points: { show: false }, y: false, drag: { x: false, y: false } },
    scales: { x: { time: true, range: (_, low, high) => [low, high + (spec.kind === "stack" ? span : 0)] }, y: { range: (_, _low, high) => [0, spec.unit === "%" ? 100 : (high || 1) * 1.08] } },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: 64, values: (_, marks) => marks.map((at) => label(at, span)) },
      { ...axis, size: 44, space: 34, values: (_, marks) => marks.map((value) => said(value, spec.unit === "%" ? "%" : "")) },
    ],
    series: [{}, ...series],
    hooks: { setCursor: [(plot) => told.show(plot.cursor.idx ?? null)] },
  };
}

function label(at, span) {
  const date = new Date(at * 1000);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  return span * 70 > 2 * DAY || (date.getHours() === 0 && date.getMinutes() === 0) ? date.toLocaleDateString([], { month: "short", day: "numeric" }) : time;
}

function data(spec) {
  const values = columns(spec);
  return [spec.x, ...(spec.kind === "stack" ? values.reverse() : values)];
}

const shape = (spec) => JSON.stringify([spec.kind, spec.unit, spec.lines.map((line) => [line.label, line.colour])]);
/** Where there is anything to see: of bars what is more than nothing, of lines whatever was measured, be it 0. */
const seen = (spec) => [...spec.x.keys()].filter((at) => spec.lines.some(({ values }) => (spec.kind === "stack" ? values[at] : (values[at] ?? null) !== null)));

/** What is not enough for a drawing, in words: nothing at all, or one moment, of which a dot would say little. */
function words(spec) {
  const places = seen(spec);
  if (!places.length) return note("none", "Nothing in this time");
  const [at] = places;
  if (places.length > 1 || (spec.kind === "stack" && spec.x.length > 1)) return null;
  const box = note("none lone", `One measurement in this time, ${moment(spec.x[at], step(spec))}`);
  for (const line of spec.lines) {
    if ((line.values[at] ?? null) === null) continue;
    const entry = document.createElement("span");
    const value = document.createElement("b");
    value.textContent = said(line.values[at], spec.unit);
    entry.append(swatch(line), line.label, value);
    box.append(entry);
  }
  return box;
}

function note(kind, text) {
  const box = document.createElement("div");
  box.className = kind;
  const line = document.createElement("p");
  line.textContent = text;
  box.append(line);
  return box;
}

function swatch(line) {
  const mark = document.createElement("i");
  mark.className = `c-${line.colour}`;
  return mark;
}

function summary(spec) {
  const parts = spec.lines.map((line) => {
    const known = line.values.filter((value) => value !== null);
    return `${line.label} ${known.length ? said(known.at(-1), spec.unit) : "none"}`;
  });
  return parts.length ? `latest: ${parts.join(", ")}` : "nothing yet";
}

function put(place, name, spec) {
  const before = drawn.get(name);
  const instead = words(spec);
  if (before && before.place === place && before.shape === shape(spec) && !instead) {
    before.spec.x = spec.x;
    before.spec.lines = spec.lines;
    before.plot.setData(data(spec));
  } else {
    before?.told?.remove();
    before?.plot?.destroy();
    place.replaceChildren();
    if (instead) {
      place.append(instead);
      drawn.set(name, { place, shape: "", spec });
    } else {
      const told = legend(place, spec);
      const plot = new uPlot(options(place, spec, told), data(spec), place);
      drawn.set(name, { place, plot, told, spec, shape: shape(spec) });
      sizes.observe(place);
    }
  }
  const title = place.closest("figure")?.querySelector("h3")?.textContent ?? name;
  place.setAttribute("aria-label", `${title}, ${summary(spec)}`);
}

export function draw(charts) {
  for (const [name, spec] of Object.entries(charts)) {
    const place = document.querySelector(`[data-chart="${CSS.escape(name)}"]`);
    if (place) put(place, name, spec);
  }
}

function again() {
  const specs = [...drawn].map(([name, { spec }]) => [name, spec]);
  for (const { told, plot } of drawn.values()) { told?.remove(); plot?.destroy(); }
  drawn.clear();
  draw(Object.fromEntries(specs));
}

/** Charts that are not pushed are fetched from the page's twin; all follow the size and the colours of the page. */
export function start() {
  const source = document.querySelector("[data-charts]")?.dataset.charts;
  if (source) fetch(source).then((answer) => answer.json()).then((view) => draw(view.charts));
  addEventListener("themechange", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
}
