import { softmax, entropy, uniform, STYLE, make, change, slider, presets, numberTable, fact, announcer } from "./live_parts.js";
import { ranking, decode, drawToken } from "./sampling.js";
import { readSafetensors, decoder, emptyCache, shorten, step } from "./decoder.js";
import { wordsOf, suggestions, nextWordLaw } from "./world.js";

// The model in the page: the trained decoder of the world reads what the reader types, and writes on.
//
// Before it is loaded the figure shows stored results of the same model. The first part knows no page;
// tests/test_decoder_js.py runs it under Node against PyTorch, tests/test_browser_model.py in the pages.

// ------------------------------------------------------------------------------------------------- text and numbers

/** The tokens of a text up to its first unknown word; that word, whether it may still be being typed, and what follows. */
export function parse(text, vocab) {
  const words = wordsOf(text);
  const at = words.findIndex((word) => vocab.indexOf(word, 2) < 0); // <bos> and <mask> are not for a reader to type
  const known = at < 0 ? words : words.slice(0, at);
  return {
    tokens: [0, ...known.map((word) => vocab.indexOf(word, 2))],
    known,
    unknown: at < 0 ? null : { word: words[at], unfinished: at === words.length - 1 && !/\s$/.test(text), after: words.slice(at + 1) },
  };
}

/** The model and the law of the world, from the files that labutils.widgets packs. */
export function open({ config, decoder: weights, law }) {
  const tensors = (text) => readSafetensors(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))).tensors;
  const model = decoder(tensors(weights), config);
  return { model, law: tensors(law), cache: emptyCache(model), tokens: [] };
}

/**
 * A reading: what the model and the law (null where there is none) say after these tokens, and the attention weights by
 * layer, head and position. A beginning that was read before is not read again.
 */
export function read(opened, tokens) {
  const { model, law, cache } = opened;
  let shared = 0;
  while (shared < tokens.length - 1 && tokens[shared] === opened.tokens[shared]) shared += 1;
  shorten(cache, shared);
  const logits = tokens.slice(shared).map((token) => step(model, token, cache)).at(-1);
  opened.tokens = tokens;
  return {
    tokens,
    logits,
    law: nextWordLaw(law, tokens, logits.length),
    attention: cache.map((layer) => layer.map(({ weights }) => weights.slice())),
  };
}

/** The random number of a seed for the word at a position: the same seed writes the same text, one word at a time or all. */
export function chance(seed, position) {
  const next = uniform(seed);
  for (let i = 0; i < position; i += 1) next();
  return next();
}

const sum = (numbers) => numbers.reduce((total, x) => total + x, 0);

/** The mass that must be moved to make one law the other: half the sum of the differences, or total variation. */
export const distance = (p, q) => sum(p.map((x, i) => Math.abs(x - q[i]))) / 2;

// ----------------------------------------------------------------------------------------------------- the four views

const LOOK = `
.gam-live.gam-live .gam-text { display: block; margin: 0 0 .5rem; font-weight: inherit; }
.gam-live.gam-live textarea { display: block; width: 100%; margin: .15rem 0 0; padding: .35rem .5rem; font: inherit; line-height: 1.4;
  color: inherit; background: transparent; border: 1px solid currentColor; border-radius: .3rem; resize: vertical; }
.gam-live :is(textarea, ol):focus-visible { outline: 3px solid var(--gam-accent); outline-offset: 2px; }
.gam-live.gam-live .gam-row { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin: 0 0 .5rem; }
.gam-live.gam-live .gam-row:empty { display: none; }
.gam-live.gam-live .gam-seed { display: flex; gap: .4rem; align-items: center; margin: 0; font-weight: inherit; font-size: .9em; }
.gam-live.gam-live .gam-seed input { width: 5em; font: inherit; min-height: 1.9rem; padding: 0 .3rem; color: inherit; background: transparent;
  border: 1px solid currentColor; border-radius: .3rem; }
.gam-live.gam-live .gam-note { margin: .4rem 0; font-size: .9em; }
.gam-live.gam-live th button { display: block; width: 100%; min-height: 1.6rem; padding: 0 .4rem; text-align: left; overflow: hidden;
  text-overflow: ellipsis; }
.gam-live.gam-live tr[data-kept="false"] th button { text-decoration: line-through; }
.gam-live.gam-live tr[data-chosen="true"] :is(th, td) { font-weight: 700; }
.gam-live.gam-live tr[data-chosen="true"] button { box-shadow: inset 0 0 0 2px var(--gam-accent); }
.gam-live.gam-live .gam-stages { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .4rem 0; padding: 0; list-style: none; font-size: .9em; }
.gam-live.gam-live .gam-stages li { margin: 0; padding: 0 0 .1rem; border-bottom: 3px solid transparent; opacity: .75; }
.gam-live.gam-live .gam-stages li[aria-current="step"] { border-color: var(--gam-accent); font-weight: 700; opacity: 1; }
.gam-live.gam-live .gam-tokens { display: flex; flex-wrap: wrap; gap: .3rem; max-height: 11rem; overflow-y: auto; margin: .4rem 0; padding: .15rem;
  list-style: none; }
.gam-live.gam-live .gam-tokens li { margin: 0; padding: .05rem .4rem; border: 1px solid color-mix(in srgb, currentColor 60%, transparent);
  border-radius: .3rem; text-align: center; line-height: 1.25; }
.gam-live.gam-live .gam-tokens li[data-here="true"] { outline: 2px solid currentColor; font-weight: 700; }
.gam-live.gam-live .gam-tokens small { display: block; min-height: 1.25em; font-weight: normal; font-variant-numeric: tabular-nums; }
.gam-live.gam-live .gam-maps { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .6rem; margin: .5rem 0; }
.gam-live.gam-live .gam-maps button { padding: .3rem; font-size: .8em; line-height: 1.2; }
.gam-live .gam-map { position: relative; display: block; margin: 0 0 .25rem; border: 1px solid color-mix(in srgb, currentColor 45%, transparent); }
.gam-live .gam-map canvas { display: block; width: 100%; aspect-ratio: 1; image-rendering: pixelated; }
.gam-live .gam-map span { position: absolute; left: 0; right: 0; outline: 1.5px solid currentColor; pointer-events: none; }
.gam-live.gam-live .gam-heads table { font-size: .85em; }
.gam-live.gam-live .gam-heads th:first-child { width: 5.2em; }
@media (max-width: 30rem) { .gam-live.gam-live .gam-heads :is(th, td) { padding-inline: .05rem; font-size: .95em; } }
`;

const ROWS = 8;
const three = (x) => (x === undefined ? "–" : x.toFixed(3));
const called = (head) => `layer ${head[0] + 1}, head ${head[1] + 1}`;

/** The text as boxes, one a token, each with something below it. */
function tokenBoxes() {
  const node = make("ol", { class: "gam-tokens", tabindex: "0", "aria-label": "Tokens of the text" });
  const drawAll = (boxes) => node.replaceChildren(...boxes.map(({ word, below, ...attributes }) => make("li", attributes, word, make("small", {}, below))));
  return [node, drawAll];
}

/** Facts under a line: their node, and a function that fills in the values. */
function factLine(names) {
  const facts = names.map((name) => fact(name));
  return [make("dl", { class: "gam-facts" }, ...facts.flatMap(([items]) => items)),
    (values) => facts.forEach(([, node], i) => { node.textContent = values[i]; })];
}

/**
 * A table of the likeliest next words and of all others as one row. A word is a button that appends it. `columns` are
 * [head, width in em]; `legend` names the solid bar and the pale one behind it.
 */
function wordTable(vocab, add, columns, legend) {
  const row = (name) => {
    const [ghost, bar] = [make("span", { class: "gam-ghost" }), make("span", { class: "gam-bar" })];
    const cells = columns.map(() => make("td"));
    const node = make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "gam-bar-cell", "aria-hidden": "true" },
      make("span", { class: "gam-track" }, ghost, bar)), ...cells);
    return { node, draw(solid, pale, texts, kept, chosen) {
      bar.style.width = `${100 * solid}%`;
      ghost.style.width = `${100 * pale}%`;
      cells.forEach((cell, i) => { cell.textContent = texts[i]; });
      node.dataset.kept = kept;
      node.dataset.chosen = String(chosen);
    } };
  };
  const words = Array.from({ length: ROWS + 1 }, () => {
    const press = make("button", { type: "button" });
    press.addEventListener("click", () => add(press.textContent));
    return { press, ...row(press) };
  });
  const others = make("span");
  const rest = row(others);
  const column = (width) => make("col", { style: `width: ${width}` });
  const key = (kind, text) => (text ? [make("span", { class: `gam-key ${kind}` }), `${text} `] : []);
  const table = make("table", {},
    make("caption", {}, ...key("gam-bar", legend[0]), ...key("gam-ghost", legend[1]), "(full width = 1). Press a word to append it."),
    make("colgroup", {}, column("7.3em"), column("auto"), ...columns.map(([, width]) => column(`${width}em`))),
    make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "gam-left" }, "next word"),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }), ...columns.map(([name]) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...words.map(({ node }) => node), rest.node));

  /**
   * Order the rows by `logits`; a chosen word that is not among the first gets a row of its own. `texts(of)` gives the
   * cells of a row, where `of(law)` is what the row has of a law.
   */
  function drawRows({ logits, solid, pale, texts, kept, chosen }) {
    const order = ranking(logits);
    const first = order.slice(0, ROWS);
    if (chosen !== undefined && !first.includes(chosen)) first.push(chosen);
    const tail = order.filter((token) => !first.includes(token));
    const state = (tokens) => (kept ? (tokens.some((token) => kept[token]) ? "after" : "false") : "");
    words.forEach(({ node, press, draw: drawRow }, i) => {
      node.hidden = i >= first.length;
      if (node.hidden) return;
      const token = first[i];
      press.textContent = vocab[token];
      drawRow(solid[token], pale[token], texts((law) => law[token], token), state([token]), token === chosen);
    });
    const total = (law) => sum(tail.map((token) => law[token]));
    others.textContent = `${tail.length} others`;
    rest.draw(total(solid), total(pale), texts(total), state(tail), false);
  }
  return [table, drawRows];
}

/** The model's law of the next word beside the exact one. */
function nextView({ vocab, add }) {
  const [table, drawRows] = wordTable(vocab, add, [["model", 4], ["exact law", 4]], ["the model", "the exact law of the language"]);
  const verdict = make("p", { class: "gam-note" });
  return { parts: [table, verdict], draw({ logits, law }) {
    const p = softmax(logits);
    drawRows({ logits, solid: p, pale: law ?? p.map(() => 0), texts: (of) => [three(of(p)), law ? three(of(law)) : "–"] });
    verdict.textContent = law ? `${(100 * distance(p, law)).toFixed(1)}% of the model's probability lies on other words than it should.` : "";
  } };
}

const STAGES = ["tokens", "ids", "logits", "probabilities", "chosen word"];

/** From tokens to the chosen word; what a later step brings is not there yet. */
function stepsView({ model, vocab, add, luck }) {
  const stages = make("ol", { class: "gam-stages" }, ...STAGES.map((name, i) => make("li", {}, `${i + 1} ${name}`)));
  const [boxes, drawBoxes] = tokenBoxes();
  const story = make("p", { class: "gam-note gam-story" });
  const [table, drawRows] = wordTable(vocab, add, [["logit", 3.6], ["probability", 5], ["up to", 4]], ["probability"]);
  return { parts: [stages, boxes, story, table], draw({ tokens, logits }) {
    const stage = model.get("stage");
    const from = (least, text) => (stage >= least ? text : "");
    const p = softmax(logits);
    const nothing = p.map(() => 0);
    const order = ranking(p);
    const until = (token) => sum(order.slice(0, order.indexOf(token) + 1).map((i) => p[i]));
    const { token: chosen, start, end } = drawToken(p, luck());
    [...stages.children].forEach((node, i) => node.setAttribute("aria-current", i + 1 === stage ? "step" : "false"));
    drawBoxes(tokens.map((token) => ({ word: vocab[token], below: from(2, String(token)) })));
    story.textContent = [
      `The text is cut into ${tokens.length} tokens. The first, <bos>, marks the beginning and comes with every text.`,
      `Each token has an id, its place in the vocabulary of ${vocab.length}. From here on there are only these numbers.`,
      `The model computes ${vocab.length} logits, one for each token that could come next. The largest are listed.`,
      "The softmax makes probabilities of the logits. They sum to 1.",
      `Laid end to end, the probabilities fill a line from 0 to 1. The random number ${three(luck())}, which comes from the seed, falls ` +
        `on the stretch of “${vocab[chosen]}”, from ${three(start)} to ${three(end)}. The next step appends it and begins again.`,
    ][stage - 1];
    drawRows({ logits, solid: stage >= 4 ? p : nothing, pale: nothing, chosen: stage === 5 ? chosen : undefined,
      texts: (of, token) => [
        from(3, token === undefined ? "" : of(logits).toFixed(2)),
        from(4, three(of(p))),
        from(5, token === undefined ? three(1) : three(until(token))),
      ] });
  } };
}

const SETTINGS = ["temperature", "top_k", "top_p", "min_p"];

/** The settings of a sampler, and what they leave. */
function samplingView({ model, vocab, add }) {
  const all = { temperature: 1, top_k: vocab.length, top_p: 1, min_p: 0 };
  const off = (is, value) => (is ? "off" : value);
  const controls = [
    presets(model, [["As computed", all], ["Greedy", { ...all, top_k: 1 }], ["Cool", { ...all, temperature: 0.5 }],
      ["Hot", { ...all, temperature: 2 }], ["Hot, nucleus", { ...all, temperature: 2, top_p: 0.9 }]]),
    slider(model, "Temperature", "temperature", [0.05, 3, 0.05], (value) => value.toFixed(2)),
    slider(model, "Top-k", "top_k", [1, vocab.length, 1], (value) => off(value >= vocab.length, String(value))),
    slider(model, "Top-p", "top_p", [0.01, 1, 0.01], (value) => off(value >= 1, value.toFixed(2))),
    slider(model, "Min-p", "min_p", [0, 0.5, 0.01], (value) => off(value <= 0, value.toFixed(2))),
  ];
  const [facts, drawFacts] = factLine(["Words kept", "Mass kept at T", "On impossible words", "Probability misplaced"]);
  const [table, drawRows] = wordTable(vocab, add, [["exact law", 4], ["before", 4], ["after", 4]], ["what is drawn from", "the model at T = 1"]);
  return { parts: [...controls.map(([node]) => node), facts, table], draw({ logits, law }) {
    controls.forEach(([, follow]) => follow());
    const { before, after, kept, count, mass } = decode(logits, Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)])));
    const impossible = (p) => sum(p.filter((_, token) => law[token] === 0));
    const fromTo = (measure, digits) => (law ? `${measure(before).toFixed(digits)} → ${measure(after).toFixed(digits)}` : "–");
    drawFacts([`${count} of ${vocab.length}`, three(mass), fromTo(impossible, 4), fromTo((p) => distance(p, law), 3)]);
    drawRows({ logits, solid: after, pale: before, kept, texts: (of, token) => [law ? three(of(law)) : "–", three(of(before)),
      token === undefined || kept[token] ? three(of(after)) : "cut"] });
  } };
}

/** A map for each head, the text tinted by one row of one map, and the numbers of that position in all heads. */
function attentionView({ model, vocab }) {
  const heads = model.get("example").attention.flatMap((layer, l) => layer.map((_, h) => [l, h]));
  const position = (n) => Math.min(model.get("query"), n - 1);
  let shown; // the reading on the screen
  const [control, follow] = slider(model, "Position", "query", [0, 1, 1], () => String(position(shown.tokens.length)));
  const [boxes, drawBoxes] = tokenBoxes();
  const readout = make("p", { class: "gam-note" });
  const [numbers, drawNumbers] = numberTable("The numbers: what this position takes from each, in every head",
    ["word", ...heads.map(([l, h]) => `${l + 1}.${h + 1}`)]);
  numbers.classList.add("gam-heads");
  const weight = ([l, h], q) => shown.attention[l][h][q];
  const word = (i) => `“${vocab[shown.tokens[i]]}”`;

  const maps = heads.map((head, i) => {
    const [canvas, mark] = [make("canvas"), make("span")];
    const node = make("button", { type: "button" }, make("span", { class: "gam-map", "aria-hidden": "true" }, canvas, mark), called(head));
    const cell = ({ clientX, clientY }) => {
      const { left, top, width, height } = canvas.getBoundingClientRect();
      const n = shown.tokens.length;
      return [(clientY - top) / height, (clientX - left) / width].map((share) => Math.max(0, Math.min(n - 1, Math.floor(share * n))));
    };
    node.addEventListener("pointermove", (event) => {
      const [q, k] = cell(event);
      readout.textContent = `${called(head)}: ${word(q)} ` +
        (k > q ? `cannot see ${word(k)}, which comes later.` : `takes ${three(weight(head, q)[k])} from ${word(k)}.`);
    });
    node.addEventListener("pointerleave", () => drawPosition());
    // A click with the keyboard has no place in the map, so it chooses the head alone.
    node.addEventListener("click", (event) => change(model, event.detail ? { head: i, query: cell(event)[0] } : { head: i }));
    return { node, canvas, mark, head };
  });

  function drawPosition() {
    const n = shown.tokens.length;
    const q = position(n);
    const head = heads[model.get("head")];
    const row = weight(head, q);
    control.querySelector("input").max = n - 1;
    follow();
    maps.forEach(({ node, mark }, i) => {
      Object.assign(mark.style, { top: `${(100 * q) / n}%`, height: `${100 / n}%` });
      node.setAttribute("aria-pressed", String(i === model.get("head")));
    });
    drawBoxes(shown.tokens.map((token, i) => ({ word: vocab[token], below: row[i]?.toFixed(2) ?? "", "data-here": String(i === q),
      style: `background: color-mix(in srgb, var(--gam-accent) ${(45 * (row[i] ?? 0)).toFixed(1)}%, transparent)` })));
    const most = row.indexOf(Math.max(...row));
    readout.textContent = `${called(head)}: ${word(q)} takes most, ${three(row[most])}, from ${word(most)}.`;
    drawNumbers(row.map((_, i) => [`${i} ${vocab[shown.tokens[i]]}`, ...heads.map((each) => weight(each, q)[i].toFixed(2))]));
  }
  return { parts: [make("div", { class: "gam-maps", role: "group", "aria-label": "Attention of each head" }, ...maps.map(({ node }) => node)),
    control, boxes, readout, numbers], draw(reading) {
    shown = reading;
    const n = shown.tokens.length;
    for (const { canvas, head: [l, h] } of maps) {
      Object.assign(canvas, { width: n, height: n });
      const picture = new ImageData(n, n);
      shown.attention[l][h].forEach((row, y) => row.forEach((value, x) => picture.data.set([61, 133, 198, 255 * value], 4 * (y * n + x))));
      canvas.getContext("2d").putImageData(picture, 0, 0);
    }
    drawPosition();
  } };
}

const VIEWS = { next: nextView, steps: stepsView, sampling: samplingView, attention: attentionView };

// --------------------------------------------------------------------------------------------------------- the figure

const TRY = ["for dessert we had the", "the dogs near the old tree", "question : where is ganymede ? answer : it is",
  "classify this review : i loved this movie"];
const MOST_WORDS = 40; // that one press of a button writes
const PAUSE = 200; // milliseconds between them

/** The packed model: from the figure's own state, or from a script beside the page, which all figures of it share. */
function packed(model) {
  if (model.get("packed")) return Promise.resolve(model.get("packed"));
  return (globalThis.labutilsLoading ??= new Promise((resolve, reject) => {
    const script = make("script", { src: (document.documentElement.dataset.content_root ?? "") + model.get("address") });
    script.addEventListener("load", () => resolve(globalThis.labutilsWorldModel));
    script.addEventListener("error", () => {
      globalThis.labutilsLoading = undefined; // the next touch tries again
      reject(new Error("The model could not be loaded. What you see are stored results."));
    });
    document.head.append(script);
  }));
}

function render({ model, el }) {
  const vocab = model.get("vocab");
  const most = model.get("max_len");
  const size = model.get("parameters").toLocaleString("en");
  const bySteps = model.get("view") === "steps";
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  let opened = null; // the model, once it is there
  let loading = null;
  let running = false;
  let parsed = parse(model.get("text"), vocab);
  let reading = { ...model.get("example"), tokens: parsed.tokens };

  const say = (words) => change(model, { text: words.join(" "), stage: STAGES.length });
  const add = (word) => say([...parsed.known, word]);
  const luck = () => chance(model.get("seed"), reading.tokens.length);
  const settings = () => Object.fromEntries(SETTINGS.map((name) => [name, model.get(name)]));
  const chosen = () => vocab[drawToken(decode(reading.logits, settings()).after, luck()).token];
  const stuck = () => !opened || parsed.unknown !== null || parsed.tokens.length >= most;
  const view = VIEWS[model.get("view")]({ model, vocab, add, luck });

  const field = make("textarea", { rows: 2, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
  const seed = make("input", { type: "number", min: 0, max: 999999, step: 1 });
  const warning = make("p", { class: "gam-warning", role: "status" });
  const instead = make("div", { class: "gam-row", role: "group", "aria-label": "Words that fit" });
  const note = make("p", { class: "gam-note" }, `These are stored results of the trained model. When you touch the figure, the model ` +
    `itself is loaded, ${size} weights in ${model.get("kilobytes")} kB, and answers here.`);
  const [announcement, announce] = announcer();
  const [examples, followExamples] = presets(model, TRY.map((text) => [text, { text, stage: STAGES.length }]));
  examples.querySelector("legend").textContent = "Texts to try";
  const button = (text, action) => {
    const node = make("button", { type: "button" }, text);
    node.addEventListener("click", action);
    return node;
  };
  const tell = () => announce(`The text is now: ${model.get("text")}`);

  const ready = () => (loading ??= packed(model).then((files) => {
    opened = open(files);
    refresh();
    announce("The model is loaded.");
  }).catch(({ message }) => {
    loading = null;
    note.textContent = message;
  }));

  async function writeWord() {
    await ready();
    if (stuck()) return;
    add(chosen());
    tell();
  }
  async function writeSentence() {
    await ready();
    running = !running; // pressed again, the button stops the writing
    for (let n = 0; n < MOST_WORDS && running && !stuck(); n += 1) {
      write.textContent = "Stop";
      const word = chosen();
      add(word);
      if (word === ".") break;
      if (!calm) await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
    }
    running = false;
    write.textContent = "Write to the full stop";
    tell();
  }
  async function writeStage() {
    await ready();
    if (stuck()) return;
    const stage = model.get("stage");
    if (stage === STAGES.length) add(chosen());
    change(model, { stage: (stage % STAGES.length) + 1 });
    announce(el.querySelector(".gam-story").textContent);
  }
  const one = bySteps ? button("Step", writeStage) : button("Add a word", writeWord);
  const write = button("Write to the full stop", writeSentence);

  function refresh() {
    parsed = parse(model.get("text"), vocab);
    const { tokens, known, unknown } = parsed;
    if (field.value !== model.get("text")) field.value = model.get("text");
    seed.value = model.get("seed");
    followExamples();
    if (opened && tokens.length <= most) {
      const began = performance.now();
      reading = read(opened, tokens);
      note.textContent = `The model is at work in this page: ${size} weights, ${tokens.length} tokens (${(performance.now() - began).toFixed(1)} ms).`;
    }
    const begun = unknown?.unfinished ? ranking(reading.logits).map((i) => vocab[i]).filter((word) => word.startsWith(unknown.word)) : [];
    const offered = begun.length ? begun.slice(0, 6) : unknown ? suggestions(unknown.word, vocab.slice(2), 6) : [];
    if (begun.length) warning.textContent = `Words that begin with “${unknown.word}”:`;
    else if (unknown) warning.textContent = `“${unknown.word}” is not one of the ${vocab.length - 2} words of this language.${offered.length ? " Words like it:" : ""}`;
    else if (tokens.length > most) warning.textContent = `The context window holds ${most} tokens, <bos> among them. This text has ${tokens.length}, so what you see belongs to the text before.`;
    else if (tokens.length === most) warning.textContent = `The context window is full: ${most} tokens.`;
    else if (!reading.law) warning.textContent = "The language cannot say this, so there is no exact law. The model answers all the same.";
    else warning.textContent = "";
    instead.replaceChildren(...offered.map((word) => button(word, () => {
      say([...known, word, ...unknown.after]);
      field.focus();
    })));
    one.disabled = write.disabled = unknown !== null || tokens.length >= most;
    view.draw(reading);
  }
  for (const name of ["text", "seed", "stage", "query", "head", ...SETTINGS]) model.on(`change:${name}`, refresh);

  field.addEventListener("input", () => change(model, { text: field.value, stage: STAGES.length }));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    writeWord();
  });
  seed.addEventListener("change", () => change(model, { seed: Math.max(0, Math.floor(Number(seed.value))) || 0 }));
  for (const touch of ["focusin", "pointerover", "pointerdown"]) el.addEventListener(touch, ready, { passive: true });

  el.classList.add("gam-live");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), examples, make("label", { class: "gam-text" }, "Your text, in words of the language", field), warning, instead,
    make("div", { class: "gam-row" }, one, write, button("Another seed", () => change(model, { seed: model.get("seed") + 1 })),
      make("label", { class: "gam-seed" }, "Seed", seed)),
    ...view.parts, note, announcement,
  );
  refresh();
}

export default { render };
