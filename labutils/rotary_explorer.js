import { STYLE, make, draw, slider, presets, fact, announcer } from "./live_parts.js";

// The rotary explorer: a query and a key, pair by pair of axes, turned by their positions.
//
// The first part is arithmetic without a page; tests/test_widgets.py runs it under Node against labutils.positions.

// ---------------------------------------------------------------------------------------------------- arithmetic

/** The turn of each pair, in radians a position: base^(-2i/d) for pair i of d/2. */
export function frequencies(pairs, base) {
  return Array.from({ length: pairs }, (_, i) => base ** (-i / pairs));
}

/** A pair of components [x, y], turned by an angle. */
export function turn([x, y], angle) {
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [x * c - y * s, x * s + y * c];
}

/** The share of each pair in the dot product of a query at position m with a key at position n. */
export function shares({ query, key, base, m, n }) {
  return frequencies(query.length, base).map((frequency, i) => {
    const [q, k] = [turn(query[i], m * frequency), turn(key[i], n * frequency)];
    return q[0] * k[0] + q[1] * k[1];
  });
}

export const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

// ------------------------------------------------------------------------------------------------------- drawing

const LOOK = `
.gam-live { --gam-key: #d55e00; }
.gam-live.gam-live .gam-turning { --gam-name: 8.5em; }
.gam-live.gam-live .gam-planes { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .5rem; margin: .6rem 0; }
.gam-live .gam-plane { padding: .3rem; border: 2px solid transparent; border-radius: .4rem; font-size: .85em;
  text-align: center; font-variant-numeric: tabular-nums; }
.gam-live .gam-plane[data-chosen="true"] { border-color: currentColor; }
.gam-live .gam-planes svg, .gam-live .gam-curve svg { display: block; width: 100%; overflow: visible; }
.gam-live .gam-planes :is(circle, line, path) { fill: none; stroke: currentColor; stroke-width: 1; vector-effect: non-scaling-stroke; }
.gam-live .gam-planes .gam-start { opacity: .45; stroke-dasharray: 3 3; }
.gam-live .gam-planes .gam-q { stroke: var(--gam-accent); stroke-width: 3; }
.gam-live .gam-planes .gam-k { stroke: var(--gam-key); stroke-width: 3; }
.gam-live .gam-planes text { fill: currentColor; font-size: .26px; text-anchor: middle; dominant-baseline: central; }
.gam-live .gam-curve { position: relative; margin: 1rem 1rem 3rem 2.8rem; }
.gam-live .gam-curve svg { height: 9rem; }
.gam-live .gam-curve :is(path, line) { fill: none; stroke: currentColor; stroke-width: 1; vector-effect: non-scaling-stroke; }
.gam-live .gam-curve line { opacity: .4; }
.gam-live .gam-curve .gam-one { stroke: var(--gam-accent); stroke-width: 2.5; }
.gam-live .gam-curve .gam-all { stroke-dasharray: 5 4; stroke-width: 1.5; }
.gam-live .gam-curve span { position: absolute; font-size: .8em; line-height: 1; white-space: nowrap; }
.gam-live .gam-curve .gam-left { transform: translate(-100%, -50%); left: -.4rem; }
.gam-live .gam-curve .gam-below { transform: translateX(-50%); top: calc(100% + .35rem); }
.gam-live .gam-curve .gam-title { top: calc(100% + 1.5rem); left: 50%; transform: translateX(-50%); }
.gam-live .gam-curve .gam-point { width: .8rem; height: .8rem; margin: -.4rem; border-radius: 50%; background: var(--gam-accent);
  border: 2px solid currentColor; }
.gam-live .gam-curve .gam-point.gam-hollow { background: transparent; border-radius: 0; }
.gam-live.gam-live .gam-curve-key { margin: 0; font-size: .9em; }
.gam-live .gam-stroke { display: inline-block; width: 1.8em; height: 0; margin: 0 .3em .25em .1em; border-top: 3px solid var(--gam-accent); }
.gam-live .gam-stroke.gam-dashed { border-top: 2px dashed currentColor; }
@media (max-width: 30rem) { .gam-live.gam-live .gam-planes { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
`;

const FARTHEST = 32; // positions
const PRESETS = [
  ["Same position", { query_position: 8, key_position: 8, shift: 0 }],
  ["Eight apart", { query_position: 16, key_position: 8, shift: 0 }],
  ["Eight apart, 500 further on", { query_position: 16, key_position: 8, shift: 500 }],
];

const signed = (value, digits) => value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");
const arrow = (kind) => {
  const shaft = draw("path", { class: `gam-${kind}` });
  const letter = draw("text", {}, kind);
  const point = ([x, y]) => {
    const head = [0.86, 0.86].map((size, side) => turn([x * size, y * size], side ? -0.09 : 0.09));
    shaft.setAttribute("d", `M0 0L${x} ${-y}M${head[0][0]} ${-head[0][1]}L${x} ${-y}L${head[1][0]} ${-head[1][1]}`);
    const length = Math.hypot(x, y);
    letter.setAttribute("x", x * (1 + 0.17 / length));
    letter.setAttribute("y", -y * (1 + 0.17 / length));
  };
  return { nodes: [shaft, letter], point };
};

function render({ model, el }) {
  const [query, key, base] = ["query", "key", "base"].map((name) => model.get(name));
  const speed = frequencies(query.length, base);
  const turned = () => {
    const shift = model.get("shift");
    return { query, key, base, m: model.get("query_position") + shift, n: model.get("key_position") + shift };
  };

  const [presetButtons, updatePresets] = presets(model, PRESETS);
  const whole = (value) => String(value);
  const sliders = [
    slider(model, "Query at", "query_position", [0, FARTHEST, 1], whole),
    slider(model, "Key at", "key_position", [0, FARTHEST, 1], whole),
    slider(model, "Move both by", "shift", [0, 1000, 1], whole),
    slider(model, "Pair of axes", "pair", [1, query.length, 1], whole),
  ];

  // One small plane a pair: where the arrows start (dashed) and where their positions turn them.
  const planes = query.map((_, i) => {
    const [q, k] = [arrow("q"), arrow("k")];
    const start = ([x, y]) => draw("line", { class: "gam-start", x1: 0, y1: 0, x2: x, y2: -y });
    const plane = draw("svg", { viewBox: "-1.3 -1.3 2.6 2.6", role: "img" }, draw("circle", { r: 1 }), start(query[i]),
      start(key[i]), ...k.nodes, ...q.nodes);
    const share = make("span");
    const turns = `${Number(speed[i].toPrecision(2))} rad a step`;
    const node = make("div", { class: "gam-plane" }, plane, `pair ${i + 1}`, make("br"), turns, make("br"), share);
    return { node, plane, share, q, k };
  });

  const [distanceItem, distanceFact] = fact("Distance");
  const [oneItem, oneFact] = fact("Score of the chosen pair");
  const [allItem, allFact] = fact("Score of all pairs");
  const [announcement, announce] = announcer();

  // The score against the distance, with the key where it is: scaled to the largest possible sum of all pairs.
  const top = sum(query.map((q, i) => Math.hypot(...q) * Math.hypot(...key[i])));
  const at = (distance, score) => [50 + (50 * distance) / FARTHEST, 50 - (50 * score) / top];
  const distances = Array.from({ length: 32 * FARTHEST + 1 }, (_, i) => i / 16 - FARTHEST);
  const path = (score) => "M" + distances.map((d) => at(d, score(shares({ query, key, base, m: d, n: 0 }))).map((x) => x.toFixed(2))).join("L");
  const one = draw("path", { class: "gam-one" });
  const points = [make("span", { class: "gam-point gam-hollow" }), make("span", { class: "gam-point" })];
  const label = (kind, text, style) => make("span", { class: kind, style }, text);
  const curve = make(
    "div", { class: "gam-curve", role: "img", "aria-label": "Score against distance: it depends on the distance alone" },
    draw("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none" },
      draw("line", { x1: 0, x2: 100, y1: 50, y2: 50 }), draw("line", { x1: 50, x2: 50, y1: 0, y2: 100 }),
      draw("path", { class: "gam-all", d: path(sum) }), one),
    ...[1, 0, -1].map((side) => label("gam-left", signed(side * top, 1), `top: ${50 - 50 * side}%`)),
    ...[-32, -16, 0, 16, 32].map((d) => label("gam-below", signed(d, 0), `left: ${at(d, 0)[0]}%`)),
    label("gam-title", "distance: query's position less the key's", ""),
    ...points,
  );
  const chosenName = make("span");
  const curveKey = make("p", { class: "gam-curve-key" }, "Score by distance: ", make("span", { class: "gam-stroke" }),
    chosenName, " ", make("span", { class: "gam-stroke gam-dashed" }), "all pairs");

  let drawnPair;
  function update() {
    const now = turned();
    const parts = shares(now);
    const pair = model.get("pair") - 1;
    const distance = now.m - now.n;
    sliders.forEach(([, follow]) => follow());
    updatePresets();
    planes.forEach((plane, i) => {
      plane.q.point(turn(query[i], now.m * speed[i]));
      plane.k.point(turn(key[i], now.n * speed[i]));
      plane.share.textContent = `score ${signed(parts[i], 3)}`;
      plane.plane.setAttribute("aria-label", `Pair ${i + 1}: query and key in their plane, score ${signed(parts[i], 3)}`);
      plane.node.dataset.chosen = String(i === pair);
    });
    if (pair !== drawnPair) one.setAttribute("d", path((all) => all[pair]));
    drawnPair = pair;
    chosenName.textContent = `pair ${pair + 1}`;
    [sum(parts), parts[pair]].forEach((score, i) => {
      const [x, y] = at(distance, score);
      points[i].style.left = `${x}%`;
      points[i].style.top = `${y}%`;
    });
    distanceFact.textContent = `${now.m} − ${now.n} = ${signed(distance, 0)}`;
    oneFact.textContent = signed(parts[pair], 3);
    allFact.textContent = signed(sum(parts), 3);
    announce(`Query at ${now.m}, key at ${now.n}, distance ${signed(distance, 0)}. Score of pair ${pair + 1} ` +
      `${signed(parts[pair], 3)}, of all pairs ${signed(sum(parts), 3)}.`);
  }
  for (const name of ["query_position", "key_position", "shift", "pair"]) model.on(`change:${name}`, update);

  el.classList.add("gam-live");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), presetButtons, make("div", { class: "gam-turning" }, ...sliders.map(([node]) => node)),
    make("div", { class: "gam-planes" }, ...planes.map((plane) => plane.node)),
    make("dl", { class: "gam-facts" }, ...distanceItem, ...oneItem, ...allItem),
    curveKey, curve, announcement,
  );
  update();
}

export default { render };
