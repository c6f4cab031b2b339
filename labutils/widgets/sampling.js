import { softmax, entropy } from "./live_parts.js";

// From logits to a token, in the words of labutils/sampling.py; tests/test_widgets_sampling.py runs it under Node against that
// module.

/** Divide the logits by the temperature (> 0). */
export function applyTemperature(logits, temperature) {
  return logits.map((z) => z / temperature);
}

/** Token numbers by falling logit; equal logits stay in the order of the vocabulary. */
export function ranking(logits) {
  return logits.map((_, i) => i).sort((a, b) => logits[b] - logits[a] || a - b);
}

/** Keep every logit that is at least the k-th largest: with ties more than k can stay. */
export function keepTopK(logits, k) {
  const kth = logits[ranking(logits)[Math.min(k, logits.length) - 1]];
  return logits.map((z) => (z >= kth ? z : -Infinity));
}

/**
 * Top-p under one of two rules, walking down the ranking and adding up probabilities.
 * "nucleus": the smallest set whose sum reaches p, so the token that crosses p stays. Never empty.
 * "at-most": tokens while the sum is at most p, so the token that crosses p goes. Can be empty.
 */
export function keepTopP(logits, p, rule = "nucleus") {
  if (p >= 1) return logits.slice();
  const probabilities = softmax(logits);
  const kept = new Set();
  let sum = 0;
  for (const i of ranking(logits)) {
    if (rule === "nucleus" ? sum >= p : sum + probabilities[i] > p) break;
    sum += probabilities[i];
    kept.add(i);
  }
  return logits.map((z, i) => (kept.has(i) ? z : -Infinity));
}

/** Keep the tokens that are at least p times as probable as the most probable one. */
export function keepMinP(logits, p) {
  const probabilities = softmax(logits);
  const least = p * Math.max(...probabilities);
  return logits.map((z, i) => (probabilities[i] >= least ? z : -Infinity));
}

/** Temperature, then top-k, top-p and min-p: the order in common libraries. `mass` is what the kept tokens held at T. */
export function decode(logits, { temperature = 1, top_k = Infinity, top_p = 1, min_p = 0, rule = "nucleus" }) {
  const tempered = applyTemperature(logits, temperature);
  const filtered = keepMinP(keepTopP(keepTopK(tempered, top_k), top_p, rule), min_p);
  const kept = filtered.map((z) => z > -Infinity);
  const atTemperature = softmax(tempered);
  const after = softmax(filtered);
  return {
    before: softmax(logits),
    after,
    kept,
    count: kept.filter(Boolean).length,
    mass: atTemperature.reduce((sum, p, i) => (kept[i] ? sum + p : sum), 0),
    entropyAfter: entropy(after),
  };
}

/**
 * Draw a token: the probabilities lie end to end on a line from 0 to 1, the largest first, and u (from 0, below 1) falls
 * on the stretch of one of them. The token, and where its stretch begins and ends.
 */
export function drawToken(probabilities, u) {
  const possible = ranking(probabilities).filter((i) => probabilities[i] > 0);
  let [start, end] = [0, 0];
  for (const token of possible) {
    [start, end] = [end, end + probabilities[token]];
    if (u < end) return { token, start, end };
  }
  return { token: possible.at(-1), start, end: 1 }; // the sum was rounded down, and u fell beyond it
}
