// What the interactive figures share: the softmax, the look, and the pieces that they are put together from. `Live` in
// widgets.py pastes this file in place of the first line of a figure's module.

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

// ------------------------------------------------------------------------------------------------------- drawing

export const STYLE = `
.gam-live { --gam-accent: #3d85c6; max-width: 44rem; font: inherit; color: inherit; line-height: 1.4; }
.gam-live *, .gam-live *::before { box-sizing: border-box; }
.gam-live.gam-live .gam-presets { display: flex; flex-wrap: wrap; gap: .4rem; margin: 0 0 .6rem; padding: 0; border: 0; }
.gam-live.gam-live button { font: inherit; font-size: .9em; color: inherit; background: transparent; cursor: pointer;
  border: 1px solid currentColor; border-radius: .3rem; padding: .2rem .6rem; min-height: 1.9rem; }
.gam-live.gam-live button[aria-pressed="true"] { box-shadow: inset 0 0 0 2px var(--gam-accent); }
.gam-live :is(button, input, select, .gam-scroll):focus-visible { outline: 3px solid var(--gam-accent); outline-offset: 2px; }
.gam-live.gam-live .gam-control { display: grid; grid-template-columns: var(--gam-name, 6.5em) minmax(0, 1fr) 2.6em; gap: .6rem;
  align-items: center; margin: 0; font-weight: inherit; min-height: 2rem; }
.gam-live.gam-live .gam-control input { width: 100%; min-width: 0; margin: 0; accent-color: var(--gam-accent); }
.gam-live.gam-live .gam-control output { text-align: right; font-variant-numeric: tabular-nums; }
.gam-live.gam-live .gam-rule { display: flex; flex-wrap: wrap; gap: .2rem .6rem; align-items: center; margin: .2rem 0 0; }
.gam-live.gam-live .gam-rule select { font: inherit; font-size: .9em; max-width: 100%; padding: .15rem; color: inherit;
  background: transparent; border: 1px solid currentColor; border-radius: .3rem; }
.gam-live.gam-live .gam-check { display: flex; gap: .4rem; align-items: center; margin: 0 auto 0 0; font-weight: inherit; min-height: 2rem; }
.gam-live.gam-live .gam-check input { width: 1.1rem; height: 1.1rem; margin: 0; accent-color: var(--gam-accent); }
.gam-live.gam-live .gam-rule option { color: #111; background: #fff; }
.gam-live.gam-live .gam-facts { display: grid; grid-auto-flow: column;
  grid-auto-columns: minmax(0, 1fr); gap: .1rem .8rem; margin: .7rem 0 .4rem;
  padding: .4rem 0; border: solid currentColor; border-width: 1px 0; }
.gam-live.gam-live .gam-facts :is(dt, dd) { float: none; width: auto; }
.gam-live.gam-live .gam-facts dt { margin: 0; font-weight: normal; font-size: .85em; grid-row: 1; }
.gam-live.gam-live .gam-facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; grid-row: 2; }
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
@media (max-width: 30rem) { .gam-live.gam-live .gam-control { gap: .4em; } }
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
  return [make("label", { class: "gam-control" }, make("span", {}, name), input, output), update];
};

/** Buttons that bring the sliders into a named state: their node, and a function that marks the state that holds. */
export const presets = (model, states) => {
  const node = make("fieldset", { class: "gam-presets" }, make("legend", { class: "gam-hidden" }, "Presets"));
  const buttons = states.map(([name, state]) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => change(model, state));
    node.append(button);
    return [button, state];
  });
  const update = () => buttons.forEach(([button, state]) =>
    button.setAttribute("aria-pressed", String(Object.keys(state).every((key) => state[key] === model.get(key)))));
  return [node, update];
};

/** A named number: its two nodes for a definition list, and the one whose text is the value. */
export const fact = (name) => {
  const value = make("dd");
  return [[make("dt", {}, name), value], value];
};

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
