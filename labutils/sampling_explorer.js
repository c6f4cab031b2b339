// The sampling explorer: temperature, top-k and top-p on one next-token distribution.
//
// The first part is arithmetic without a page, in the words of labutils/sampling.py; tests/test_widgets.py runs it
// under Node against that module. The second part draws. The module has the anywidget form (a default export with
// `render({ model, el })`) and asks the host for nothing but get, set and on, so any page can show it.

// ---------------------------------------------------------------------------------------------------- arithmetic

/** Divide the logits by the temperature (> 0). */
export function applyTemperature(logits, temperature) {
  return logits.map((z) => z / temperature);
}

/** Probabilities of logits. A removed token has the logit -Infinity and gets 0; all removed gives all 0. */
export function softmax(logits) {
  const top = Math.max(...logits);
  if (top === -Infinity) return logits.map(() => 0);
  const weights = logits.map((z) => Math.exp(z - top));
  const total = weights.reduce((sum, w) => sum + w, 0);
  return weights.map((w) => w / total);
}

/** Token numbers by falling logit; equal logits stay in the order of the vocabulary. */
export function ranking(logits) {
  return logits.map((_, i) => i).sort((a, b) => logits[b] - logits[a] || a - b);
}

/** Keep every logit that is at least the k-th largest: with ties more than k can stay. */
export function keepTopK(logits, k) {
  const kth = logits[ranking(logits)[Math.min(k, logits.length) - 1]];
  return logits.map((z) => (z >= kth ? z : -Infinity));
}

/**
 * Top-p under one of two rules, walking down the ranking and adding up probabilities.
 * "nucleus": the smallest set whose sum reaches p, so the token that crosses p stays. Never empty.
 * "at-most": tokens while the sum is at most p, so the token that crosses p goes. Can be empty.
 */
export function keepTopP(logits, p, rule = "nucleus") {
  if (p >= 1) return logits.slice();
  const probabilities = softmax(logits);
  const kept = new Set();
  let sum = 0;
  for (const i of ranking(logits)) {
    if (rule === "nucleus" ? sum >= p : sum + probabilities[i] > p) break;
    sum += probabilities[i];
    kept.add(i);
  }
  return logits.map((z, i) => (kept.has(i) ? z : -Infinity));
}

/** Entropy in nats; an impossible token adds nothing. */
export function entropy(probabilities) {
  return -probabilities.reduce((sum, p) => (p > 0 ? sum + p * Math.log(p) : sum), 0);
}

/** Temperature, then top-k, then top-p: the order in common libraries. `mass` is what the kept tokens held at T. */
export function decode(logits, { temperature, top_k, top_p, rule }) {
  const tempered = applyTemperature(logits, temperature);
  const filtered = keepTopP(keepTopK(tempered, top_k), top_p, rule);
  const kept = filtered.map((z) => z > -Infinity);
  const atTemperature = softmax(tempered);
  const after = softmax(filtered);
  return {
    before: softmax(logits),
    after,
    kept,
    count: kept.filter(Boolean).length,
    mass: atTemperature.reduce((sum, p, i) => (kept[i] ? sum + p : sum), 0),
    entropyAfter: entropy(after),
  };
}

// ------------------------------------------------------------------------------------------------------- drawing

const STYLE = `
.gam-live { --gam-accent: #3d85c6; max-width: 44rem; font: inherit; color: inherit; line-height: 1.4; }
.gam-live *, .gam-live *::before { box-sizing: border-box; }
.gam-live.gam-live .gam-presets { display: flex; flex-wrap: wrap; gap: .4rem; margin: 0 0 .6rem; padding: 0; border: 0; }
.gam-live.gam-live button { font: inherit; font-size: .9em; color: inherit; background: transparent; cursor: pointer;
  border: 1px solid currentColor; border-radius: .3rem; padding: .2rem .6rem; min-height: 1.9rem; }
.gam-live.gam-live button[aria-pressed="true"] { box-shadow: inset 0 0 0 2px var(--gam-accent); }
.gam-live :is(button, input, select, .gam-scroll):focus-visible { outline: 3px solid var(--gam-accent); outline-offset: 2px; }
.gam-live.gam-live .gam-control { display: grid; grid-template-columns: 6.5em minmax(0, 1fr) 2.6em; gap: .6rem;
  align-items: center; margin: 0; font-weight: inherit; min-height: 2rem; }
.gam-live.gam-live .gam-control input { width: 100%; min-width: 0; margin: 0; accent-color: var(--gam-accent); }
.gam-live.gam-live .gam-control output { text-align: right; font-variant-numeric: tabular-nums; }
.gam-live.gam-live .gam-rule { display: flex; flex-wrap: wrap; gap: .2rem .6rem; align-items: center; margin: .2rem 0 0; }
.gam-live.gam-live .gam-rule select { font: inherit; font-size: .9em; max-width: 100%; padding: .15rem; color: inherit;
  background: transparent; border: 1px solid currentColor; border-radius: .3rem; }
.gam-live.gam-live .gam-rule option { color: #111; background: #fff; }
.gam-live.gam-live .gam-facts { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .1rem .8rem; margin: .7rem 0 .4rem;
  padding: .4rem 0; border: solid currentColor; border-width: 1px 0; }
.gam-live.gam-live .gam-facts dt { margin: 0; font-weight: normal; font-size: .85em; grid-row: 1; }
.gam-live.gam-live .gam-facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; grid-row: 2; }
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

const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

const PRESETS = [
  ["As computed", { temperature: 1, top_k: Infinity, top_p: 1 }],
  ["Nearly greedy", { temperature: 0.1, top_k: Infinity, top_p: 1 }],
  ["Cool", { temperature: 0.5, top_k: Infinity, top_p: 1 }],
  ["Warm", { temperature: 2, top_k: Infinity, top_p: 1 }],
  ["Top 3", { temperature: 1, top_k: 3, top_p: 1 }],
  ["Nucleus", { temperature: 1, top_k: Infinity, top_p: 0.9 }],
];

const RULES = [
  ["nucleus", "nucleus: until the sum reaches p"],
  ["at-most", "the notes' wording: while the sum is at most p"],
];

function render({ model, el }) {
  const tokens = model.get("tokens");
  const logits = model.get("logits");
  const order = ranking(logits);
  const head = order.slice(0, model.get("shown"));
  const tail = order.slice(model.get("shown"));
  const settings = () => ({
    temperature: model.get("temperature"),
    top_k: model.get("top_k"),
    top_p: model.get("top_p"),
    rule: model.get("rule"),
  });
  const bounded = (preset) => ({ ...preset, top_k: Math.min(preset.top_k, tokens.length) });

  // Controls. Each change goes through the model, so that a host which holds the state can move them too.
  const change = (values) => {
    for (const [key, value] of Object.entries(values)) model.set(key, value);
    model.save_changes();
  };
  const presets = make("fieldset", { class: "gam-presets" }, make("legend", { class: "gam-hidden" }, "Presets"));
  const buttons = PRESETS.map(([name, preset]) => {
    const button = make("button", { type: "button" }, name);
    button.addEventListener("click", () => change(bounded(preset)));
    presets.append(button);
    return [button, bounded(preset)];
  });
  const slider = (name, key, min, max, step, show) => {
    const input = make("input", { type: "range", min, max, step });
    const output = make("output", { "aria-hidden": "true" });
    input.addEventListener("input", () => change({ [key]: Number(input.value) }));
    const update = () => {
      input.value = model.get(key);
      output.textContent = show(model.get(key));
      input.setAttribute("aria-valuetext", show(model.get(key)));
    };
    return [make("label", { class: "gam-control" }, make("span", {}, name), input, output), update];
  };
  const sliders = [
    slider("Temperature", "temperature", 0.05, 3, 0.05, (value) => value.toFixed(2)),
    slider("Top-k", "top_k", 1, tokens.length, 1, (value) => (value >= tokens.length ? "off" : String(value))),
    slider("Top-p", "top_p", 0.01, 1, 0.01, (value) => (value >= 1 ? "off" : value.toFixed(2))),
  ];
  const rule = make("select", {}, ...RULES.map(([value, text]) => make("option", { value }, text)));
  rule.addEventListener("change", () => change({ rule: rule.value }));

  // What is shown: three facts, a warning when nothing is left, one row a token.
  const fact = (name) => {
    const value = make("dd");
    return [[make("dt", {}, name), value], value];
  };
  const [countItem, countFact] = fact("Tokens kept");
  const [massItem, massFact] = fact("Mass kept at T");
  const [entropyItem, entropyFact] = fact("Entropy, nats");
  const warning = make("p", { class: "gam-warning" });
  const announcement = make("p", { class: "gam-hidden", role: "status" });
  const row = (name) => {
    const ghost = make("span", { class: "gam-ghost" });
    const bar = make("span", { class: "gam-bar" });
    const before = make("td");
    const after = make("td");
    const track = make("span", { class: "gam-track" }, ghost, bar);
    const node = make(
      "tr", {}, make("th", { scope: "row" }, name),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }, track), before, after,
    );
    return {
      node,
      draw(was, is, state, note) {
        ghost.style.width = `${100 * was}%`;
        bar.style.width = `${100 * is}%`;
        before.textContent = was.toFixed(4);
        after.textContent = note ?? is.toFixed(4);
        node.dataset.kept = state;
      },
    };
  };
  const headRows = head.map((i) => row(tokens[i]));
  const tailRow = row(`${tail.length} others`);
  const tailRows = tail.map((i) => row(tokens[i]));
  const tailBody = make("tbody", {}, ...tailRows.map((r) => r.node));
  tailBody.hidden = true;
  const column = (width) => make("col", { style: `width: ${width}` });
  const heading = (text, attributes = {}) => make("th", { scope: "col", ...attributes }, text);
  const table = make(
    "table", {},
    make("caption", {}, make("span", { class: "gam-key gam-ghost" }), "softmax at T = 1 ",
      make("span", { class: "gam-key gam-bar" }), "what is drawn from (full width = 1)"),
    make("colgroup", {}, column("6em"), column("auto"), column("4.7em"), column("4.7em")),
    make("thead", {}, make("tr", {}, heading("token", { class: "gam-left" }),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }), heading("before"), heading("after"))),
    make("tbody", {}, ...headRows.map((r) => r.node), ...(tail.length ? [tailRow.node] : [])),
    tailBody,
  );
  const scroll = make("div", { class: "gam-scroll", tabindex: "0", role: "group", "aria-label": "Probability of each token" }, table);
  const open = make("button", { type: "button", class: "gam-open", "aria-expanded": "false" });
  const label = () => {
    open.textContent = `${tailBody.hidden ? "Show" : "Hide"} the ${tail.length} others one by one`;
  };
  open.addEventListener("click", () => {
    tailBody.hidden = !tailBody.hidden;
    open.setAttribute("aria-expanded", String(!tailBody.hidden));
    label();
  });
  label();

  let timer;
  function draw() {
    const now = settings();
    const result = decode(logits, now);
    const first = order[0];
    sliders.forEach(([, update]) => update());
    rule.value = now.rule;
    buttons.forEach(([button, preset]) =>
      button.setAttribute("aria-pressed", String(Object.keys(preset).every((key) => preset[key] === now[key]))));
    countFact.textContent = `${result.count} of ${tokens.length}`;
    massFact.textContent = result.mass.toFixed(3);
    entropyFact.textContent = result.count ? `${entropy(result.before).toFixed(3)} → ${result.entropyAfter.toFixed(3)}` : "none";
    warning.textContent = result.count ? "" :
      `Nothing is left to draw: ${tokens[first]} alone already exceeds p, and this rule keeps a token only while the sum is at most p.`;
    const drawToken = (r, i) =>
      r.draw(result.before[i], result.after[i], result.kept[i] ? "after" : "false", result.kept[i] ? undefined : "cut");
    headRows.forEach((r, n) => drawToken(r, head[n]));
    tailRows.forEach((r, n) => drawToken(r, tail[n]));
    const sum = (values) => tail.reduce((total, i) => total + values[i], 0);
    const keptInTail = tail.filter((i) => result.kept[i]).length;
    tailRow.draw(sum(result.before), sum(result.after), keptInTail ? "after" : "false", keptInTail ? undefined : "cut");
    clearTimeout(timer); // a screen reader hears where the slider came to rest, not each step
    timer = setTimeout(() => {
      announcement.textContent = result.count
        ? `${result.count} of ${tokens.length} tokens kept, holding ${result.mass.toFixed(3)} of the probability. ` +
          `Entropy ${result.entropyAfter.toFixed(3)} nats. ${tokens[first]} has ${result.after[first].toFixed(3)}.`
        : warning.textContent;
    }, 500);
  }
  for (const key of ["temperature", "top_k", "top_p", "rule"]) model.on(`change:${key}`, draw);

  el.classList.add("gam-live");
  el.replaceChildren(
    make("style", {}, STYLE), presets, ...sliders.map(([node]) => node),
    make("label", { class: "gam-rule" }, make("span", {}, "Top-p keeps tokens by"), rule),
    make("dl", { class: "gam-facts" }, ...countItem, ...massItem, ...entropyItem),
    warning, scroll, ...(tail.length ? [open] : []), announcement,
  );
  draw();
}

export default { render };
