import { entropy, STYLE, make, change, slider, presets, fact, announcer } from "./live_parts.js";
import { ranking, decode } from "./sampling.js";

// The sampling explorer: temperature, top-k and top-p on one next-token distribution.
//
// The module has the anywidget form (a default export with `render({ model, el })`) and asks the host for nothing but
// get, set and on, so any page can show it.

const PRESETS = [
  ["As computed", { temperature: 1, top_k: Infinity, top_p: 1 }],
  ["Nearly greedy", { temperature: 0.1, top_k: Infinity, top_p: 1 }],
  ["Cool", { temperature: 0.5, top_k: Infinity, top_p: 1 }],
  ["Warm", { temperature: 2, top_k: Infinity, top_p: 1 }],
  ["Top 3", { temperature: 1, top_k: 3, top_p: 1 }],
  ["Nucleus", { temperature: 1, top_k: Infinity, top_p: 0.9 }],
];

const RULES = [
  ["nucleus", "nucleus: until the sum reaches p"],
  ["at-most", "the notes' wording: while the sum is at most p"],
];

function render({ model, el }) {
  const tokens = model.get("tokens");
  const logits = model.get("logits");
  const order = ranking(logits);
  const head = order.slice(0, model.get("shown"));
  const tail = order.slice(model.get("shown"));
  const settings = () => ({
    temperature: model.get("temperature"),
    top_k: model.get("top_k"),
    top_p: model.get("top_p"),
    rule: model.get("rule"),
  });
  const bounded = (preset) => ({ ...preset, top_k: Math.min(preset.top_k, tokens.length) });

  const [presetButtons, updatePresets] = presets(model, PRESETS.map(([name, preset]) => [name, bounded(preset)]));
  const sliders = [
    slider(model, "Temperature", "temperature", [0.05, 3, 0.05], (value) => value.toFixed(2)),
    slider(model, "Top-k", "top_k", [1, tokens.length, 1], (value) => (value >= tokens.length ? "off" : String(value))),
    slider(model, "Top-p", "top_p", [0.01, 1, 0.01], (value) => (value >= 1 ? "off" : value.toFixed(2))),
  ];
  const rule = make("select", {}, ...RULES.map(([value, text]) => make("option", { value }, text)));
  rule.addEventListener("change", () => change(model, { rule: rule.value }));

  // What is shown: three facts, a warning when nothing is left, one row a token.
  const [countItem, countFact] = fact("Tokens kept");
  const [massItem, massFact] = fact("Mass kept at T");
  const [entropyItem, entropyFact] = fact("Entropy, nats");
  const warning = make("p", { class: "gam-warning" });
  const [announcement, announce] = announcer();
  const row = (name) => {
    const ghost = make("span", { class: "gam-ghost" });
    const bar = make("span", { class: "gam-bar" });
    const before = make("td");
    const after = make("td");
    const track = make("span", { class: "gam-track" }, ghost, bar);
    const node = make(
      "tr", {}, make("th", { scope: "row" }, name),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }, track), before, after,
    );
    return {
      node,
      draw(was, is, state, note) {
        ghost.style.width = `${100 * was}%`;
        bar.style.width = `${100 * is}%`;
        before.textContent = was.toFixed(4);
        after.textContent = note ?? is.toFixed(4);
        node.dataset.kept = state;
      },
    };
  };
  const headRows = head.map((i) => row(tokens[i]));
  const tailRow = row(`${tail.length} others`);
  const tailRows = tail.map((i) => row(tokens[i]));
  const tailBody = make("tbody", {}, ...tailRows.map((r) => r.node));
  tailBody.hidden = true;
  const column = (width) => make("col", { style: `width: ${width}` });
  const heading = (text, attributes = {}) => make("th", { scope: "col", ...attributes }, text);
  const table = make(
    "table", {},
    make("caption", {}, make("span", { class: "gam-key gam-ghost" }), "softmax at T = 1 ",
      make("span", { class: "gam-key gam-bar" }), "what is drawn from (full width = 1)"),
    make("colgroup", {}, column("6em"), column("auto"), column("4.7em"), column("4.7em")),
    make("thead", {}, make("tr", {}, heading("token", { class: "gam-left" }),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }), heading("before"), heading("after"))),
    make("tbody", {}, ...headRows.map((r) => r.node), ...(tail.length ? [tailRow.node] : [])),
    tailBody,
  );
  const scroll = make("div", { class: "gam-scroll", tabindex: "0", role: "group", "aria-label": "Probability of each token" }, table);
  const open = make("button", { type: "button", class: "gam-open", "aria-expanded": "false" });
  const label = () => {
    open.textContent = `${tailBody.hidden ? "Show" : "Hide"} the ${tail.length} others one by one`;
  };
  open.addEventListener("click", () => {
    tailBody.hidden = !tailBody.hidden;
    open.setAttribute("aria-expanded", String(!tailBody.hidden));
    label();
  });
  label();

  function update() {
    const now = settings();
    const result = decode(logits, now);
    const first = order[0];
    sliders.forEach(([, follow]) => follow());
    rule.value = now.rule;
    updatePresets();
    countFact.textContent = `${result.count} of ${tokens.length}`;
    massFact.textContent = result.mass.toFixed(3);
    entropyFact.textContent = result.count ? `${entropy(result.before).toFixed(3)} → ${result.entropyAfter.toFixed(3)}` : "none";
    warning.textContent = result.count ? "" :
      `Nothing is left to draw: ${tokens[first]} alone already exceeds p, and this rule keeps a token only while the sum is at most p.`;
    const drawToken = (r, i) =>
      r.draw(result.before[i], result.after[i], result.kept[i] ? "after" : "false", result.kept[i] ? undefined : "cut");
    headRows.forEach((r, n) => drawToken(r, head[n]));
    tailRows.forEach((r, n) => drawToken(r, tail[n]));
    const sum = (values) => tail.reduce((total, i) => total + values[i], 0);
    const keptInTail = tail.filter((i) => result.kept[i]).length;
    tailRow.draw(sum(result.before), sum(result.after), keptInTail ? "after" : "false", keptInTail ? undefined : "cut");
    announce(result.count
      ? `${result.count} of ${tokens.length} tokens kept, holding ${result.mass.toFixed(3)} of the probability. ` +
        `Entropy ${result.entropyAfter.toFixed(3)} nats. ${tokens[first]} has ${result.after[first].toFixed(3)}.`
      : warning.textContent);
  }
  for (const key of ["temperature", "top_k", "top_p", "rule"]) model.on(`change:${key}`, update);

  el.classList.add("gam-live");
  el.replaceChildren(
    make("style", {}, STYLE), presetButtons, ...sliders.map(([node]) => node),
    make("label", { class: "gam-rule" }, make("span", {}, "Top-p keeps tokens by"), rule),
    make("dl", { class: "gam-facts" }, ...countItem, ...massItem, ...entropyItem),
    warning, scroll, ...(tail.length ? [open] : []), announcement,
  );
  update();
}

export default { render };
