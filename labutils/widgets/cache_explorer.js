import { STYLE, make, slider, presets, change, fact, announcer } from "./live_parts.js";

// The cache explorer: what the keys and values of a decoder take, beside its weights.
//
// The first part is arithmetic without a page; tests/test_widgets_attention.py runs it under Node against the caches of
// labutils.models and of Hugging Face.

// ---------------------------------------------------------------------------------------------------- arithmetic

/** The numbers of key-value heads that share `heads` query heads evenly. */
export function sharings(heads) {
  return Array.from({ length: heads }, (_, i) => i + 1).filter((n) => heads % n === 0);
}

/** Bytes: a key and a value for each layer, key-value head and token. `whole` is the cache without sharing. */
export function memory({ layers, heads, kv_heads, width, tokens, texts, number_bytes, billions }) {
  const perToken = (n) => 2 * layers * n * width * number_bytes;
  return {
    perToken: perToken(kv_heads),
    perText: perToken(kv_heads) * tokens,
    cache: perToken(kv_heads) * tokens * texts,
    whole: perToken(heads) * tokens * texts,
    weights: billions * 1e9 * number_bytes,
  };
}

/** Bytes in the largest binary unit that leaves at least 1: 1536 is "1.5 KiB". */
export function bytes(n) {
  const power = Math.min(Math.max(Math.floor(Math.log2(n) / 10), 0), 4);
  const value = n / 1024 ** power;
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

// ------------------------------------------------------------------------------------------------------- drawing

const LOOK = `
.gam-live.gam-live.gam-cache { --gam-name: 8.2em; --gam-value: 4.8em; }
.gam-live.gam-live .gam-shape { margin: .2rem 0; }
.gam-live .gam-bar.gam-of-cache { background: repeating-linear-gradient(45deg, var(--gam-second) 0 4px, color-mix(in srgb, var(--gam-second) 55%, transparent) 4px 7px); }
@media (max-width: 30rem) { .gam-live.gam-live.gam-cache { --gam-name: 8.3em; --gam-value: 4.4em; } }
`;

const SHAPE = ["layers", "heads", "width", "billions"];

function render({ model, el }) {
  const known = model.get("models");
  const shared = () => sharings(model.get("heads"));
  const kvHeads = () => shared()[Math.min(model.get("sharing"), shared().length) - 1];
  const settings = () => ({
    ...Object.fromEntries([...SHAPE, "texts", "number_bytes"].map((name) => [name, model.get(name)])),
    kv_heads: kvHeads(),
    tokens: 2 ** model.get("exponent"),
  });

  const [presetButtons, updatePresets] = presets(model, Object.entries(known).map(([name, { kv_heads, ...shape }]) =>
    [name, { ...shape, sharing: sharings(shape.heads).indexOf(kv_heads) + 1 }]));
  const count = (value) => value.toLocaleString("en");
  const [sharing, updateSharing] = slider(model, "Key-value heads", "sharing", [1, 1, 1], () => `${kvHeads()} of ${model.get("heads")}`);
  const others = [
    slider(model, "Tokens in a text", "exponent", [7, 20, 1], (value) => count(2 ** value)),
    slider(model, "Texts at once", "texts", [1, 64, 1], count),
  ];
  const shape = [
    slider(model, "Layers", "layers", [1, 128, 1], count),
    slider(model, "Query heads", "heads", [1, 256, 1], count),
    slider(model, "Width of a head", "width", [16, 256, 16], count),
    slider(model, "Billion weights", "billions", [1, 200, 1], count),
  ];
  const precision = make("select", {}, ...[[4, "4 bytes"], [2, "2 bytes"], [1, "1 byte"]].map(([value, text]) => make("option", { value }, text)));
  precision.addEventListener("change", () => change(model, { number_bytes: Number(precision.value) }));

  const [tokenItem, tokenFact] = fact("Cache of a token");
  const [textItem, textFact] = fact("Of one text");
  const [ratioItem, ratioFact] = fact("Cache over weights");
  const [savedItem, savedFact] = fact("Smaller by sharing");
  const [announcement, announce] = announcer();

  const row = (name, kind) => {
    const bar = make("span", { class: kind });
    const value = make("td");
    const node = make("tr", {}, make("th", { scope: "row" }, name),
      make("td", { class: "gam-bar-cell", "aria-hidden": "true" }, make("span", { class: "gam-track" }, bar)), value);
    return { node, show: (size, full) => { bar.style.width = `${(100 * size) / full}%`; value.textContent = bytes(size); } };
  };
  const rows = [row("weights", "gam-bar"), row("cache", "gam-bar gam-of-cache"), row("if not shared", "gam-ghost")];
  const caption = make("caption");
  const table = make("table", {}, caption,
    make("colgroup", {}, ...["7em", "auto", "5.2em"].map((width) => make("col", { style: `width: ${width}` }))),
    make("tbody", {}, ...rows.map(({ node }) => node)));

  function update() {
    const now = settings();
    const size = memory(now);
    sharing.querySelector("input").max = shared().length;
    [updateSharing, ...others.map(([, follow]) => follow), ...shape.map(([, follow]) => follow)].forEach((follow) => follow());
    updatePresets();
    precision.value = now.number_bytes;
    const full = Math.max(size.weights, size.whole);
    [size.weights, size.cache, size.whole].forEach((value, i) => rows[i].show(value, full));
    caption.textContent = `To write one token, all of the weights and all of the cache are read (full width: ${bytes(full)})`;
    tokenFact.textContent = bytes(size.perToken);
    textFact.textContent = bytes(size.perText);
    const ratio = size.cache / size.weights;
    ratioFact.textContent = ratio >= 10 ? ratio.toFixed(0) : ratio.toPrecision(2);
    savedFact.textContent = now.heads === now.kv_heads ? "not shared" : `${count(now.heads / now.kv_heads)} times`;
    announce(`${now.kv_heads} key-value heads of ${now.heads} query heads, ${count(now.tokens)} tokens, ${now.texts} texts: the cache takes ` +
      `${bytes(size.cache)}, the weights ${bytes(size.weights)}.`);
  }
  for (const key of [...SHAPE, "sharing", "exponent", "texts", "number_bytes"]) model.on(`change:${key}`, update);

  el.classList.add("gam-live", "gam-cache");
  el.replaceChildren(
    make("style", {}, STYLE + LOOK), presetButtons, sharing, ...others.map(([node]) => node),
    make("details", { class: "gam-numbers gam-shape" }, make("summary", {}, "Another shape of model"), ...shape.map(([node]) => node),
      make("label", { class: "gam-rule" }, make("span", {}, "A number takes"), precision)),
    make("dl", { class: "gam-facts" }, ...tokenItem, ...textItem, ...ratioItem, ...savedItem), table, announcement,
  );
  update();
}

export default { render };
