import { STYLE, make, slider, choice, chart, stroke, numberTable, fact, announcer } from "./live_parts.js";

// The in-context explorer: right answers against the number of examples, for a model, a group of instructions and the
// kind of labels that the examples have. All shares were counted by tools/train_in_context.py.
//
// The first part is arithmetic without a page; tests/test_widgets_prompting.py runs it under Node.

// ---------------------------------------------------------------------------------------------------- arithmetic

/** The 95% interval of a share that was counted on n prompts, after Wilson. */
export function interval(share, n) {
  const z = 1.959963984540054;
  const middle = share + (z * z) / (2 * n);
  const half = z * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n));
  return [middle - half, middle + half].map((end) => end / (1 + (z * z) / n));
}

/** What the figure says at its present state; the best reader is there only where no example is wrong. */
export function reading({ accuracy, bayes, prompts, size, group, labels, examples }) {
  const curve = accuracy[size][group][labels];
  const [low, high] = interval(curve[examples], prompts);
  return { curve, share: curve[examples], low, high, gain: curve[examples] - curve[0], best: labels === "right" ? bayes[examples] : null };
}

// ------------------------------------------------------------------------------------------------------- drawing

const LOOK = ".gam-live.gam-in-context { --gam-name: 7.5em; }";

const GROUPS = [["frequent", "frequent"], ["less frequent", "middle"], ["rare", "rare"], ["never seen", "never"]];
const LABELS = [["right", "right"], ["random", "random"], ["swapped", "swapped"]];

function render({ model, el }) {
  const names = ["accuracy", "bayes", "prompts", "parameters", "size", "group", "labels", "examples"];
  const state = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const { accuracy, bayes, parameters } = state();
  const sizes = Object.keys(accuracy);
  const last = bayes.length - 1;
  const called = (size) => parameters[size].toLocaleString("en") + (size.includes("noisy") ? ", taught with errors" : "");

  const choices = [
    choice(model, "Weights", "size", sizes.map((size) => [called(size), size])),
    choice(model, "Instruction", "group", GROUPS),
    choice(model, "Labels shown", "labels", LABELS),
  ];
  const [examplesControl, followExamples] = slider(model, "Examples", "examples", [0, last, 1], String);

  const [shareItem, shareFact] = fact("Right answers");
  const [intervalItem, intervalFact] = fact("95% interval");
  const [bestItem, bestFact] = fact("Best without the instruction");
  const [gainItem, gainFact] = fact("Gain over no example");
  const [announcement, announce] = announcer();

  const course = chart({
    x: [0, last], y: [0, 1], xTicks: bayes.map((_, k) => k), yTicks: [[0, "0.0"], 0.5, [1, "1.0"]],
    title: "examples in the prompt", lines: [0, 0.25, 0.5, 0.75, 1].map((share) => [[0, share], [last, share]]),
  });
  const numbered = (shares) => shares.map((share, k) => [k, share]);
  const others = sizes.map(() => course.curve("gam-other"));
  const [drawBest, drawOne, point] = [course.curve("gam-dashed"), course.curve("gam-one"), course.dot()];
  const bestKey = make("span", {}, " ", stroke("gam-dashed"), "best possible without the instruction");
  const legend = make("p", { class: "gam-legend" }, "Right answers: ", stroke(), "chosen model ", stroke("gam-thin"), "the others", bestKey);
  const [table, fillTable] = numberTable("The numbers of the curves", ["examples", ...sizes.map(called), "best possible"]);

  function update() {
    const now = state();
    const { curve, share, low, high, gain, best: ideal } = reading(now);
    choices.forEach(([, follow]) => follow());
    followExamples();
    const shown = (size) => accuracy[size][now.group][now.labels];
    others.forEach((drawOther, i) => drawOther(numbered(shown(sizes[i]))));
    drawOne(numbered(curve));
    drawBest(ideal === null ? [] : numbered(bayes));
    bestKey.hidden = ideal === null;
    point([now.examples, share]);
    course.node.setAttribute("aria-label", `Right answers after 0 to ${last} examples: ${curve.map((value) => value.toFixed(2)).join(", ")}`);
    fillTable(bayes.map((best, k) => [String(k), ...sizes.map((size) => shown(size)[k].toFixed(3)), ideal === null ? "–" : best.toFixed(3)]));
    shareFact.textContent = share.toFixed(3);
    intervalFact.textContent = `${low.toFixed(3)} to ${high.toFixed(3)}`;
    bestFact.textContent = ideal === null ? "–" : ideal.toFixed(3);
    gainFact.textContent = gain.toFixed(3).replace("-", "−");
    announce(`${called(now.size)} weights, ${GROUPS.find(([, value]) => value === now.group)[0]} instruction, ${now.labels} labels, ` +
      `${now.examples} examples: ${share.toFixed(3)} right.`);
  }
  for (const name of ["size", "group", "labels", "examples"]) model.on(`change:${name}`, update);

  el.classList.add("gam-live", "gam-in-context");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), ...choices.map(([node]) => node), examplesControl,
    make("dl", { class: "gam-facts" }, ...shareItem, ...intervalItem, ...bestItem, ...gainItem), legend, course.node, table, announcement,
  );
  update();
}

export default { render };
