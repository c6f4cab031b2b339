import { uniform, STYLE, make, slider, change, fact, announcer } from "./live_parts.js";

// The spans explorer: one text as T5 is trained on it, and as BERT is, at the same rate.
//
// The first part is arithmetic without a page; tests/test_widgets_objectives.py runs it under Node against
// labutils.objectives.

// ---------------------------------------------------------------------------------------------------- arithmetic

/** The nearest whole number, and of two that are equally near the even one, as Python rounds. */
export function roundEven(x) {
  const near = Math.round(x);
  return near - x === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

/** n whole numbers, each at least 1, that add up to total; every such list is equally likely. */
export function parts(total, n, next) {
  const places = Array.from({ length: total - 1 }, (_, i) => i + 1);
  for (let i = 0; i < n - 1; i += 1) {
    const j = i + Math.floor(next() * (places.length - i));
    [places[i], places[j]] = [places[j], places[i]];
  }
  const cuts = [0, ...places.slice(0, n - 1).sort((a, b) => a - b), total];
  return cuts.slice(1).map((cut, i) => cut - cuts[i]);
}

/** Which of `length` words T5 drops: true in a span. The text begins outside a span and ends in one. */
export function randomSpans({ length, rate, mean_span, seed }) {
  const next = uniform(seed);
  const clip = (x, low, high) => Math.max(low, Math.min(x, high));
  const nDropped = clip(roundEven(length * rate), 1, length - 1);
  const nSpans = Math.min(Math.max(roundEven(nDropped / mean_span), 1), nDropped, length - nDropped);
  const spans = parts(nDropped, nSpans, next);
  return parts(length - nDropped, nSpans, next).flatMap((gap, i) =>
    [...new Array(gap).fill(false), ...new Array(spans[i]).fill(true)]);
}

/** T5's source and target: in the source a sentinel stands for each span, in the target it stands before it. */
export function t5({ words, dropped, sentinels }) {
  const [source, target, left] = [[], [], sentinels.slice()];
  words.forEach((word, i) => {
    if (!dropped[i]) return source.push(word);
    if (!dropped[i - 1]) {
      source.push(left[0]);
      target.push(left.shift());
    }
    return target.push(word);
  });
  return { source, target: [...target, left[0]] };
}

/**
 * BERT's input: each word is chosen with probability `rate`; of the chosen, 80% become the mask, 10% a random word, 10%
 * stay. For each word: what stands there, and its fate: "mask", "random", "kept", or "" where it was not chosen.
 */
export function bert({ words, rate, others, seed }) {
  const next = uniform(seed);
  return words.map((word) => {
    const [chosen, fate, which] = [next(), next(), next()];
    if (chosen >= rate) return { shown: word, fate: "" };
    if (fate < 0.8) return { shown: "[mask]", fate: "mask" };
    return fate < 0.9 ? { shown: word, fate: "kept" } : { shown: others[Math.floor(which * others.length)], fate: "random" };
  });
}

/** How much each model reads and writes: positions of its input, of its output, and answers that the loss counts. */
export function lengths({ words, dropped, chosen }) {
  const nDropped = dropped.filter(Boolean).length;
  const nSpans = dropped.filter((drop, i) => drop && !dropped[i - 1]).length;
  const read = words.length - nDropped + nSpans;
  return {
    nDropped,
    nSpans,
    t5: { reads: read, writes: nDropped + nSpans + 1, answers: nDropped + nSpans + 1 },
    bart: { reads: read, writes: words.length, answers: words.length },
    bert: { reads: words.length, writes: 0, answers: chosen },
  };
}

// ------------------------------------------------------------------------------------------------------- drawing

const LOOK = `
.gam-live.gam-live.gam-spans { --gam-name: 8em; }
.gam-live.gam-live .gam-pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: .2rem 1.6rem; }
.gam-live.gam-live .gam-pair section > p { margin: .5rem 0 .2rem; }
.gam-live.gam-live .gam-pair section > p:first-child { font-weight: 700; }
.gam-live.gam-live.gam-spans .gam-legend { margin: .9rem 0 .7rem; }
.gam-live.gam-live .gam-text { padding: .35rem .6rem; border-left: 3px solid color-mix(in srgb, currentColor 30%, transparent);
  font-size: .93em; line-height: 1.75; }
.gam-live .gam-marked :is(b, i, u) { padding: .05rem .25rem; border-radius: .25rem; font-style: normal; font-weight: 600; text-decoration: none; }
.gam-live .gam-marked b { border: 1.5px solid var(--gam-accent); background: color-mix(in srgb, var(--gam-accent) 18%, transparent); }
.gam-live .gam-marked i { border: 1.5px dashed var(--gam-second); background: color-mix(in srgb, var(--gam-second) 14%, transparent); }
.gam-live .gam-marked u { border: 1.5px dotted currentColor; }
`;

function render({ model, el }) {
  const [words, others, sentinels] = ["words", "others", "sentinels"].map((name) => model.get(name));
  const sliders = [
    slider(model, "Words hidden", "percent", [5, 60, 5], (value) => `${value}%`),
    slider(model, "Words in a span", "mean_span", [1, 6, 0.5], String),
  ];
  const again = make("button", { type: "button" }, "Draw again");
  again.addEventListener("click", () => change(model, { seed: model.get("seed") + 1 }));

  const [hiddenItem, hiddenFact] = fact("T5 hides");
  const [chosenItem, chosenFact] = fact("BERT asks for");
  const [targetItem, targetFact] = fact("T5 writes");
  const [announcement, announce] = announcer();

  const block = (title, ...texts) => {
    const pieces = texts.map(() => [make("p"), make("div", { class: "gam-text gam-marked" })]);
    const node = make("section", {}, make("p", {}, title), ...pieces.flat());
    const show = (...contents) => contents.forEach(([name, text], i) => {
      pieces[i][0].textContent = name;
      pieces[i][1].replaceChildren(...text.flatMap((piece) => [piece, " "]));
    });
    return [node, show];
  };
  const [t5Block, showT5] = block("T5: spans", "", "");
  const [bertBlock, showBert] = block("BERT: single words", "", "");
  const hint = (text) => make("span", { class: "gam-hidden" }, text);
  const marked = {
    "": (text) => text,
    mask: (text) => make("b", {}, text),
    random: (text) => make("i", {}, text, hint(" (random word)")),
    kept: (text) => make("u", {}, text, hint(" (chosen, left as it is)")),
  };

  const body = make("tbody");
  const heading = (text) => make("th", { scope: "col" }, text);
  const table = make("table", {}, make("caption", {}, "What one text costs, in positions, and how many answers it gives"),
    make("colgroup", {}, ...["46%", "auto", "auto", "auto"].map((width) => make("col", { style: `width: ${width}` }))),
    make("thead", {}, make("tr", {}, make("th", { scope: "col", class: "gam-left" }, "objective"),
      heading("reads"), heading("writes"), heading("answers"))), body);

  function update() {
    const rate = model.get("percent") / 100;
    const seed = model.get("seed");
    const dropped = randomSpans({ length: words.length, rate, mean_span: model.get("mean_span"), seed });
    const { source, target } = t5({ words, dropped, sentinels });
    const inputs = bert({ words, rate, others, seed: seed + 1000000 });
    const answers = words.filter((_, i) => inputs[i].fate);
    const counted = lengths({ words, dropped, chosen: answers.length });
    sliders.forEach(([, follow]) => follow());
    const sentinel = (text) => (sentinels.includes(text) ? make("b", {}, text) : text);
    showT5(["The encoder reads", source.map(sentinel)], ["The decoder writes", target.map(sentinel)]);
    showBert(["The encoder reads", inputs.map(({ shown, fate }) => marked[fate](shown))],
      ["It is asked for, at the marked places", [answers.length ? answers.join(" · ") : "nothing, this time"]]);
    const times = (n, thing) => `${n} ${thing}${n === 1 ? "" : "s"}`;
    hiddenFact.textContent = `${times(counted.nDropped, "word")} in ${times(counted.nSpans, "span")}`;
    chosenFact.textContent = times(answers.length, "word");
    targetFact.textContent = times(target.length, "token");
    body.replaceChildren(...[["T5: spans", counted.t5], ["BERT: chosen words", counted.bert], ["BART: whole text", counted.bart]].map(
      ([name, { reads, writes, answers: n }]) => make("tr", {}, make("th", { scope: "row" }, name),
        ...[reads, writes || "–", n].map((value) => make("td", {}, String(value))))));
    announce(`T5 hides ${hiddenFact.textContent} and writes ${target.length} tokens. BERT asks for ${answers.length}.`);
  }
  for (const key of ["percent", "mean_span", "seed"]) model.on(`change:${key}`, update);

  el.classList.add("gam-live", "gam-spans");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), ...sliders.map(([node]) => node),
    make("div", { class: "gam-rule" }, again),
    make("dl", { class: "gam-facts" }, ...hiddenItem, ...targetItem, ...chosenItem),
    make("div", { class: "gam-pair" }, t5Block, bertBlock),
    make("p", { class: "gam-legend gam-marked" }, make("b", {}, "⟨X⟩"), " sentinel or mask ", make("i", {}, "word"), " random word ",
      make("u", {}, "word"), " asked for, though it stands there"),
    table, announcement,
  );
  update();
}

export default { render };
