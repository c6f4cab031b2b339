import { uniform, STYLE, make, slider, change, chart, stroke, numberTable, fact, announcer } from "./live_parts.js";

// The collapse explorer: a table of word counts, filled again and again from a text that it wrote itself.
//
// The first part is arithmetic without a page; tests/test_widgets_synthetic.py runs it under Node against a simulation.

// ---------------------------------------------------------------------------------------------------- arithmetic

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** The probabilities of 0 to n successes in n tries. */
export function binomial(n, p) {
  if (p <= 0 || p >= 1) return Array.from({ length: n + 1 }, (_, k) => Number(k === (p <= 0 ? 0 : n)));
  const logs = [n * Math.log1p(-p)];
  for (let k = 1; k <= n; k += 1) logs.push(logs[k - 1] + Math.log((n - k + 1) / k) + Math.log(p / (1 - p)));
  return logs.map(Math.exp);
}

/**
 * The number of words to expect in each generation's text, the first included. A generation draws `length` words from
 * a law that is the one before's shares, and the true law in a share of `real`. The count of one word is a chain of its
 * own: only the count before matters, so its law follows exactly, step by step.
 */
export function expected({ law, length, real, generations }) {
  const present = new Array(generations).fill(0);
  for (const p of law) {
    const step = Array.from({ length: length + 1 }, (_, x) => binomial(length, ((1 - real) * x) / length + real * p));
    let counts = binomial(length, p);
    for (let g = 0; g < generations; g += 1) {
      if (g > 0) {
        const next = new Array(length + 1).fill(0);
        counts.forEach((q, x) => { if (q > 1e-15) for (let y = 0; y <= length; y += 1) next[y] += q * step[x][y]; });
        counts = next;
      }
      present[g] += 1 - counts[0];
    }
  }
  return present;
}

/** One run: the share of each word in each generation's text. */
export function run({ law, length, real, generations, seed }) {
  const next = uniform(seed);
  let shares = law;
  return Array.from({ length: generations }, (_, g) => {
    const source = shares.map((share, i) => (g === 0 ? share : (1 - real) * share + real * law[i]));
    const counts = new Array(law.length).fill(0);
    for (let n = 0; n < length; n += 1) {
      let left = next() * sum(source);
      let word = source.findIndex((p) => (left -= p) < 0);
      if (word < 0) word = source.findLastIndex((p) => p > 0); // a rounded sum fell short
      counts[word] += 1;
    }
    shares = counts.map((count) => count / length);
    return shares;
  });
}

// ------------------------------------------------------------------------------------------------------- drawing

const LOOK = `
.gam-live.gam-live.gam-collapse { --gam-name: 8.6em; --gam-value: 3.2em; }
.gam-live.gam-live.gam-collapse .gam-columns { display: flex; align-items: flex-end; gap: 1px; height: 6.5rem; margin: .4rem 0 .2rem; border-bottom: 1px solid; }
.gam-live.gam-live.gam-collapse .gam-columns div { position: relative; flex: 1; height: 100%; }
.gam-live.gam-live.gam-collapse .gam-columns span { position: absolute; bottom: 0; }
.gam-live.gam-live.gam-collapse .gam-columns .gam-ghost { left: 0; right: 0; border-bottom: 0; }
.gam-live.gam-live.gam-collapse .gam-columns .gam-bar { left: 20%; right: 20%; }
.gam-live.gam-live.gam-collapse .gam-columns div[data-gone="true"] .gam-ghost { background: repeating-linear-gradient(45deg, var(--gam-second) 0 2px, transparent 2px 4px); border-color: var(--gam-second); }
.gam-live.gam-live.gam-collapse .gam-gone { background: repeating-linear-gradient(45deg, var(--gam-second) 0 2px, transparent 2px 4px); border: 1px solid var(--gam-second); }
.gam-live.gam-live.gam-collapse .gam-legend + .gam-chart { margin-top: .8rem; }
.gam-live.gam-live.gam-collapse .gam-legend { margin-top: .6rem; }
`;

function render({ model, el }) {
  const [law, generations] = ["law", "generations"].map((name) => model.get(name));
  const last = generations - 1;
  const settings = () => ({ law, generations, length: model.get("length"), real: model.get("percent") / 100, seed: model.get("seed") });
  const sliders = [
    slider(model, "Generation", "generation", [0, last, 1], String),
    slider(model, "Words in a text", "length", [20, 100, 10], String),
    slider(model, "Real words in it", "percent", [0, 50, 5], (value) => `${value}%`),
  ];
  const again = make("button", { type: "button" }, "Another run");
  again.addEventListener("click", () => change(model, { seed: model.get("seed") + 1 }));

  const [leftItem, leftFact] = fact("Words left in this run");
  const [expectedItem, expectedFact] = fact("Expected");
  const [topItem, topFact] = fact("Most frequent word has");
  const [announcement, announce] = announcer();

  const columns = law.map((p) => {
    const bar = make("span", { class: "gam-bar" });
    const ghost = make("span", { class: "gam-ghost" });
    return { node: make("div", {}, ghost, bar), show: (share, full) => {
      ghost.style.height = `${(100 * p) / full}%`;
      bar.style.height = `${(100 * Math.min(share, full)) / full}%`;
    } };
  });
  const picture = make("div", { class: "gam-columns", role: "img" }, ...columns.map(({ node }) => node));
  const key = (kind) => make("span", { class: `gam-key ${kind}` });
  const columnKey = make("p", { class: "gam-legend" }, `The ${law.length} words, frequent ones first: `, key("gam-ghost"), "true share ",
    key("gam-bar"), "share in this text ", key("gam-gone"), "missing");

  const course = chart({
    x: [0, last], y: [0, law.length], xTicks: Array.from({ length: generations }, (_, g) => g).filter((g) => g % 5 === 0),
    yTicks: [0, law.length / 2, law.length], title: "generation", lines: [0, 0.5, 1].map((y) => [[0, y * law.length], [last, y * law.length]]),
  });
  const [drawRun, drawExpected, point] = [course.curve("gam-one"), course.curve("gam-dashed"), course.dot()];
  const courseKey = make("p", { class: "gam-legend" }, "Different words in the text: ", stroke(), "this run ", stroke("gam-dashed"), "expected");
  const [table, fillTable] = numberTable("The numbers of the curves", ["generation", "words in this run", "expected"]);

  let drawn;
  let results;
  function update() {
    const now = settings();
    const generation = model.get("generation");
    const setting = [now.length, now.real, now.seed].join();
    sliders.forEach(([, follow]) => follow());
    if (drawn !== setting) {
      const shares = run(now);
      results = { shares, left: shares.map((text) => text.filter(Boolean).length), mean: expected(now) };
      drawn = setting;
      const numbered = (values) => values.map((value, g) => [g, value]);
      drawRun(numbered(results.left));
      drawExpected(numbered(results.mean));
      fillTable(results.left.map((left, g) => [String(g), String(left), results.mean[g].toFixed(1)]));
      course.node.setAttribute("aria-label", `Different words by generation, in this run: ${results.left.join(", ")}`);
    }
    const shares = results.shares[generation];
    const full = Math.max(law[0], Math.min(1, Math.max(...shares)));
    columns.forEach(({ node, show }, i) => {
      show(shares[i], full);
      node.dataset.gone = String(shares[i] === 0);
    });
    picture.setAttribute("aria-label", `Generation ${generation}: ${results.left[generation]} of ${law.length} words occur`);
    point([generation, results.left[generation]]);
    leftFact.textContent = `${results.left[generation]} of ${law.length}`;
    expectedFact.textContent = results.mean[generation].toFixed(1);
    topFact.textContent = `${(100 * Math.max(...shares)).toFixed(0)}%`;
    announce(`Generation ${generation}: ${results.left[generation]} of ${law.length} words are left; ${results.mean[generation].toFixed(1)} are expected.`);
  }
  for (const name of ["generation", "length", "percent", "seed"]) model.on(`change:${name}`, update);

  el.classList.add("gam-live", "gam-collapse");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), ...sliders.map(([node]) => node), make("div", { class: "gam-rule" }, again),
    make("dl", { class: "gam-facts" }, ...leftItem, ...expectedItem, ...topItem), columnKey, picture, courseKey, course.node, table, announcement,
  );
  update();
}

export default { render };
