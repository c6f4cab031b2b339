import { softmax, entropy, uniform, STYLE, make, indexed, change, slider, presets, fact, announcer } from "./live_parts.js";

// The attention explorer: one query, eight keys, and what dividing by the root of d_k does to the softmax.
//
// The first part is arithmetic without a page; tests/test_widgets_attention.py runs it under Node against torch.

// ---------------------------------------------------------------------------------------------------- arithmetic

/**
 * The dot products of one query with nKeys keys of dK components. Each component is drawn evenly from -√3 to √3, so
 * its mean is 0 and its variance 1. More components are more of the same draw: the first ones stay.
 */
export function dotProducts(dK, nKeys, seed) {
  const next = uniform(seed);
  const component = () => (2 * next() - 1) * Math.sqrt(3);
  const scores = new Array(nKeys).fill(0);
  for (let axis = 0; axis < dK; axis += 1) {
    const q = component();
    for (let key = 0; key < nKeys; key += 1) scores[key] += q * component();
  }
  return scores;
}

/** The Frobenius norm of the softmax's Jacobian diag(p) - p pᵀ: what is left of a gradient that passes it. */
export function jacobianNorm(p) {
  const total = (numbers) => numbers.reduce((sum, number) => sum + number, 0);
  const others = (i) => p.filter((_, j) => j !== i); // 1 - p[i] as a sum: exact where p[i] is close to 1
  return Math.sqrt(total(p.map((a, i) => a * a * (total(others(i)) ** 2 + total(others(i).map((b) => b * b))))));
}

/** The scores, their spread, the weights and what they are worth, at one setting. */
export function attend({ d_k, n_keys, query_size, divided, seed }) {
  const scores = dotProducts(d_k, n_keys, seed).map((s) => (query_size * s) / (divided ? Math.sqrt(d_k) : 1));
  const mean = scores.reduce((sum, s) => sum + s, 0) / n_keys;
  const weights = softmax(scores);
  return {
    scores,
    expected: query_size * (divided ? 1 : Math.sqrt(d_k)), // the root of the variance of a score, over all draws
    spread: Math.sqrt(scores.reduce((sum, s) => sum + (s - mean) ** 2, 0) / n_keys),
    weights,
    largest: Math.max(...weights),
    effective: Math.exp(entropy(weights)),
    gradient: jacobianNorm(weights),
  };
}

// ------------------------------------------------------------------------------------------------------- drawing

const PRESETS = [
  ["Small d_k", { exponent: 2, query_size: 1, divided: false }],
  ["Large d_k", { exponent: 9, query_size: 1, divided: false }],
  ["Large d_k, divided", { exponent: 9, query_size: 1, divided: true }],
  ["Divided, but a large query", { exponent: 9, query_size: 6, divided: true }],
];

/** Three decimals, or a power of ten where they would all be 0. */
const short = (value) => {
  if (value >= 0.001 || value === 0) return value.toFixed(3);
  const [digits, power] = value.toExponential(1).split("e-");
  return `${digits} · 10⁻${[...power].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]).join("")}`;
};

function render({ model, el }) {
  const nKeys = model.get("n_keys");
  const settings = () => ({
    d_k: 2 ** model.get("exponent"),
    n_keys: nKeys,
    query_size: model.get("query_size"),
    divided: model.get("divided"),
    seed: model.get("seed"),
  });

  const [presetButtons, updatePresets] = presets(model, PRESETS);
  const sliders = [
    slider(model, "d_k", "exponent", [2, 10, 1], (value) => String(2 ** value)),
    slider(model, "Query size", "query_size", [0.5, 8, 0.5], (value) => `×${value}`),
  ];
  const box = make("input", { type: "checkbox" });
  box.addEventListener("change", () => change(model, { divided: box.checked }));
  const again = make("button", { type: "button" }, "Draw other vectors");
  again.addEventListener("click", () => change(model, { seed: model.get("seed") + 1 }));

  const [spreadItem, spreadFact] = fact("Spread of the scores");
  const [largestItem, largestFact] = fact("Largest weight");
  const [effectiveItem, effectiveFact] = fact(`Keys in use, of ${nKeys}`);
  const [gradientItem, gradientFact] = fact("Gradient let through");
  const [announcement, announce] = announcer();
  const rows = Array.from({ length: nKeys }, (_, key) => {
    const ghost = make("span", { class: "gam-ghost" });
    const bar = make("span", { class: "gam-bar" });
    const [score, weight] = [make("td"), make("td")];
    const track = make("span", { class: "gam-track" }, ghost, bar);
    return {
      ghost, bar, score, weight,
      node: make("tr", {}, make("th", { scope: "row" }, `${key + 1}`), score,
        make("td", { class: "gam-bar-cell", "aria-hidden": "true" }, track), weight),
    };
  });
  const column = (width) => make("col", { style: `width: ${width}` });
  const heading = (text, attributes = {}) => make("th", { scope: "col", ...attributes }, text);
  const other = make("span");
  const table = make(
    "table", {},
    make("caption", {}, make("span", { class: "gam-key gam-bar" }), "weight ",
      make("span", { class: "gam-key gam-ghost" }), other, " (full width = 1)"),
    make("colgroup", {}, column("4em"), column("4.6em"), column("auto"), column("4.2em")),
    make("thead", {}, make("tr", {}, heading("key", { class: "gam-left" }), heading("score"),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }), heading("weight"))),
    make("tbody", {}, ...rows.map((row) => row.node)),
  );

  function update() {
    const now = settings();
    const result = attend(now);
    const otherwise = attend({ ...now, divided: !now.divided });
    sliders.forEach(([, follow]) => follow());
    updatePresets();
    box.checked = now.divided;
    const beside = (value) => make("small", {}, `${now.divided ? "not divided" : "divided"}: ${value}`);
    const tell = (node, show) => node.replaceChildren(show(result), beside(show(otherwise)));
    tell(spreadFact, ({ spread }) => spread.toFixed(2));
    spreadFact.append(make("small", {}, `theory: ${result.expected.toFixed(2)}`));
    tell(largestFact, ({ largest }) => largest.toFixed(3));
    tell(effectiveFact, ({ effective }) => effective.toFixed(2));
    tell(gradientFact, ({ gradient }) => short(gradient));
    other.textContent = now.divided ? "the same, not divided" : "the same, divided";
    rows.forEach((row, key) => {
      row.score.textContent = result.scores[key].toFixed(2).replace("-", "−");
      row.weight.textContent = result.weights[key].toFixed(3);
      row.bar.style.width = `${100 * result.weights[key]}%`;
      row.ghost.style.width = `${100 * otherwise.weights[key]}%`;
    });
    announce(`d_k ${now.d_k}, ${now.divided ? "divided" : "not divided"}. Spread of the scores ${result.spread.toFixed(2)}. ` +
      `Largest weight ${result.largest.toFixed(3)}. Effectively ${result.effective.toFixed(2)} of ${nKeys} keys in use. ` +
      `Gradient let through ${short(result.gradient)}.`);
  }
  for (const key of ["exponent", "query_size", "divided", "seed"]) model.on(`change:${key}`, update);

  el.classList.add("gam-live");
  el.replaceChildren(
    make("style", {}, STYLE), presetButtons, ...sliders.map(([node]) => node),
    make("div", { class: "gam-rule" }, make("label", { class: "gam-check" }, box, make("span", {}, ...indexed("Divide the scores by √d_k"))), again),
    make("dl", { class: "gam-facts" }, ...spreadItem, ...largestItem, ...effectiveItem, ...gradientItem),
    table, announcement,
  );
  update();
}

export default { render };
