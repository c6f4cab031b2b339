import { STYLE, make, draw, slider, change, numberTable, fact, announcer } from "./live_parts.js";

// The beam explorer: a law over a few sentences as a tree, and beam search walking it step by step.
//
// The first part is arithmetic without a page; tests/test_widgets_sampling.py runs it under Node against
// labutils.sampling.beam_search and against a search through all sentences.

// ---------------------------------------------------------------------------------------------------- arithmetic

/**
 * The beginnings of sentences as a list, parents first. The law gives each next word its probability and the law after
 * it; after a full stop there is none. A node has its words, the probability `p` of its last word, and `logP` of them all.
 */
export function beginnings(law) {
  const nodes = [{ parent: null, words: [], p: 1, logP: 0, complete: false }];
  const grow = (parent, next) => Object.entries(next).forEach(([word, [p, after]]) => {
    const id = nodes.length;
    const { words, logP } = nodes[parent];
    nodes.push({ parent, words: [...words, word], p, logP: logP + Math.log(p), complete: after === null });
    if (after) grow(id, after);
  });
  grow(0, law);
  return nodes;
}

/** What sentences are ranked by: the log-probability over a power of the length, the full stop counted. */
export function score({ words, logP }, penalty) {
  return logP / words.length ** penalty;
}

/**
 * Each step of the search: its candidates in the order of their probability, each with its fate ("kept", "complete" or
 * "cut"), and what is complete after it, best score first. Of 2 · width candidates those that end among the first
 * `width` are complete, and the best `width` of the others go on.
 */
export function search(nodes, { width, penalty }) {
  const steps = [];
  let [running, complete] = [[0], []];
  while (running.length) {
    const ranked = nodes.flatMap(({ parent }, id) => (running.includes(parent) ? [id] : [])).sort((a, b) => nodes[b].logP - nodes[a].logP);
    const able = ranked.slice(0, 2 * width);
    complete = [...complete, ...able.slice(0, width).filter((id) => nodes[id].complete)]
      .sort((a, b) => score(nodes[b], penalty) - score(nodes[a], penalty)).slice(0, width);
    running = able.filter((id) => !nodes[id].complete).slice(0, width);
    const fate = (id) => (running.includes(id) ? "kept" : able.indexOf(id) > -1 && able.indexOf(id) < width ? "complete" : "cut");
    steps.push({ candidates: ranked.map((id) => ({ id, fate: fate(id) })), complete });
  }
  return steps;
}

/** The sentence with the best score of all. */
export function exactBest(nodes, penalty) {
  const whole = nodes.map((node, id) => [node, id]).filter(([node]) => node.complete);
  return whole.reduce((a, b) => (score(b[0], penalty) > score(a[0], penalty) ? b : a))[1];
}

// ------------------------------------------------------------------------------------------------------- drawing

const ROW = 1.75; // rem
const COLUMNS = [0, 4, 27, 50, 73, 96]; // where the words of each step stand, in percent of the width
const REACH = 17; // how far a word and the line behind it go

const LOOK = `
.gam-live.gam-live.gam-beam { --gam-name: 8.2em; --gam-value: 3.4em; }
.gam-live.gam-live .gam-steps { display: flex; gap: .4rem; margin: .3rem 0 .2rem; }
.gam-live.gam-live .gam-note { margin: .5rem 0; min-height: 4.2em; }
.gam-live .gam-tree { position: relative; margin: .6rem 0 .2rem; font-size: .88em; font-variant-numeric: tabular-nums; }
.gam-live .gam-tree svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.gam-live .gam-tree path { fill: none; stroke: currentColor; stroke-width: 1; opacity: .35; vector-effect: non-scaling-stroke; }
.gam-live .gam-tree path[data-fate="kept"], .gam-live .gam-tree path[data-fate="complete"] { stroke: var(--gam-accent); stroke-width: 3; opacity: 1; }
.gam-live .gam-tree path[data-fate="cut"] { stroke-dasharray: 4 3; opacity: .8; }
.gam-live .gam-tree div { position: absolute; display: flex; align-items: center; transform: translateY(-50%); white-space: nowrap; }
.gam-live .gam-tree hr { flex: 1; margin: 0; border: 0; border-top: 1px solid; opacity: .35; }
.gam-live .gam-tree span { padding: 0 .25rem; line-height: 1.4; border-radius: .25rem; }
.gam-live .gam-tree small { font-size: .85em; }
.gam-live .gam-tree [data-fate=""] span { opacity: .68; }
.gam-live .gam-tree [data-fate="cut"] span { text-decoration: line-through; }
.gam-live .gam-tree [data-fate="kept"] span { border: 1.5px solid var(--gam-accent); background: color-mix(in srgb, var(--gam-accent) 18%, transparent); }
.gam-live .gam-tree [data-fate="kept"] hr { border-top: 3px solid var(--gam-accent); opacity: 1; }
.gam-live .gam-tree [data-fate="complete"] span { border: 1.5px solid; background: var(--gam-accent); color: #000; font-weight: 700; }
@media (max-width: 30rem) { .gam-live.gam-live .gam-tree { font-size: .74em; } }
`;

function render({ model, el }) {
  const nodes = beginnings(model.get("law"));
  const children = nodes.map((_, id) => nodes.flatMap(({ parent }, child) => (parent === id ? [child] : [])));
  const depth = Math.max(...nodes.map(({ words }) => words.length));
  const leaves = nodes.flatMap(({ complete }, id) => (complete ? [id] : []));
  // A sentence has a row of its own; what several begin with stands in the middle of them.
  const height = (id) => (nodes[id].complete ? leaves.indexOf(id) + 0.5 : children[id].reduce((sum, child) => sum + height(child), 0) / children[id].length);

  const sliders = [
    slider(model, "Beam width", "width", [1, 4, 1], String),
    slider(model, "Length penalty", "penalty", [0, 1.5, 0.1], (value) => value.toFixed(1)),
    slider(model, "Step", "step", [0, depth, 1], (value) => `${value} of ${depth}`),
  ];
  const move = (by) => change(model, { step: Math.max(0, Math.min(depth, model.get("step") + by)) });
  const [back, next] = [["Back", -1], ["Next step", 1]].map(([text, by]) => {
    const button = make("button", { type: "button" }, text);
    button.addEventListener("click", () => move(by));
    return button;
  });

  const drawn = nodes.map((node, id) => {
    const word = make("div", { style: `left: ${COLUMNS[node.words.length]}%; top: ${ROW * height(id)}rem; width: ${node.complete ? "auto" : `${REACH}%`}` },
      make("span", {}, node.words.at(-1) ?? "", ...(node.p < 1 ? [" ", make("small", {}, node.p.toFixed(2).slice(1))] : [])),
      ...(node.complete ? [] : [make("hr")]));
    const [x1, x2] = node.parent === null ? [0, 0] : [node.words.length - 1, node.words.length].map((n) => COLUMNS[n]);
    const start = node.words.length > 1 ? x1 + REACH : x1;
    const [y1, y2] = [height(node.parent ?? 0), height(id)].map((y) => (100 * y) / leaves.length);
    const edge = draw("path", { d: `M${start} ${y1}C${(start + x2) / 2} ${y1} ${(start + x2) / 2} ${y2} ${x2} ${y2}` });
    return { node, word, edge };
  });
  const tree = make("div", { class: "gam-tree", "aria-hidden": "true", style: `height: ${ROW * leaves.length}rem` },
    draw("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none" }, ...drawn.slice(1).map(({ edge }) => edge)),
    ...drawn.slice(1).map(({ word }) => word));

  const note = make("p", { class: "gam-note" });
  const [foundItem, foundFact] = fact("Best found so far");
  const [bestItem, bestFact] = fact("Best of all ★");
  const [lookedItem, lookedFact] = fact("Beginnings looked at");
  const [announcement, announce] = announcer();
  const [table, fillTable] = numberTable("The numbers of the search", ["beginning", "step", "probability", "score", "fate"]);
  table.querySelector("table").prepend(make("colgroup", {}, ...["40%", "auto", "auto", "auto", "auto"].map((width) => make("col", { style: `width: ${width}` }))));

  const text = (id) => nodes[id].words.join(" ");
  const probability = (id) => Math.exp(nodes[id].logP).toFixed(3);
  const told = (id) => [text(id), make("small", {}, `probability ${probability(id)}`),
    make("small", {}, `score ${score(nodes[id], model.get("penalty")).toFixed(3).replace("-", "−")}`)];

  function update() {
    const [width, penalty] = ["width", "penalty"].map((key) => model.get(key));
    const all = search(nodes, { width, penalty });
    const step = model.get("step");
    const done = all.slice(0, step);
    const now = done.at(-1) ?? { candidates: [], complete: [] };
    const fates = new Map(done.flatMap(({ candidates }) => candidates.map(({ id, fate }) => [id, fate])));
    const best = exactBest(nodes, penalty);
    sliders.forEach(([, follow]) => follow());
    back.disabled = step === 0;
    next.disabled = step === depth;
    drawn.forEach(({ node, word, edge }, id) => {
      word.dataset.fate = fates.get(id) ?? "";
      if (node.complete) word.lastChild.textContent = id === best ? ". ★" : ".";
      edge.dataset.fate = fates.get(id) ?? "";
    });
    const list = (kind) => now.candidates.filter(({ fate }) => fate === kind).map(({ id }) => `${text(id)} (${probability(id)})`).join(", ");
    const say = (kind, name) => (list(kind) ? ` ${name}: ${list(kind)}.` : "");
    note.textContent = step === 0 ? "Nothing is written yet. Press “Next step”."
      : step > all.length ? "Every beam has ended."
        : `Step ${step}: ${now.candidates.length} candidates.${say("kept", "Kept")}${say("complete", "Complete")}${say("cut", "Cut")}`;
    const found = (done.at(-1) ?? now).complete[0];
    foundFact.replaceChildren(...(found === undefined ? ["none yet"] : told(found)));
    bestFact.replaceChildren(...told(best));
    lookedFact.textContent = `${fates.size} of ${nodes.length - 1}`;
    fillTable(done.flatMap(({ candidates }, i) => candidates.map(({ id, fate }) =>
      [text(id), String(i + 1), probability(id), score(nodes[id], penalty).toFixed(3).replace("-", "−"), fate])));
    announce(`${note.textContent} ${found === undefined ? "" : `Best found so far: ${text(found)}, ${found === best ? "the best of all" : "not the best of all"}.`}`);
  }
  for (const key of ["width", "penalty", "step"]) model.on(`change:${key}`, update);

  el.classList.add("gam-live", "gam-beam");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), ...sliders.map(([node]) => node), make("div", { class: "gam-steps" }, back, next), note, tree,
    make("dl", { class: "gam-facts" }, ...foundItem, ...bestItem, ...lookedItem), table, announcement,
  );
  update();
}

export default { render };
