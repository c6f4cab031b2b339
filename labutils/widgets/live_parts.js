// What the interactive figures share: some arithmetic, the look, and the pieces that they are put together from. `Live`
// in widgets.py pastes this file in place of the first line of a figure's module.

// ---------------------------------------------------------------------------------------------------- arithmetic

/** Probabilities of logits. A removed token has the logit -Infinity and gets 0; all removed gives all 0. */
export function softmax(logits) {
  const top = Math.max(...logits);
  if (top === -Infinity) return logits.map(() => 0);
  const weights = logits.map((z) => Math.exp(z - top));
  const total = weights.reduce((sum, w) => sum + w, 0);
  return weights.map((w) => w / total);
}

/** Entropy in nats; an impossible token adds nothing. */
export function entropy(probabilities) {
  return -probabilities.reduce((sum, p) => (p > 0 ? sum + p * Math.log(p) : sum), 0);
}

/** Numbers in [0, 1) from a whole number: mulberry32, which any language computes to the same bits. */
export function uniform(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

// ------------------------------------------------------------------------------------------------------- drawing

export const STYLE = `
.gam-live { --gam-accent: #3d85c6; --gam-second: #d55e00; max-width: 44rem; margin: 1.4rem 0 1.8rem; font: inherit; color: inherit;
  line-height: 1.4; }
.gam-live *, .gam-live *::before { box-sizing: border-box; }
.gam-live.gam-live .gam-presets { display: flex; flex-wrap: wrap; gap: .4rem; margin: 0 0 .6rem; padding: 0; border: 0; }
.gam-live.gam-live button { font: inherit; font-size: .9em; color: inherit; background: transparent; cursor: pointer;
  border: 1px solid currentColor; border-radius: .3rem; padding: .2rem .6rem; min-height: 1.9rem; }
.gam-live.gam-live button[aria-pressed="true"] { box-shadow: inset 0 0 0 2px var(--gam-accent); }
.gam-live.gam-live button:disabled { opacity: .5; cursor: default; }
.gam-live.gam-live sub { line-height: 0; }
.gam-live.gam-live .gam-choice { align-items: center; margin: 0 0 .35rem; }
.gam-live.gam-live .gam-choice legend { float: left; width: var(--gam-name, 6.5em); margin: 0; padding: 0; font-size: .9em; }
.gam-live :is(button, input, select, summary, .gam-scroll):focus-visible { outline: 3px solid var(--gam-accent); outline-offset: 2px; }
.gam-live.gam-live .gam-control { display: grid; grid-template-columns: var(--gam-name, 6.5em) minmax(0, 1fr) var(--gam-value, 2.6em);
  gap: .6rem;
  align-items: center; margin: 0; font-weight: inherit; min-height: 2rem; }
.gam-live.gam-live .gam-control input { width: 100%; min-width: 0; margin: 0; accent-color: var(--gam-accent); }
.gam-live.gam-live .gam-control output { text-align: right; font-variant-numeric: tabular-nums; }
.gam-live.gam-live .gam-rule { display: flex; flex-wrap: wrap; gap: .2rem .6rem; align-items: center; margin: .2rem 0 0; }
.gam-live.gam-live .gam-rule select { font: inherit; font-size: .9em; max-width: 100%; padding: .15rem; color: inherit;
  background: transparent; border: 1px solid currentColor; border-radius: .3rem; }
.gam-live.gam-live .gam-check { display: flex; gap: .4rem; align-items: center; margin: 0 auto 0 0; font-weight: inherit; min-height: 2rem; }
.gam-live.gam-live .gam-check input { width: 1.1rem; height: 1.1rem; margin: 0; accent-color: var(--gam-accent); }
.gam-live.gam-live .gam-rule option { color: #111; background: #fff; }
.gam-live.gam-live .gam-facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(var(--gam-fact, 6rem), 1fr)); gap: .1rem .8rem;
  margin: .7rem 0 .4rem; padding: .4rem 0; border: solid currentColor; border-width: 1px 0; }
.gam-live.gam-live .gam-facts:has(> :nth-child(4)) { --gam-fact: 8.5rem; }
.gam-live.gam-live .gam-fact { display: grid; grid-row: span 2; grid-template-rows: subgrid; gap: .1rem; }
.gam-live.gam-live .gam-facts :is(dt, dd) { float: none; width: auto; margin: 0; }
.gam-live.gam-live .gam-facts dt { font-weight: normal; font-size: .85em; }
.gam-live.gam-live .gam-facts dd { font-weight: 600; font-variant-numeric: tabular-nums; }
.gam-live.gam-live .gam-facts small { display: block; font-weight: normal; }
.gam-live.gam-live .gam-warning { margin: .4rem 0; padding-left: .6rem; border-left: 4px solid #d55e00; }
.gam-live.gam-live .gam-warning:empty { display: none; }
.gam-live.gam-live .gam-scroll { max-height: 26rem; overflow-y: auto; }
.gam-live.gam-live table { width: 100%; margin: 0; border: 0; border-collapse: collapse; table-layout: fixed;
  font-size: .9em; font-variant-numeric: tabular-nums; }
.gam-live.gam-live :is(tr, th, td) { border: 0; background: transparent; color: inherit; }
.gam-live.gam-live :is(th, td) { padding: .12rem .25rem; vertical-align: middle; text-align: right; font-weight: normal;
  white-space: nowrap; max-width: none; }
.gam-live.gam-live thead th { font-size: .9em; white-space: normal; vertical-align: bottom; }
.gam-live.gam-live :is(th[scope="row"], .gam-left) { text-align: left; overflow: hidden; text-overflow: ellipsis; }
.gam-live.gam-live .gam-bar-cell { text-align: left; padding-inline: .5rem; }
.gam-live.gam-live tr[data-kept="false"] th { text-decoration: line-through; }
.gam-live.gam-live tr[data-kept="after"] td:last-child { font-weight: 600; }
.gam-live.gam-live caption { caption-side: top; text-align: left; color: inherit; padding: 0 0 .3rem; }
.gam-live.gam-live .gam-key { display: inline-block; width: 1.6em; height: .75em; margin: 0 .25em 0 .1em; }
.gam-live .gam-track { position: relative; display: block; height: 1.05em; border-left: 1px solid currentColor;
  background: linear-gradient(90deg, transparent calc(100% - 1px), color-mix(in srgb, currentColor 30%, transparent) 0) 0 / 25% 100%; }
.gam-live .gam-ghost { background: color-mix(in srgb, currentColor 16%, transparent);
  border: 1px solid color-mix(in srgb, currentColor 70%, transparent); }
.gam-live .gam-bar { background: var(--gam-accent); }
.gam-live .gam-track > * { position: absolute; left: 0; }
.gam-live .gam-track > .gam-ghost { top: 0; bottom: 0; border-left: 0; }
.gam-live .gam-track > .gam-bar { top: .22em; bottom: .22em; }
.gam-live .gam-hidden { position: absolute; width: 1px; height: 1px; margin: -1px; padding: 0; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; border: 0; }
.gam-live.gam-live .gam-open { margin-top: .4rem; }
.gam-live.gam-live .gam-numbers { margin: .4rem 0 0; }
.gam-live.gam-live .gam-numbers summary { width: fit-content; padding: .2rem 0; cursor: pointer; font-size: .9em; }
.gam-live.gam-live .gam-chart { position: relative; margin: 1rem 1rem 3rem 2.8rem; }
.gam-live .gam-chart svg { display: block; width: 100%; height: var(--gam-height, 12rem); overflow: visible; }
.gam-live .gam-chart :is(path, line) { fill: none; stroke: currentColor; stroke-width: 1; vector-effect: non-scaling-stroke; }
.gam-live .gam-chart line { opacity: .3; }
.gam-live .gam-chart .gam-other { opacity: .45; }
.gam-live .gam-chart .gam-dashed { stroke-dasharray: 5 4; stroke-width: 2; }
.gam-live .gam-chart .gam-one { stroke: var(--gam-accent); stroke-width: 3; }
.gam-live .gam-chart span { position: absolute; font-size: .8em; line-height: 1; white-space: nowrap; }
.gam-live .gam-chart .gam-beside { transform: translate(-100%, -50%); left: -.4rem; }
.gam-live .gam-chart .gam-below { transform: translateX(-50%); top: calc(100% + .35rem); }
.gam-live .gam-chart .gam-title { transform: translateX(-50%); top: calc(100% + 1.5rem); left: 50%; }
.gam-live .gam-chart .gam-point { width: .8rem; height: .8rem; margin: -.4rem; border-radius: 50%; background: var(--gam-accent);
  border: 2px solid currentColor; }
.gam-live .gam-chart .gam-point.gam-hollow { background: transparent; border-radius: 0; }
.gam-live.gam-live .gam-legend { margin: 0; font-size: .9em; }
.gam-live .gam-stroke { display: inline-block; width: 1.8em; height: 0; margin: 0 .3em .25em .1em; border-top: 3px solid var(--gam-accent); }
.gam-live .gam-stroke.gam-dashed { border-top: 2px dashed currentColor; }
.gam-live .gam-stroke.gam-thin { border-top: 1px solid currentColor; }
@media (max-width: 30rem) {
  .gam-live.gam-live .gam-control { gap: .4em; }
  .gam-live.gam-live .gam-choice legend { float: none; width: 100%; }
  .gam-live.gam-live .gam-numbers :is(th, td) { padding-inline: .1rem; font-size: .88em; overflow-wrap: anywhere; }
}
`;

/** A node with attributes and children; children may be nodes or text. */
export const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

/** A node of a drawing. */
export const draw = (tag, attributes = {}, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

/** Text in which d_k becomes a d with the index k. */
export const indexed = (text) => text.split(/([a-z]_[a-z]+)/).map((part) =>
  (/^[a-z]_/.test(part) ? make("i", {}, part[0], make("sub", {}, part.slice(2))) : part));

/** Changes go through the model, so that a host which holds the state can move the controls too. */
export const change = (model, values) => {
  for (const [key, value] of Object.entries(values)) model.set(key, value);
  model.save_changes();
};

/** A labelled slider over one number of the model's state: its node, and a function that brings it up to date. */
export const slider = (model, name, key, [min, max, step], show) => {
  const input = make("input", { type: "range", min, max, step });
  const output = make("output", { "aria-hidden": "true" });
  input.addEventListener("input", () => change(model, { [key]: Number(input.value) }));
  const update = () => {
    input.value = model.get(key);
    output.textContent = show(model.get(key));
    input.setAttribute("aria-valuetext", show(model.get(key)));
  };
  return [make("label", { class: "gam-control" }, make("span", {}, ...indexed(name)), input, output), update];
};

/** Buttons that bring the sliders into a named state: their node, and a function that marks the state that holds. */
export const presets = (model, states) => {
  const node = make("fieldset", { class: "gam-presets" }, make("legend", { class: "gam-hidden" }, "Presets"));
  const buttons = states.map(([name, state]) => {
    const button = make("button", { type: "button" }, ...indexed(name));
    button.addEventListener("click", () => change(model, state));
    node.append(button);
    return [button, state];
  });
  const update = () => buttons.forEach(([button, state]) =>
    button.setAttribute("aria-pressed", String(Object.keys(state).every((key) => state[key] === model.get(key)))));
  return [node, update];
};

/** Buttons that choose one value of the model's state, with the name of what is chosen before them. */
export const choice = (model, name, key, options) => {
  const [node, update] = presets(model, options.map(([text, value]) => [text, { [key]: value }]));
  node.classList.add("gam-choice");
  node.querySelector("legend").className = "";
  node.querySelector("legend").textContent = name;
  return [node, update];
};

/** A named number: its nodes for a definition list, and the one whose text is the value. */
export const fact = (name) => {
  const value = make("dd");
  return [[make("div", { class: "gam-fact" }, make("dt", {}, ...indexed(name)), value)], value];
};

/** A table behind a line that opens it: its node, and a function that puts in the rows, each with its name first. */
export const numberTable = (summary, heads) => {
  const body = make("tbody");
  const head = heads.map((text, i) => make("th", { scope: "col", class: i ? "" : "gam-left" }, ...indexed(text)));
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...head)), body);
  const row = ([name, ...values]) =>
    make("tr", {}, make("th", { scope: "row" }, name), ...values.map((value) => make("td", {}, value)));
  return [make("details", { class: "gam-numbers" }, make("summary", {}, summary), table),
    (rows) => body.replaceChildren(...rows.map(row))];
};

/**
 * Axes to draw curves on: the node, a function that adds a curve of points [x, y], and one that adds a dot. Each gives
 * back a function that moves what it added. `x` and `y` are [low, high]; a tick is a number, or a number with its label.
 */
export const chart = ({ x, y, xTicks, yTicks, title, lines = [] }) => {
  const share = (value, [low, high]) => (100 * (value - low)) / (high - low);
  const at = ([a, b]) => [share(a, x), 100 - share(b, y)];
  const picture = draw("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none" },
    ...lines.map(([start, end]) => {
      const [[x1, y1], [x2, y2]] = [at(start), at(end)];
      return draw("line", { x1, y1, x2, y2 });
    }));
  const label = (kind, text, style) => make("span", { class: kind, style }, text);
  const [values, names] = [(tick) => [tick].flat()[0], (tick) => String([tick].flat().at(-1)).replace("-", "−")];
  const node = make("div", { class: "gam-chart", role: "img" }, picture,
    ...yTicks.map((tick) => label("gam-beside", names(tick), `top: ${100 - share(values(tick), y)}%`)),
    ...xTicks.map((tick) => label("gam-below", names(tick), `left: ${share(values(tick), x)}%`)),
    label("gam-title", title, ""));
  const curve = (kind) => {
    const path = draw("path", { class: kind });
    picture.append(path);
    return (points) => path.setAttribute("d", points.length ? "M" + points.map((p) => at(p).map((z) => z.toFixed(2))).join("L") : "");
  };
  const dot = (kind = "") => {
    const mark = make("span", { class: `gam-point ${kind}` });
    node.append(mark);
    return (point) => {
      const [left, top] = at(point);
      Object.assign(mark.style, { left: `${left}%`, top: `${top}%` });
    };
  };
  return { node, curve, dot };
};

/** A short line as it looks in a chart, for the chart's legend. */
export const stroke = (kind = "") => make("span", { class: `gam-stroke ${kind}` });

/** A line for a screen reader, which hears where a slider came to rest and not each step. */
export const announcer = () => {
  const node = make("p", { class: "gam-hidden", role: "status" });
  let timer;
  const say = (text) => {
    clearTimeout(timer);
    timer = setTimeout(() => { node.textContent = text; }, 500);
  };
  return [node, say];
};
