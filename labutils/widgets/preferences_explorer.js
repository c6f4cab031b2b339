import { STYLE, make, slider, chart, stroke, numberTable, fact, announcer } from "./live_parts.js";

// The preferences explorer: a model of six answers, points for them, and what is best at a price of moving away.
//
// The first part is arithmetic without a page; tests/test_widgets_synthetic.py runs it under Node against the gradient
// of labutils.objectives.dpo_loss.

// ---------------------------------------------------------------------------------------------------- arithmetic

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** The model before: the shares of the possible answers fill what the impossible ones, with `junk` together, leave. */
export function reference(answers, junk) {
  const whole = (possible) => sum(answers.filter((answer) => answer.possible === possible).map(({ share }) => share));
  return answers.map(({ share, possible }) => ((possible ? 1 - junk : junk) * share) / whole(possible));
}

/** The policy with the most points less beta times its KL from the reference: before · exp(points / beta), normalised. */
export function optimum(before, points, beta) {
  const top = Math.max(...points);
  const weights = before.map((p, i) => p * Math.exp((points[i] - top) / beta));
  return weights.map((weight) => weight / sum(weights));
}

/** What a policy is worth: points, KL from the reference in nats, wins against it (a tie is half), possible answers. */
export function worth({ before, after, answers }) {
  const points = answers.map((answer) => answer.points);
  const beats = (i, j) => (points[i] > points[j] ? 1 : points[i] === points[j] ? 0.5 : 0);
  return {
    points: sum(after.map((p, i) => p * points[i])),
    kl: sum(after.map((p, i) => (p > 0 ? p * Math.log(p / before[i]) : 0))),
    wins: sum(after.map((p, i) => p * sum(before.map((q, j) => q * beats(i, j))))),
    possible: sum(after.filter((_, i) => answers[i].possible)),
  };
}

/** The optimum at one setting, its worth, and each answer's reward as DPO reads it off: beta · log(after / before). */
export function prefer({ answers, log_junk, log_beta }) {
  const beta = 10 ** log_beta;
  const before = reference(answers, 10 ** log_junk);
  const after = optimum(before, answers.map(({ points }) => points), beta);
  return { beta, before, after, rewards: after.map((p, i) => beta * Math.log(p / before[i])), ...worth({ before, after, answers }) };
}

// ------------------------------------------------------------------------------------------------------- drawing

const LOOK = `
.gam-live.gam-live.gam-preferences { --gam-name: 9.2em; --gam-value: 3.6em; }
.gam-live.gam-live.gam-preferences tr[data-possible="false"] th { color: inherit; font-style: italic; }
.gam-live.gam-live.gam-preferences tr[data-possible="false"] .gam-bar { background: repeating-linear-gradient(45deg, var(--gam-second) 0 4px, color-mix(in srgb, var(--gam-second) 55%, transparent) 4px 7px); }
.gam-live.gam-live.gam-preferences .gam-legend { margin-top: .8rem; }
.gam-live.gam-live.gam-preferences .gam-chart path.gam-dashed { stroke: var(--gam-second); }
.gam-live.gam-live.gam-preferences .gam-stroke.gam-dashed { border-top-color: var(--gam-second); }
@media (max-width: 30rem) {
  .gam-live.gam-live.gam-preferences { --gam-name: 9.6em; --gam-value: 3.2em; }
  .gam-live.gam-live.gam-preferences th[scope="row"] { white-space: normal; line-height: 1.2; }
  .gam-live.gam-live.gam-preferences .gam-answers :is(col, th, td):nth-child(4) { display: none; }
}
`;

const signed = (value, digits) => value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");
const short = (value) => (value >= 10 ? value.toFixed(0) : String(Number(value.toPrecision(2))));
const percent = (share) => `${Number((100 * share).toPrecision(2))}%`;
const BETAS = Array.from({ length: 141 }, (_, i) => 1.5 - i / 40); // powers of 10, from a high price to a low one

function render({ model, el }) {
  const answers = model.get("answers");
  const settings = () => ({ answers, log_beta: model.get("log_beta"), log_junk: model.get("log_junk") });
  const sliders = [
    slider(model, "Price of moving, β", "log_beta", [-1, 1, 0.05], (value) => short(10 ** value)),
    slider(model, "Impossible before", "log_junk", [-6, -1, 0.5], (value) => percent(10 ** value)),
  ];

  const [pointsItem, pointsFact] = fact("Points");
  const [winsItem, winsFact] = fact("Wins against before");
  const [klItem, klFact] = fact("KL from before, nats");
  const [possibleItem, possibleFact] = fact("Possible texts");
  const [announcement, announce] = announcer();

  const rows = answers.map(({ text, points, possible }) => {
    const [ghost, bar] = ["gam-ghost", "gam-bar"].map((kind) => make("span", { class: kind }));
    const [before, after, reward] = [make("td"), make("td"), make("td")];
    const node = make("tr", { "data-possible": String(possible) }, make("th", { scope: "row" }, text), make("td", {}, signed(points, 0)),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }, make("span", { class: "gam-track" }, ghost, bar)), before, after, reward);
    return { node, ghost, bar, before, after, reward };
  });
  const heading = (text, attributes = {}) => make("th", { scope: "col", ...attributes }, text);
  const table = make("table", { class: "gam-answers" },
    make("caption", {}, make("span", { class: "gam-key gam-ghost" }), "before ", make("span", { class: "gam-key gam-bar" }), "after; a text in italics is not possible"),
    make("colgroup", {}, ...["35%", "3.5em", "auto", "3.7em", "3.7em", "3.9em"].map((width) => make("col", { style: `width: ${width}` }))),
    make("thead", {}, make("tr", {}, heading("answer", { class: "gam-left" }), heading("points"),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }), heading("before"), heading("after"), heading("reward"))),
    make("tbody", {}, ...rows.map(({ node }) => node)));

  const [curveTable, fillCurves] = numberTable("The numbers of the curves", ["β", "wins", "possible texts", "KL, nats", "points"]);
  let course;
  const holder = make("div");
  const legend = make("p", { class: "gam-legend" }, "As β falls: ", stroke(), "wins ", stroke("gam-dashed"), "possible texts");

  /** The curves depend on the reference, so they are drawn anew when it changes. */
  function frontier(logJunk) {
    const all = BETAS.map((log_beta) => prefer({ answers, log_junk: logJunk, log_beta }));
    const last = Math.ceil(Math.max(...all.map(({ kl }) => kl)));
    const plot = chart({
      x: [0, last], y: [0, 1], xTicks: Array.from({ length: last + 1 }, (_, i) => i).filter((i) => last < 8 || i % 2 === 0),
      yTicks: [[0, "0%"], [0.5, "50%"], [1, "100%"]], title: "KL from the model before, nats", lines: [0, 0.5, 1].map((y) => [[0, y], [last, y]]),
    });
    plot.curve("gam-one")(all.map(({ kl, wins }) => [kl, wins]));
    plot.curve("gam-dashed")(all.map(({ kl, possible }) => [kl, possible]));
    fillCurves([1, 0.5, 0.25, 0, -0.25, -0.5, -1].map((log_beta) => {
      const { beta, wins, possible, kl, points } = prefer({ answers, log_junk: logJunk, log_beta });
      return [short(beta), percent(wins), percent(possible), kl.toFixed(2), signed(points, 2)];
    }));
    course = { logJunk, node: plot.node, wins: plot.dot(), possible: plot.dot("gam-hollow") };
    holder.replaceChildren(plot.node);
  }

  function update() {
    const now = settings();
    const result = prefer(now);
    sliders.forEach(([, follow]) => follow());
    if (course?.logJunk !== now.log_junk) frontier(now.log_junk);
    course.wins([result.kl, result.wins]);
    course.possible([result.kl, result.possible]);
    course.node.setAttribute("aria-label", `Wins and possible texts against KL, as beta falls. At beta ${short(result.beta)}: ` +
      `${percent(result.wins)} wins, ${percent(result.possible)} possible, KL ${result.kl.toFixed(2)}.`);
    rows.forEach((row, i) => {
      row.ghost.style.width = `${100 * result.before[i]}%`;
      row.bar.style.width = `${100 * result.after[i]}%`;
      row.before.textContent = result.before[i].toFixed(3);
      row.after.textContent = result.after[i].toFixed(3);
      row.reward.textContent = signed(result.rewards[i], 2);
    });
    pointsFact.textContent = signed(result.points, 2);
    winsFact.textContent = percent(result.wins);
    klFact.textContent = result.kl.toFixed(2);
    possibleFact.textContent = percent(result.possible);
    announce(`Beta ${short(result.beta)}: ${percent(result.wins)} wins, KL ${result.kl.toFixed(2)} nats, ${percent(result.possible)} possible texts.`);
  }
  for (const key of ["log_beta", "log_junk"]) model.on(`change:${key}`, update);

  el.classList.add("gam-live", "gam-preferences");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), ...sliders.map(([node]) => node),
    make("dl", { class: "gam-facts" }, ...winsItem, ...possibleItem, ...klItem, ...pointsItem), table, legend, holder, curveTable, announcement,
  );
  update();
}

export default { render };
