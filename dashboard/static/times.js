// Moments as "12 s ago", counted on by the page itself.

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

export function ago(seconds) {
  if (seconds < 1) return "now";
  const [size, name] = UNITS.find(([least]) => seconds >= least);
  return `${Math.floor(seconds / size)} ${name} ago`;
}

export function tell(root = document) {
  for (const time of root.querySelectorAll("time[data-ago]")) {
    const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}
