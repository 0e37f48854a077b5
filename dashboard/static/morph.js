// Make one tree like another and touch only what differs, so that focus, selection, scrolling and open details stay.

export function morph(old, next) {
  const before = [...old.childNodes];
  const after = [...next.childNodes];
  after.forEach((node, at) => {
    const was = before[at];
    if (!was) old.append(node);
    else if (was.nodeType !== node.nodeType || was.nodeName !== node.nodeName || keyOf(was) !== keyOf(node)) was.replaceWith(node);
    else if (node.nodeType === Node.ELEMENT_NODE) {
      attributes(was, node);
      // What a script draws into belongs to the script.
      if (!was.hasAttribute("data-chart")) morph(was, node);
    } else if (was.nodeValue !== node.nodeValue) was.nodeValue = node.nodeValue;
  });
  before.slice(after.length).forEach((node) => node.remove());
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset?.chart || "" : "");

function attributes(was, node) {
  for (const { name, value } of node.attributes) if (was.getAttribute(name) !== value) was.setAttribute(name, value);
  for (const { name } of [...was.attributes]) {
    const ours = name === "open" || name === "class" && was.matches("tr.at") || name === "style";
    if (!node.hasAttribute(name) && !ours) was.removeAttribute(name);
  }
}

/** The nodes of a fragment; a parser that runs nothing. */
export function parsed(html) {
  return new DOMParser().parseFromString(`<!doctype html><body><template>${html}</template>`, "text/html").querySelector("template").content;
}
