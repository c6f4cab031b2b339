import { softmax } from "./live_parts.js";

// The decoder of labutils/models.py once more, for a page: one token goes in, the logits of the next come out.
//
// It looks at one position at a time. The cache holds the keys and values of the positions before it, so no mask is
// needed: what comes later is not there yet. Only what the trained model has is here: rotary positions, the norm before
// each part, as many key-value heads as heads. tests/test_decoder_js.py compares it with PyTorch.

// ------------------------------------------------------------------------------------------------------ the weights

const NUMBERS = { F32: Float32Array, I32: Int32Array };

/**
 * The tensors of a safetensors file by name, each { shape, data }, and the file's own `metadata`. The file is the length
 * of a header in 8 bytes, the header in JSON, and the numbers, which begin at a multiple of 8.
 */
export function readSafetensors(bytes) {
  const { buffer, byteOffset } = bytes;
  const length = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const { __metadata__: metadata, ...entries } = header;
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: [start, stop] }] of Object.entries(entries)) {
    if (!(dtype in NUMBERS)) throw new TypeError(`${name} holds ${dtype}; this reader knows ${Object.keys(NUMBERS)}.`);
    tensors[name] = { shape, data: new NUMBERS[dtype](buffer.slice(byteOffset + 8 + length + start, byteOffset + 8 + length + stop)) };
  }
  return { tensors, metadata };
}

// -------------------------------------------------------------------------------------------------- small mathematics

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const add = (a, b) => a.map((x, i) => x + b[i]);

/** Row i of a matrix. */
const row = ({ shape: [, width], data }, i) => data.subarray(i * width, (i + 1) * width);

/** The product of each row of a matrix with x. */
const times = (matrix, x) => Array.from({ length: matrix.shape[0] }, (_, i) => dot(x, row(matrix, i)));

/** Shift and scale x to mean 0 and variance 1, then scale and shift by what was learned. */
function layerNorm(x, { weight, bias }) {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * weight.data[i] + bias.data[i]);
}

const linear = (x, { weight, bias }) => add(times(weight, x), bias.data);

/** The tanh approximation, as in models.py. */
const gelu = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

/** Turn the pairs of axes (i, i + half) of a query or key by angles that grow with its position. */
function rotary(x, position) {
  const half = x.length / 2;
  return x.map((value, i) => {
    const angle = position * 10_000 ** (-(i % half) / half);
    return i < half ? value * Math.cos(angle) - x[i + half] * Math.sin(angle)
      : x[i - half] * Math.sin(angle) + value * Math.cos(angle);
  });
}

// ----------------------------------------------------------------------------------------------------------- the model

/** A model from the tensors of its file: the parts of a layer, found by the names that models.py gives them. */
export function decoder(tensors, { n_heads, n_layers, max_len }) {
  const part = (name) => ({ weight: tensors[`${name}.weight`], bias: tensors[`${name}.bias`] });
  const blocks = Array.from({ length: n_layers }, (_, layer) => Object.fromEntries(
    ["attention_norm", "attention.query", "attention.key", "attention.value", "attention.output", "ffn_norm", "ffn.expand", "ffn.contract"]
      .map((name) => [name.split(".").at(-1), part(`blocks.${layer}.${name}`)])));
  return { embedding: tensors["embedding.weight"], blocks, finalNorm: part("final_norm"), n_heads, max_len };
}

/** What a model remembers of a text: for each layer and head the keys and values so far, and the attention weights. */
export function emptyCache({ blocks, n_heads }) {
  return blocks.map(() => Array.from({ length: n_heads }, () => ({ keys: [], values: [], weights: [] })));
}

/** Forget all positions but the first ones, as many as `length` says. */
export function shorten(cache, length) {
  for (const head of cache.flat()) for (const kept of Object.values(head)) kept.length = Math.min(kept.length, length);
}

/** One head: the query looks at its own key and at those before it, and takes home a weighted mean of the values. */
function attend(query, key, value, { keys, values, weights }) {
  const position = keys.length;
  keys.push(rotary(key, position));
  values.push(value);
  const turned = rotary(query, position);
  const scores = keys.map((k) => dot(turned, k) / Math.sqrt(turned.length));
  weights.push(softmax(scores));
  return value.map((_, axis) => weights[position].reduce((sum, weight, i) => sum + weight * values[i][axis], 0));
}

/** The logits of the token after this one, which is added to the cache. Throws a RangeError if the window is full. */
export function step(model, token, cache) {
  if (cache[0][0].keys.length >= model.max_len) throw new RangeError(`The context window holds ${model.max_len} tokens.`);
  let x = Array.from(row(model.embedding, token));
  model.blocks.forEach((block, layer) => {
    const seen = layerNorm(x, block.attention_norm);
    const [query, key, value] = [block.query, block.key, block.value].map((map) => linear(seen, map));
    const width = x.length / model.n_heads;
    const heads = cache[layer].map((head, h) =>
      attend(...[query, key, value].map((vector) => vector.slice(h * width, (h + 1) * width)), head));
    x = add(x, linear(heads.flat(), block.output));
    x = add(x, linear(linear(layerNorm(x, block.ffn_norm), block.expand).map(gelu), block.contract));
  });
  return times(model.embedding, layerNorm(x, model.finalNorm));
}
