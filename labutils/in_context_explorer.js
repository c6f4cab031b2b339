import { STYLE, make, draw, slider, presets, fact, announcer } from "./live_parts.js";

// The in-context explorer: right answers against the number of examples, for a model, a group of instructions and the
// kind of labels that the examples have. All shares were counted by tools/train_in_context.py.
//
// The first part is arithmetic without a page; tests/test_widgets.py runs it under Node.

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

const LOOK = `
.gam-live.gam-live .gam-choice { align-items: center; margin: 0 0 .35rem; }
.gam-live.gam-live .gam-choice legend { float: left; width: 7.5em; margin: 0; padding: 0; font-size: .9em; }
.gam-live.gam-live .gam-examples { --gam-name: 7.5em; }
.gam-live .gam-course { position: relative; margin: 1rem 1rem 3rem 2.8rem; }
.gam-live .gam-course svg { display: block; width: 100%; height: 12rem; overflow: visible; }
.gam-live .gam-course :is(path, line) { fill: none; stroke: currentColor; stroke-width: 1; vector-effect: non-scaling-stroke; }
.gam-live .gam-course line { opacity: .25; }
.gam-live .gam-course .gam-other { opacity: .45; }
.gam-live .gam-course .gam-best { stroke-dasharray: 5 4; stroke-width: 2; }
.gam-live .gam-course .gam-one { stroke: var(--gam-accent); stroke-width: 3; }
.gam-live .gam-course span { position: absolute; font-size: .8em; line-height: 1; white-space: nowrap; }
.gam-live .gam-course .gam-beside { transform: translate(-100%, -50%); left: -.4rem; }
.gam-live .gam-course .gam-below { transform: translateX(-50%); top: calc(100% + .35rem); }
.gam-live .gam-course .gam-title { top: calc(100% + 1.5rem); left: 50%; transform: translateX(-50%); }
.gam-live .gam-course .gam-point { width: .8rem; height: .8rem; margin: -.4rem; border-radius: 50%; background: var(--gam-accent);
  border: 2px solid currentColor; }
.gam-live.gam-live .gam-course-key { margin: 0; font-size: .9em; }
.gam-live .gam-stroke { display: inline-block; width: 1.8em; height: 0; margin: 0 .3em .25em .1em; border-top: 3px solid var(--gam-accent); }
.gam-live .gam-stroke.gam-dashed { border-top: 2px dashed currentColor; }
.gam-live .gam-stroke.gam-thin { border-top: 1px solid currentColor; }
`;

const GROUPS = [["frequent", "frequent"], ["less frequent", "middle"], ["rare", "rare"], ["never seen", "never"]];
const LABELS = [["right", "right"], ["random", "random"], ["swapped", "swapped"]];

function render({ model, el }) {
  const names = ["accuracy", "bayes", "prompts", "parameters", "size", "group", "labels", "examples"];
  const state = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const { accuracy, bayes, parameters } = state();
  const sizes = Object.keys(accuracy);
  const last = bayes.length - 1;
  const called = (size) => parameters[size].toLocaleString("en") + (size.includes("noisy") ? ", taught with errors" : "");

  const choice = (title, key, options) => {
    const [node, follow] = presets(model, options.map(([text, value]) => [text, { [key]: value }]));
    node.classList.add("gam-choice");
    node.querySelector("legend").className = "";
    node.querySelector("legend").textContent = title;
    return [node, follow];
  };
  const choices = [
    choice("Weights", "size", sizes.map((size) => [called(size), size])),
    choice("Instruction", "group", GROUPS),
    choice("Labels shown", "labels", LABELS),
  ];
  const [examplesControl, followExamples] = slider(model, "Examples", "examples", [0, last, 1], String);

  const [shareItem, shareFact] = fact("Right answers");
  const [intervalItem, intervalFact] = fact("95% interval");
  const [bestItem, bestFact] = fact("Best without the instruction");
  const [gainItem, gainFact] = fact("Gain over no example");
  const [announcement, announce] = announcer();

  const at = (k, share) => [(100 * k) / last, 100 - 100 * share];
  const path = (shares) => "M" + shares.map((share, k) => at(k, share).map((x) => x.toFixed(2))).join("L");
  const others = sizes.map(() => draw("path", { class: "gam-other" }));
  const [best, one] = [draw("path", { class: "gam-best" }), draw("path", { class: "gam-one" })];
  const point = make("span", { class: "gam-point" });
  const label = (kind, text, style) => make("span", { class: kind, style }, text);
  const picture = draw("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none" },
    ...[0, 25, 50, 75, 100].map((y) => draw("line", { x1: 0, x2: 100, y1: y, y2: y })), ...others, best, one);
  const course = make("div", { class: "gam-course", role: "img" }, picture,
    ...[0, 0.5, 1].map((share) => label("gam-beside", share.toFixed(1), `top: ${at(0, share)[1]}%`)),
    ...bayes.map((_, k) => label("gam-below", String(k), `left: ${at(k, 0)[0]}%`)),
    label("gam-title", "examples in the prompt", ""), point);
  const stroke = (kind) => make("span", { class: `gam-stroke ${kind}` });
  const bestKey = make("span", {}, " ", stroke("gam-dashed"), "best possible without the instruction");
  const courseKey = make("p", { class: "gam-course-key" }, "Right answers: ", stroke(""), "chosen model ", stroke("gam-thin"), "the others", bestKey);

  function update() {
    const now = state();
    const { curve, share, low, high, gain, best: ideal } = reading(now);
    choices.forEach(([, follow]) => follow());
    followExamples();
    others.forEach((node, i) => node.setAttribute("d", path(accuracy[sizes[i]][now.group][now.labels])));
    one.setAttribute("d", path(curve));
    best.setAttribute("d", ideal === null ? "" : path(bayes));
    bestKey.hidden = ideal === null;
    const [x, y] = at(now.examples, share);
    point.style.left = `${x}%`;
    point.style.top = `${y}%`;
    course.setAttribute("aria-label", `Right answers after 0 to ${last} examples: ${curve.map((value) => value.toFixed(2)).join(", ")}`);
    shareFact.textContent = share.toFixed(3);
    intervalFact.textContent = `${low.toFixed(3)} to ${high.toFixed(3)}`;
    bestFact.textContent = ideal === null ? "–" : ideal.toFixed(3);
    gainFact.textContent = gain.toFixed(3).replace("-", "−");
    announce(`${called(now.size)} weights, ${GROUPS.find(([, value]) => value === now.group)[0]} instruction, ${now.labels} labels, ` +
      `${now.examples} examples: ${share.toFixed(3)} right.`);
  }
  for (const name of ["size", "group", "labels", "examples"]) model.on(`change:${name}`, update);

  el.classList.add("gam-live");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), ...choices.map(([node]) => node), make("div", { class: "gam-examples" }, examplesControl),
    make("dl", { class: "gam-facts" }, ...shareItem, ...intervalItem, ...bestItem, ...gainItem), courseKey, course, announcement,
  );
  update();
}

export default { render };
