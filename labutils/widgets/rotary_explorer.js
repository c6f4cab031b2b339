import { STYLE, make, draw, slider, presets, chart, stroke, numberTable, fact, announcer } from "./live_parts.js";

// The rotary explorer: a query and a key, pair by pair of axes, turned by their positions.
//
// The first part is arithmetic without a page; tests/test_widgets_attention.py runs it under Node against labutils.positions.

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
.gam-live.gam-rotary { --gam-name: 8.5em; --gam-height: 9rem; }
.gam-live.gam-live .gam-planes { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .5rem; margin: .6rem 0; }
.gam-live .gam-plane { padding: .3rem; border: 2px solid transparent; border-radius: .4rem; font-size: .85em;
  text-align: center; font-variant-numeric: tabular-nums; }
.gam-live .gam-plane[data-chosen="true"] { border-color: currentColor; }
.gam-live .gam-planes svg { display: block; width: 100%; overflow: visible; }
.gam-live .gam-planes :is(circle, line, path) { fill: none; stroke: currentColor; stroke-width: 1; vector-effect: non-scaling-stroke; }
.gam-live .gam-planes .gam-start { opacity: .45; stroke-dasharray: 3 3; }
.gam-live .gam-planes .gam-q { stroke: var(--gam-accent); stroke-width: 3; }
.gam-live .gam-planes .gam-k { stroke: var(--gam-second); stroke-width: 3; }
.gam-live .gam-planes text { fill: currentColor; font-size: .26px; text-anchor: middle; dominant-baseline: central; }
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
  const distances = Array.from({ length: 32 * FARTHEST + 1 }, (_, i) => i / 16 - FARTHEST);
  const curve = (score) => distances.map((d) => [d, score(shares({ query, key, base, m: d, n: 0 }))]);
  const course = chart({
    x: [-FARTHEST, FARTHEST], y: [-top, top], xTicks: [-32, -16, 0, 16, 32], yTicks: [top, 0, -top].map((score) => [score, signed(score, 1)]),
    title: "distance: query's position less the key's", lines: [[[-FARTHEST, 0], [FARTHEST, 0]], [[0, -top], [0, top]]],
  });
  course.node.setAttribute("aria-label", "Score against distance: it depends on the distance alone");
  course.curve("gam-dashed")(curve(sum));
  const [drawOne, allPoint, onePoint] = [course.curve("gam-one"), course.dot("gam-hollow"), course.dot()];
  const chosenName = make("span");
  const legend = make("p", { class: "gam-legend" }, "Score by distance: ", stroke(), chosenName, " ", stroke("gam-dashed"), "all pairs");
  const [table, fillTable] = numberTable("The numbers of the curves", ["distance", ...query.map((_, i) => `pair ${i + 1}`), "all pairs"]);
  fillTable([-32, -16, -8, -4, -2, -1, 0, 1, 2, 4, 8, 16, 32].map((distance) => {
    const parts = shares({ query, key, base, m: distance, n: 0 });
    return [signed(distance, 0), ...[...parts, sum(parts)].map((score) => signed(score, 3))];
  }));

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
    if (pair !== drawnPair) drawOne(curve((all) => all[pair]));
    drawnPair = pair;
    chosenName.textContent = `pair ${pair + 1}`;
    allPoint([distance, sum(parts)]);
    onePoint([distance, parts[pair]]);
    distanceFact.textContent = `${now.m} − ${now.n} = ${signed(distance, 0)}`;
    oneFact.textContent = signed(parts[pair], 3);
    allFact.textContent = signed(sum(parts), 3);
    announce(`Query at ${now.m}, key at ${now.n}, distance ${signed(distance, 0)}. Score of pair ${pair + 1} ` +
      `${signed(parts[pair], 3)}, of all pairs ${signed(sum(parts), 3)}.`);
  }
  for (const name of ["query_position", "key_position", "shift", "pair"]) model.on(`change:${name}`, update);

  el.classList.add("gam-live", "gam-rotary");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), presetButtons, ...sliders.map(([node]) => node),
    make("div", { class: "gam-planes" }, ...planes.map((plane) => plane.node)),
    make("dl", { class: "gam-facts" }, ...distanceItem, ...oneItem, ...allItem),
    legend, course.node, table, announcement,
  );
  update();
}

export default { render };
