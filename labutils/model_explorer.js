import { softmax, entropy, uniform, STYLE, make, change, slider, presets, numberTable, fact, announcer } from "./live_parts.js";
import { ranking, decode, drawToken } from "./sampling.js";
import { readSafetensors, decoder, emptyCache, shorten, step } from "./decoder.js";
import { wordsOf, suggestions, nextWordLaw } from "./world.js";

// The model in the page: the trained decoder of the world reads what the reader types, and writes on.
//
// Before it is loaded the figure shows stored results of the same model. The first part knows no page;
// tests/test_decoder_js.py runs it under Node against PyTorch, tests/test_browser_model.py in the pages.

// ------------------------------------------------------------------------------------------------- text and numbers

/** The tokens of a text up to its first unknown word; that word, whether it is still being typed, and what follows it. */
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

/** What the model and the law say after these tokens; a beginning that was read before is not read again. */
export function read(opened, tokens) {
  const { model, law, cache } = opened;
  let shared = 0;
  while (shared < tokens.length - 1 && tokens[shared] === opened.tokens[shared]) shared += 1;
  shorten(cache, shared);
  const logits = tokens.slice(shared).map((token) => step(model, token, cache)).at(-1);
  opened.tokens = tokens;
  return { logits, law: nextWordLaw(law, tokens, logits.length), attention: cache.map((layer) => layer.map(({ weights }) => weights)) };
}

/** The random number of a seed for the word at a position: the same seed writes the same text, one word at a time or all. */
export function chance(seed, position) {
  const next = uniform(seed);
  for (let i = 0; i < position; i += 1) next();
  return next();
}

// ------------------------------------------------------------------------------------------------------- drawing

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

const TRY = ["for dessert we had the", "the dogs near the old tree", "question : where is ganymede ? answer : it is",
  "classify this review : i loved this movie"];
const STAGES = ["tokens", "ids", "logits", "probabilities", "chosen word"];
const ROWS = 8;
const MOST_WORDS = 40; // that one press of a button writes

/** The packed model: from the figure's own state, or from a script beside the page, which all figures of it share. */
function packed(model) {
  if (model.get("packed")) return Promise.resolve(model.get("packed"));
  return (globalThis.labutilsLoading ??= new Promise((resolve, reject) => {
    const script = make("script", { src: (document.documentElement.dataset.content_root ?? "") + model.get("address") });
    script.addEventListener("load", () => resolve(globalThis.labutilsWorldModel));
    script.addEventListener("error", () => {
      globalThis.labutilsLoading = undefined; // so that the next touch tries again
      reject(new Error("The model could not be loaded. The figure shows stored results."));
    });
    document.head.append(script);
  }));
}

function render({ model, el }) {
  const view = model.get("view");
  const vocab = model.get("vocab");
  const size = model.get("parameters").toLocaleString("en");
  const window_ = model.get("max_len");
  const settings = () => Object.fromEntries(["temperature", "top_k", "top_p", "min_p"].map((name) => [name, model.get(name)]));
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  let opened = null;
  let loading = null;
  let running = false;
  let parsed = parse(model.get("text"), vocab);
  let result = model.get("example"); // logits, law and attention after the tokens of `shown`
  let shown = parsed.tokens;

  // What the reader does: types, presses words and buttons.
  const field = make("textarea", { rows: 2, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
  const button = (text, action) => {
    const node = make("button", { type: "button" }, text);
    node.addEventListener("click", action);
    return node;
  };
  const seed = make("input", { type: "number", min: 0, max: 999999, step: 1 });
  const warning = make("p", { class: "gam-warning", role: "status" });
  const instead = make("div", { class: "gam-row", role: "group", "aria-label": "Words that fit" });
  const note = make("p", { class: "gam-note" }, `Stored results of the trained model. Touch the figure, and the model itself, ` +
    `${size} weights in ${model.get("kilobytes")} kB, is loaded and answers here.`);
  const [announcement, announce] = announcer();
  const [examples, followExamples] = presets(model, TRY.map((text) => [text, { text }]));
  examples.querySelector("legend").textContent = "Texts to try";

  const say = (words) => change(model, { text: words.join(" ") });
  const add = (word) => say([...parsed.known, word]);
  const ready = () => (loading ??= packed(model).then((files) => {
    opened = open(files);
    refresh();
    announce("The model is loaded.");
  }).catch(({ message }) => {
    loading = null;
    note.textContent = message;
  }));
  const stuck = () => !opened || parsed.unknown || parsed.tokens.length >= window_;
  const luck = () => chance(model.get("seed"), shown.length);
  const next = () => drawToken(decode(result.logits, settings()).after, luck());
  const tell = () => announce(`The text is now: ${model.get("text")}`);

  async function writeWord() {
    await ready();
    if (stuck()) return;
    add(vocab[next().token]);
    tell();
  }
  async function writeSentence() {
    if (running) {
      running = false;
      return;
    }
    await ready();
    running = true;
    write.textContent = "Stop";
    for (let n = 0; n < MOST_WORDS && running && !stuck(); n += 1) {
      const word = vocab[next().token];
      add(word);
      if (word === ".") break;
      if (!calm) await new Promise((resolve) => { setTimeout(resolve, 200); });
    }
    running = false;
    write.textContent = finishName;
    tell();
  }
  async function writeStage() {
    await ready();
    if (stuck()) return;
    const stage = model.get("stage");
    if (stage === STAGES.length) add(vocab[next().token]);
    change(model, { stage: (stage % STAGES.length) + 1 });
    if (view === "steps") announce(stagesNode.children[model.get("stage") - 1].textContent);
  }
  const finishName = view === "steps" ? "Run to the full stop" : "Write to the full stop";
  const one = view === "steps" ? button("Step", writeStage) : button("Add a word", writeWord);
  const write = button(finishName, writeSentence);

  field.addEventListener("input", () => change(model, { text: field.value, stage: STAGES.length }));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    writeWord();
  });
  seed.addEventListener("change", () => change(model, { seed: Math.max(0, Math.floor(Number(seed.value))) || 0 }));
  for (const touch of ["focusin", "pointerover", "pointerdown"]) el.addEventListener(touch, ready, { passive: true });

  // One row a word: a button that appends it, a bar, some numbers.
  const heads = {
    next: ["model", "exact law"],
    steps: ["logit", "probability", "stretch"],
    sampling: ["before", "after", "exact law"],
    attention: [],
  }[view];
  const row = (name) => {
    const [ghost, bar] = [make("span", { class: "gam-ghost" }), make("span", { class: "gam-bar" })];
    const cells = heads.map(() => make("td"));
    const node = make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "gam-bar-cell", "aria-hidden": "true" },
      make("span", { class: "gam-track" }, ghost, bar)), ...cells);
    return (pale, solid, numbers, { kept = "", chosen = false } = {}) => {
      ghost.style.width = `${100 * pale}%`;
      bar.style.width = `${100 * solid}%`;
      cells.forEach((cell, i) => { cell.textContent = numbers[i]; });
      node.dataset.kept = kept;
      node.dataset.chosen = String(chosen);
      return node;
    };
  };
  const words = Array.from({ length: ROWS + 1 }, () => {
    const press = button("", () => add(press.textContent));
    return { press, draw: row(press) };
  });
  const others = make("span");
  const drawOthers = row(others);
  const body = make("tbody");
  const column = (width) => make("col", { style: `width: ${width}` });
  const legend = {
    next: ["model ", "exact law of the language "],
    steps: ["probability", ""],
    sampling: ["what is drawn from ", "the model at T = 1 "],
    attention: ["", ""],
  }[view];
  const key = (kind, text) => (text ? [make("span", { class: `gam-key ${kind}` }), text] : []);
  const table = make("table", {},
    make("caption", {}, ...key("gam-bar", legend[0]), ...key("gam-ghost", legend[1]), " (full width = 1). Press a word to append it."),
    make("colgroup", {}, column("6.4em"), column("auto"), ...heads.map((text) => column(text === "stretch" ? "5.6em" : "4.1em"))),
    make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "gam-left" }, "next word"),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }), ...heads.map((text) => make("th", { scope: "col" }, text)))), body);

  const stagesNode = make("ol", { class: "gam-stages" }, ...STAGES.map((name, i) => make("li", {}, `${i + 1} ${name}`)));
  const tokensNode = make("ol", { class: "gam-tokens", tabindex: "0", "aria-label": "Tokens" });
  const story = make("p", { class: "gam-note" });
  const facts = { next: ["Entropy of the model", "Entropy of the law", "Mass misplaced"], sampling: ["Words kept", "Mass kept at T",
    "On impossible words", "Mass misplaced"] }[view]?.map(fact) ?? [];

  /** The words to show: the likeliest, and the chosen one. */
  const leading = (probabilities, chosen) => {
    const first = ranking(probabilities).slice(0, ROWS);
    return first.includes(chosen) || chosen === undefined ? first : [...first, chosen];
  };
  const sum = (numbers) => numbers.reduce((total, x) => total + x, 0);
  const fixed = (x) => (x === undefined ? "–" : x.toFixed(3));
  /** Half the sum of the differences: the mass that must be moved to make one law the other. */
  const distance = (p, q) => sum(p.map((x, i) => Math.abs(x - q[i]))) / 2;

  function drawTable(pale, solid, numbers, { kept, chosen } = {}) {
    const order = leading(decode(result.logits, {}).before, chosen);
    const rest = vocab.map((_, token) => token).filter((token) => !order.includes(token));
    others.textContent = `${rest.length} others`;
    const nodes = order.map((token, i) => {
      words[i].press.textContent = vocab[token];
      return words[i].draw(pale[token], solid[token], numbers(token), {
        kept: kept ? (kept[token] ? "after" : "false") : "", chosen: token === chosen });
    });
    const total = (law) => sum(rest.map((token) => law[token]));
    nodes.push(drawOthers(total(pale), total(solid), numbers(null, total), {
      kept: kept && !rest.some((token) => kept[token]) ? "false" : "" }));
    // Replacing what is there already would take the focus from a button that was just pressed.
    nodes.forEach((node, i) => { if (body.children[i] !== node) body.insertBefore(node, body.children[i] ?? null); });
    while (body.children.length > nodes.length) body.lastChild.remove();
  }

  const nothing = vocab.map(() => 0);
  const drawView = {
    next() {
      const p = softmax(result.logits);
      const law = result.law ?? undefined;
      drawTable(law ?? nothing, p, (token, total) => [p, law].map((q) => fixed(q && (total ? total(q) : q[token]))));
      const values = [entropy(p), law && entropy(law), law && distance(p, law)];
      facts.forEach(([, node], i) => { node.textContent = fixed(values[i]) + (i < 2 && values[i] !== undefined ? " nats" : ""); });
    },
    steps() {
      const stage = model.get("stage");
      const p = softmax(result.logits);
      const drawn = next();
      const order = ranking(p);
      const until = (token) => sum(order.slice(0, order.indexOf(token)).map((i) => p[i]));
      const from = (least, text) => (stage >= least ? text() : "");
      [...stagesNode.children].forEach((node, i) => (i + 1 === stage ? node.setAttribute("aria-current", "step") : node.removeAttribute("aria-current")));
      tokensNode.replaceChildren(...shown.map((token) => make("li", {}, vocab[token], make("small", {}, from(2, () => String(token))))));
      const cells = (token, total) => [
        from(3, () => (total ? "" : result.logits[token].toFixed(2))),
        from(4, () => fixed(total ? total(p) : p[token])),
        from(5, () => (total ? "" : `${until(token).toFixed(3)} – ${(until(token) + p[token]).toFixed(3)}`)),
      ];
      const visible = stage >= 4 ? p : nothing;
      drawTable(nothing, visible, cells, stage === 5 ? { chosen: drawn.token } : {});
      table.classList.toggle("gam-unseen", stage < 3);
      story.textContent = [
        `The text is cut into ${shown.length} tokens. The first, <bos>, marks the beginning and comes with every text.`,
        "Each token has its place in the vocabulary of 298: its id. From here on the model sees only these numbers.",
        `From the ids the model computes ${vocab.length} logits, one for each token that could come next. The largest are listed.`,
        "The softmax makes probabilities of them, which sum to 1.",
        `Laid end to end, the probabilities fill a line from 0 to 1. The random number ${luck().toFixed(3)} (from the seed) falls on the ` +
        `stretch of “${vocab[drawn.token]}”, from ${drawn.start.toFixed(3)} to ${drawn.end.toFixed(3)}. The next step appends it and begins again.`,
      ][stage - 1];
    },
    sampling() {
      const { before, after, kept, count, mass } = decode(result.logits, settings());
      const law = result.law ?? undefined;
      const number = (q, token, total) => fixed(q && (total ? total(q) : q[token]));
      drawTable(before, after, (token, total) => [number(before, token, total), token !== null && !kept[token] ? "cut" : number(after, token, total),
        number(law, token, total)], { kept });
      const impossible = (q) => sum(q.filter((_, token) => law[token] === 0));
      const values = [`${count} of ${vocab.length}`, mass.toFixed(3), law ? `${impossible(before).toFixed(4)} → ${impossible(after).toFixed(4)}` : "–",
        law ? `${distance(before, law).toFixed(3)} → ${distance(after, law).toFixed(3)}` : "–"];
      facts.forEach(([, node], i) => { node.textContent = values[i]; });
    },
    attention: () => drawAttention(),
  }[view];

  // The attention view: a map for each head, the text tinted by one row of one map, and the numbers of that position.
  const names = result.attention.flatMap((layer, l) => layer.map((_, h) => [l, h]));
  const called = ([l, h]) => `layer ${l + 1}, head ${h + 1}`;
  const [queryControl, followQuery] = slider(model, "Position", "query", [0, 1, 1], () => String(queryNow()));
  const queryNow = () => Math.min(model.get("query"), shown.length - 1);
  const readout = make("p", { class: "gam-note" });
  const [numbers, showNumbers] = numberTable("The numbers: what this position takes from each, in every head", ["word", ...names.map(([l, h]) => `${l + 1}.${h + 1}`)]);
  numbers.classList.add("gam-heads");
  const maps = names.map(([l, h], i) => {
    const canvas = make("canvas");
    const mark = make("span");
    const node = make("button", { type: "button" }, make("span", { class: "gam-map", "aria-hidden": "true" }, canvas, mark), called([l, h]));
    const cell = ({ clientX, clientY }) => {
      const box = canvas.getBoundingClientRect();
      const at = (z, low, length) => Math.max(0, Math.min(shown.length - 1, Math.floor(((z - low) / length) * shown.length)));
      return [at(clientY, box.top, box.height), at(clientX, box.left, box.width)];
    };
    node.addEventListener("pointermove", (event) => {
      const [q, k] = cell(event);
      readout.textContent = `${called([l, h])}: ` + (k > q ? `“${vocab[shown[q]]}” cannot see “${vocab[shown[k]]}”, which comes later.`
        : `“${vocab[shown[q]]}” takes ${result.attention[l][h][q][k].toFixed(3)} from “${vocab[shown[k]]}”.`);
    });
    node.addEventListener("pointerleave", () => drawAttention());
    node.addEventListener("click", (event) => change(model, event.detail ? { head: i, query: cell(event)[0] } : { head: i }));
    return { node, canvas, mark };
  });
  const mapsNode = make("div", { class: "gam-maps", role: "group", "aria-label": "Attention of each head" }, ...maps.map(({ node }) => node));

  function drawAttention() {
    const n = shown.length;
    const q = queryNow();
    const [l, h] = names[model.get("head")];
    const rowNow = result.attention[l][h][q];
    queryControl.querySelector("input").max = n - 1;
    followQuery();
    maps.forEach(({ node, canvas, mark }, i) => {
      const [layer, head] = names[i];
      Object.assign(canvas, { width: n, height: n });
      const picture = new ImageData(n, n);
      result.attention[layer][head].forEach((weights, y) => weights.forEach((weight, x) => picture.data.set([61, 133, 198, 255 * weight], 4 * (y * n + x))));
      canvas.getContext("2d").putImageData(picture, 0, 0);
      Object.assign(mark.style, { top: `${(100 * q) / n}%`, height: `${100 / n}%` });
      node.setAttribute("aria-pressed", String(i === model.get("head")));
    });
    tokensNode.replaceChildren(...shown.map((token, i) => {
      const tint = `background: color-mix(in srgb, var(--gam-accent) ${(75 * (rowNow[i] ?? 0)).toFixed(1)}%, transparent)`;
      return make("li", { style: tint, "data-here": String(i === q) }, vocab[token], make("small", {}, i > q ? "" : rowNow[i].toFixed(2)));
    }));
    const most = rowNow.indexOf(Math.max(...rowNow));
    readout.textContent = `${called([l, h])}: “${vocab[shown[q]]}” takes most, ${rowNow[most].toFixed(3)}, from “${vocab[shown[most]]}”.`;
    showNumbers(shown.slice(0, q + 1).map((token, i) => [`${i} ${vocab[token]}`, ...names.map(([a, b]) => result.attention[a][b][q][i].toFixed(2))]));
  }

  function refresh() {
    parsed = parse(model.get("text"), vocab);
    const { tokens, known, unknown } = parsed;
    if (field.value !== model.get("text")) field.value = model.get("text");
    seed.value = model.get("seed");
    followExamples();
    const full = tokens.length > window_;
    if (!full && (opened || model.get("text") === model.get("example").text)) {
      const began = performance.now();
      result = opened ? read(opened, tokens) : model.get("example");
      if (opened) note.textContent = `The model runs in this page: ${size} weights. It read ${tokens.length} tokens (${(performance.now() - began).toFixed(1)} ms).`;
      shown = tokens;
    }
    const likely = unknown?.unfinished ? ranking(result.logits).map((i) => vocab[i]).filter((word) => word.startsWith(unknown.word)) : [];
    const offered = unknown ? (likely.length ? likely : suggestions(unknown.word, vocab.slice(2), 6)).slice(0, 6) : [];
    warning.textContent = full ? `The context window holds ${window_} tokens, <bos> among them; this text has ${tokens.length}. The figure shows the text before.`
      : likely.length ? `Words that begin with “${unknown.word}”:`
        : unknown ? `“${unknown.word}” is not one of the ${vocab.length - 2} words of this language. Words like it:`
          : tokens.length === window_ ? `The context window is full: ${window_} tokens.`
            : opened && !result.law ? "The language cannot say this, so there is no exact law. The model answers all the same." : "";
    instead.replaceChildren(...offered.map((word) => button(word, () => {
      say([...known, word, ...unknown.after]);
      field.focus();
    })));
    one.disabled = write.disabled = Boolean(unknown) || tokens.length >= window_;
    drawView();
  }
  for (const name of ["text", "seed", "temperature", "top_k", "top_p", "min_p", "stage", "query", "head"]) model.on(`change:${name}`, refresh);

  const off = (value, text) => (value ? "off" : text);
  const controls = view !== "sampling" ? [] : [
    presets(model, [["As computed", { temperature: 1, top_k: vocab.length, top_p: 1, min_p: 0 }], ["Greedy", { temperature: 1, top_k: 1, top_p: 1, min_p: 0 }],
      ["Cool", { temperature: 0.5, top_k: vocab.length, top_p: 1, min_p: 0 }], ["Hot", { temperature: 2, top_k: vocab.length, top_p: 1, min_p: 0 }],
      ["Hot, nucleus", { temperature: 2, top_k: vocab.length, top_p: 0.9, min_p: 0 }]]),
    slider(model, "Temperature", "temperature", [0.05, 3, 0.05], (value) => value.toFixed(2)),
    slider(model, "Top-k", "top_k", [1, vocab.length, 1], (value) => off(value >= vocab.length, String(value))),
    slider(model, "Top-p", "top_p", [0.01, 1, 0.01], (value) => off(value >= 1, value.toFixed(2))),
    slider(model, "Min-p", "min_p", [0, 0.5, 0.01], (value) => off(value <= 0, value.toFixed(2))),
  ];
  for (const [, follow] of controls) {
    for (const name of ["temperature", "top_k", "top_p", "min_p"]) model.on(`change:${name}`, follow);
    follow();
  }

  const shownParts = {
    next: [make("dl", { class: "gam-facts" }, ...facts.flatMap(([item]) => item)), table],
    steps: [stagesNode, tokensNode, story, table],
    sampling: [...controls.map(([node]) => node), make("dl", { class: "gam-facts" }, ...facts.flatMap(([item]) => item)), table],
    attention: [mapsNode, queryControl, tokensNode, readout, numbers],
  }[view];
  el.classList.add("gam-live");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), examples, make("label", { class: "gam-text" }, "Your text, in words of the language", field), warning, instead,
    make("div", { class: "gam-row" }, one, write, button("Another seed", () => change(model, { seed: model.get("seed") + 1 })),
      make("label", { class: "gam-seed" }, "Seed", seed)),
    ...shownParts, note, announcement,
  );
  refresh();
}

export default { render };
