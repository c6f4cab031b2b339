import { STYLE, make, slider, presets, fact, announcer } from "./live_parts.js";

// The mask explorer: one sentence as four families of models are trained on it, and what each position can see.
//
// The first part is arithmetic without a page; tests/test_widgets_objectives.py runs it under Node against labutils.models.

// ---------------------------------------------------------------------------------------------------- arithmetic

/**
 * The sentence as a family gets it. A row for each position: its input, its part ("encoder", "prompt" or ""), its target
 * (null where there is none), and for each position in the row whether it is seen: "own" in the same text, "cross" in the
 * encoder's, or "" for not at all.
 */
export function training({ family, words, corrupted, chosen, source, target, prompt }) {
  const causal = (i, j) => (j <= i ? "own" : "");
  const row = (inputs, part, goal, sees) =>
    inputs.map((input, i) => ({ input, part: part(i), target: goal(i), sees: inputs.map((_, j) => sees(i, j)) }));
  const next = (i) => words[i + 1] ?? null;
  switch (family) {
    case "causal":
      return row(words, () => "", next, causal);
    case "full":
      return row(corrupted, () => "", (i) => (chosen[i] ? words[i] : null), () => "own");
    case "prefix":
      return row(words, (i) => (i < prompt ? "prompt" : ""), (i) => (i + 1 < prompt ? null : next(i)),
        (i, j) => (j < prompt ? "own" : causal(i, j)));
    default: { // the decoder reads its target one step late, behind a token that says "start"
      const written = ["⟨start⟩", ...target.slice(0, -1)];
      const n = source.length;
      const sees = (i, j) => (i < n ? (j < n ? "own" : "") : j < n ? "cross" : causal(i, j));
      return row([...source, ...written], (i) => (i < n ? "encoder" : ""), (i) => target[i - n] ?? null, sees);
    }
  }
}

// ------------------------------------------------------------------------------------------------------- drawing

const LOOK = `
.gam-live.gam-live .gam-reading { --gam-name: 5em; }
.gam-live.gam-live .gam-words { display: flex; flex-wrap: wrap; gap: .3rem; margin: .4rem 0; padding: 0; list-style: none; }
.gam-live.gam-live .gam-words li { margin: 0; padding: 0 .4rem; border: 1.5px dashed currentColor; border-radius: .3rem;
  text-decoration: line-through; }
.gam-live.gam-live .gam-words li[data-sees="own"] { border: 1.5px solid var(--gam-accent); text-decoration: none;
  background: color-mix(in srgb, var(--gam-accent) 18%, transparent); }
.gam-live.gam-live .gam-words li[data-sees="cross"] { border: 1.5px solid var(--gam-second); text-decoration: none;
  background: color-mix(in srgb, var(--gam-second) 14%, transparent); }
.gam-live.gam-live .gam-words li[data-here="true"] { font-weight: 700; outline: 2px solid currentColor; outline-offset: 1px; }
.gam-live.gam-live .gam-note { margin: .4rem 0; min-height: 3em; }
.gam-live .gam-cells { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); height: 1.25em; }
.gam-live .gam-cells span, .gam-live .gam-swatch { border: 1px solid color-mix(in srgb, currentColor 45%, transparent); }
.gam-live .gam-cells [data-sees="own"], .gam-live .gam-swatch[data-sees="own"] { background: var(--gam-accent); }
.gam-live .gam-cells [data-sees="cross"], .gam-live .gam-swatch[data-sees="cross"] {
  background: repeating-linear-gradient(45deg, var(--gam-second) 0 3px, transparent 3px 5px); }
.gam-live .gam-swatch { display: inline-block; width: 1em; height: 1em; margin: 0 .3em 0 .1em; vertical-align: -.12em; }
.gam-live.gam-live tr[data-here="true"] :is(th, td) { font-weight: 700; border-block: 2px solid currentColor; }
.gam-live.gam-live tr[data-part="encoder"] + tr[data-part=""] :is(th, td),
.gam-live.gam-live tr[data-part="prompt"] + tr[data-part=""] :is(th, td) { border-top: 2px dotted currentColor; }
@media (max-width: 30rem) { .gam-live.gam-live .gam-rows { font-size: .78em; } .gam-live.gam-live .gam-rows :is(th, td) { padding-inline: .1rem; } }
`;

const FAMILIES = [
  ["Causal (decoder)", { family: "causal" }],
  ["Full (encoder)", { family: "full" }],
  ["Prefix (decoder)", { family: "prefix" }],
  ["Encoder-decoder", { family: "encoder-decoder" }],
];

/** What a reader should know of this position. */
function remark({ family, words, prompt }, { input, part, target }, position) {
  if (part === "encoder") return "In the encoder: it sees all of the source, both ways, and nothing of what is to be written. It predicts nothing itself.";
  if (part === "prompt" && target === null) return "In the prompt: it sees all of the prompt, both ways. The prompt is given, so nothing is predicted here.";
  if (family === "encoder-decoder") return "In the decoder: it sees all of the source, and what has been written up to here. It predicts the next token of the target.";
  if (family === "full") {
    if (target === null) return "Not chosen. The model says something here too, but the loss does not count it.";
    if (input === target) return "Chosen, and left as it is. The model is not told that this word is right.";
    return input === "[mask]" ? "Chosen, and replaced by the mask. Both sides help to tell what stood here."
      : "Chosen, and replaced by a random word. The model is not told that this word is wrong.";
  }
  if (target === null) return "The last word. Nothing comes after it in this text, so nothing is scored here.";
  if (family === "prefix") return position === prompt ? "The last word of the prompt predicts the first word of the rest." : "After the prompt: it sees the prompt and what has come since, and predicts the next word.";
  return `It sees itself and what stands before it, and predicts the next word. All ${words.length - 1} predictions are made in one pass.`;
}

function render({ model, el }) {
  const fixed = Object.fromEntries(["words", "corrupted", "chosen", "source", "target", "prompt"].map((name) => [name, model.get(name)]));
  const rowsNow = () => training({ ...fixed, family: model.get("family") });
  const positionIn = (rows) => Math.min(model.get("position"), rows.length);

  const [familyButtons, updateFamilies] = presets(model, FAMILIES);
  familyButtons.querySelector("legend").textContent = "Family of models";
  const [positionControl, updatePosition] = slider(model, "Position", "position", [1, fixed.words.length, 1],
    () => String(positionIn(rowsNow())));
  const positionInput = positionControl.querySelector("input");

  const wordList = make("ul", { class: "gam-words", role: "list" });
  const note = make("p", { class: "gam-note" });
  const [inputItem, inputFact] = fact("Input");
  const [seesItem, seesFact] = fact("Can see");
  const [targetItem, targetFact] = fact("Target");
  const [lossItem, lossFact] = fact("In the loss");
  const [announcement, announce] = announcer();
  const hidden = (text) => make("span", { class: "gam-hidden" }, text);

  const body = make("tbody");
  const column = (width) => make("col", { style: `width: ${width}` });
  const heading = (text) => make("th", { scope: "col", class: "gam-left" }, text);
  const swatch = (sees, text) => [make("span", { class: "gam-swatch", "data-sees": sees }), `${text} `];
  const table = make(
    "table", { class: "gam-rows" },
    make("caption", {}, ...swatch("own", "seen"), ...swatch("cross", "seen in the other text"), ...swatch("", "not seen")),
    make("colgroup", {}, column("2em"), column("5em"), column("auto"), column("5em"), column("3em")),
    make("thead", {}, make("tr", {}, heading("#"), heading("input"), heading("the mask: a column a position"),
      heading("target"), heading("loss"))),
    body,
  );

  function update() {
    const rows = rowsNow();
    const position = positionIn(rows);
    const here = rows[position - 1];
    const seen = rows.filter((_, j) => here.sees[j]);
    positionInput.max = rows.length;
    updatePosition();
    updateFamilies();
    wordList.setAttribute("aria-label", `What position ${position} can see`);
    wordList.replaceChildren(...rows.map(({ input }, j) => make("li",
      { "data-sees": here.sees[j], "data-here": String(j === position - 1) }, input, here.sees[j] ? "" : hidden(" (not seen)"))));
    note.textContent = remark({ ...fixed, family: model.get("family") }, here, position);
    inputFact.textContent = here.input;
    seesFact.textContent = `${seen.length} of ${rows.length}`;
    targetFact.textContent = here.target ?? "none";
    lossFact.textContent = here.target === null ? "no" : `yes, 1 of ${rows.filter(({ target }) => target !== null).length}`;
    body.replaceChildren(...rows.map((row, i) => make(
      "tr", { "data-here": String(i === position - 1), "data-part": row.part },
      make("td", { class: "gam-left" }, String(i + 1)), make("th", { scope: "row" }, row.input),
      make("td", {}, make("div", { class: "gam-cells", "aria-hidden": "true" }, ...row.sees.map((sees) => make("span", { "data-sees": sees }))),
        hidden(`sees ${row.sees.filter(Boolean).length}`)),
      make("td", { class: "gam-left" }, row.target ?? "–"), make("td", { class: "gam-left" }, row.target === null ? "–" : "yes"),
    )));
    announce(`Position ${position}, input ${here.input}. Sees ${seen.map(({ input }) => input).join(" ")}. ` +
      `Target ${here.target ?? "none"}. ${here.target === null ? "Not in the loss." : "Counts in the loss."}`);
  }
  for (const name of ["family", "position"]) model.on(`change:${name}`, update);

  el.classList.add("gam-live");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), familyButtons, make("div", { class: "gam-reading" }, positionControl), wordList, note,
    make("dl", { class: "gam-facts" }, ...inputItem, ...seesItem, ...targetItem, ...lossItem), table, announcement,
  );
  update();
}

export default { render };
