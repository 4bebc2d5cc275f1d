// Numbers, times and elements, as the page writes them. All times are UTC.

export const time = (ms) => new Date(ms).toISOString().slice(11, 19);

export function age(ms) {
  if (ms < 0) ms = 0;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

// A group separator that does not depend on the browser's language.
export const count = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, " ");

export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

// As many digits as the contract's prices have had: 61.00 beside 60.99.
export const price = (value, digits = 0) => (value === undefined || value === null ? "–" : value.toFixed(digits));

export const digits = (value) => (String(value).split(".")[1] ?? "").length;

// element("p", {class: "dim", text: "…"}, child, …)
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") made.textContent = value;
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

// Writing what is there already would cost a layout.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A canvas whose drawing is sharp on any screen; coordinates are CSS pixels.
export function sharp(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    [canvas.width, canvas.height] = [w, h];
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
