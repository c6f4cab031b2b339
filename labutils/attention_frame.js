// The frame around a BertViz view. BertViz 1.4.1 draws with d3 and reaches for require.js and jQuery; this script stands
// in for the few calls that it makes, so that a view needs no network: d3-selection lies in the frame, the rest is here.
// It also follows the page's colours, sizes the frame, and gives what BertViz lacks: the keyboard, names, numbers.
//
// `view` is BertViz's own parameters, defined above this script. BertViz's code follows below it.

// ---------------------------------------------------------------------------------------- what BertViz reaches for

/** jQuery, as far as BertViz uses it. */
function jQuery(what) {
  const nodes = what.startsWith("<") ? [document.createElement(what.match(/\w+/)[0])] : [...document.querySelectorAll(what)];
  const each = (change) => (nodes.forEach(change), self);
  const self = {
    append: (child) => each((node) => node.append(child.node)),
    attr: (name, value) => each((node) => node.setAttribute(name, value)),
    change: () => each((node) => node.dispatchEvent(new Event("change"))),
    empty: () => each((node) => node.replaceChildren()),
    on: (event, listener) => each((node) => node.addEventListener(event, listener)),
    text: (value) => each((node) => { node.textContent = value; }),
    val: (value) => each((node) => { node.value = value; }),
    node: nodes[0],
  };
  return self;
}

// Ten colours, as BertViz has; the first six are Okabe and Ito's, as in the other figures of the course.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#808080", "#aa4499", "#999933", "#8b5a2b"];
Object.assign(d3, {
  schemeCategory10: COLOURS,
  scaleOrdinal: (colours) => (i) => colours[i % colours.length],
  // BertViz pales the colour of a head that is off by its lightness and saturation; on any page a clear colour does.
  hsl: (colour) => ({ l: 0, s: 0, toString: () => `${colour}30` }),
});

/** BertViz's code arrives as the callback of require.js. It runs when the frame comes near the screen. */
function requirejs(names, start) {
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    start(jQuery, d3);
    furnish();
    new MutationObserver(furnish).observe(vis, { childList: true });
    new ResizeObserver(resize).observe(document.body); // not before: until then the frame keeps the height given to it
  }, { rootMargin: "400px" }).observe(document.body);
}

// ------------------------------------------------------------------------------------------------ the page around it

const vis = document.getElementById("vis");
const said = document.getElementById("said");

/** The frame element in the page around, or null where that page may not be read. */
function place() {
  try { return window.frameElement; } catch { return null; }
}

/** Text colour and background are those of the page: each host marks its dark mode in another way, and all show it. */
function paint() {
  const frame = place();
  if (!frame) return;
  const { color, colorScheme } = getComputedStyle(frame);
  let behind = frame;
  while (behind && /^(transparent|rgba\(.*, 0\))$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const root = document.documentElement.style;
  root.colorScheme = colorScheme;
  root.setProperty("--ink", color);
  root.setProperty("--paper", behind ? getComputedStyle(behind).backgroundColor : "Canvas");
}

function resize() {
  const frame = place();
  if (frame) frame.style.height = `${Math.ceil(document.body.getBoundingClientRect().height) + 1}px`;
}

paint();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
if (place()) {
  const page = place().ownerDocument;
  const repaint = new MutationObserver(() => { paint(); setTimeout(paint, 400); }); // again after a fade
  for (const node of [page.documentElement, page.body]) repaint.observe(node, { attributes: true });
}

// ---------------------------------------------------------------------------------------- keyboard, names and numbers

const press = (node, event) => node.dispatchEvent(new MouseEvent(event, { bubbles: true }));

/** Enter and the space bar do what a click does. */
function button(node, role, label) {
  node.setAttribute("role", role);
  node.setAttribute("tabindex", "0");
  node.setAttribute("aria-label", label);
  const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.textContent = label;
  node.append(title);
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    press(node, "click");
  });
}

/** What BertViz has drawn anew gets its names and its keys. */
function furnish() {
  const svg = vis.querySelector("svg");
  if (!svg) return;
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", document.title);
  if (svg.querySelector("#left")) furnishHeadView(svg);
  else furnishModelView(svg);
}

function furnishModelView(svg) {
  const { width, height } = { width: Number(svg.getAttribute("width")), height: Number(svg.getAttribute("height")) };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`); // the drawing shrinks with the column
  svg.querySelectorAll(".attn_background").forEach((background) => {
    const [layer, head] = background.id.split("_").slice(2).map(Number);
    const name = `layer ${view.include_layers[layer]}, head ${view.include_heads[head]}`;
    button(background.parentNode.lastElementChild, "button", `Enlarge ${name}`);
  });
}

function furnishHeadView(svg) {
  const boxes = [...svg.lastElementChild.querySelectorAll("rect")];
  const isOn = (box) => box.getAttribute("fill").length === 7; // a colour that is not clear
  const check = () => boxes.forEach((box) => box.setAttribute("aria-checked", String(isOn(box))));
  boxes.forEach((box, head) => button(box, "checkbox", `Head ${head}`));
  svg.addEventListener("click", check);
  svg.addEventListener("dblclick", check);
  check();

  for (const side of ["left", "right"]) {
    const column = svg.querySelector(`#${side}`);
    const words = [...column.lastElementChild.children];
    let at = -1;
    const point = (i) => {
      at = i;
      const layer = view.include_layers.indexOf(Number(document.getElementById("layer").value));
      said.textContent = told(view.attention[0], layer, boxes.map(isOn), side, i);
    };
    words.forEach((word, i) => word.addEventListener("mouseover", () => point(i)));
    column.setAttribute("role", "group");
    column.setAttribute("tabindex", "0");
    column.setAttribute("aria-label", side === "left"
      ? "Queries: the arrow keys choose a word" : "Keys: the arrow keys choose a word");
    column.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      press(words[Math.max(0, Math.min(words.length - 1, at + step))], "mouseover");
    });
    column.addEventListener("blur", () => column.dispatchEvent(new MouseEvent("mouseleave")));
  }
}

/** One sentence: the three largest weights of word i, as a mean over the heads that are on. */
function told({ attn, left_text, right_text }, layer, on, side, i) {
  const heads = attn[layer].filter((_, head) => on[head]);
  const [words, others] = side === "left" ? [left_text, right_text] : [right_text, left_text];
  const weight = (head, j) => (side === "left" ? head[i][j] : head[j][i]);
  const weights = others.map((_, j) => heads.reduce((sum, head) => sum + weight(head, j), 0) / heads.length);
  const order = others.map((_, j) => j).sort((a, b) => weights[b] - weights[a] || a - b);
  const top = order.slice(0, 3).filter((j) => weights[j] > 0);
  const list = top.map((j) => `${others[j].trim()} ${weights[j].toFixed(2)}`).join(", ") || "nothing";
  const verb = side === "left" ? "attends to" : "is attended to by";
  return `${words[i].trim()} ${verb}: ${list}${heads.length > 1 ? ` (mean of ${heads.length} heads)` : ""}`;
}
