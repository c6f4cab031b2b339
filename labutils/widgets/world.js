// The language of labutils/world.py in a page: its words, and the exact law of the next one.

/** Lower case, with a space around every mark: the words of a text. */
export function wordsOf(text) {
  return text.toLowerCase().replace(/[.?!:]/g, " $& ").split(/\s+/).filter(Boolean);
}

/** How many letters must be put in, taken out or replaced to make one word the other. */
export function editDistance(a, b) {
  let distances = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const before = distances;
    distances = [i];
    for (let j = 1; j <= b.length; j += 1) {
      distances[j] = Math.min(before[j] + 1, distances[j - 1] + 1, before[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
  }
  return distances[b.length];
}

/** Words for one that the language lacks: those that begin with it, then those that changing half its letters can give. */
export function suggestions(word, words, n) {
  const rank = (known) => (known.startsWith(word) ? 0 : editDistance(word, known));
  return words.map((known) => [rank(known), known]).filter(([changes]) => changes <= word.length / 2)
    .sort(([a], [b]) => a - b).slice(0, n).map(([, known]) => known);
}

/**
 * The law of the token after these, of which the first is <bos>; null where the language cannot say them.
 *
 * The words so far determine the state, so only the topic is unknown. Its law follows from Bayes' rule: each word
 * multiplies the probability of a topic by that of the word in it. `arcs` has the shape [arcs, 3] (state, word, next
 * state), `weight` [arcs, topics].
 */
export function nextWordLaw({ arcs, weight }, tokens, nWords) {
  const [n, nTopics] = weight.shape;
  const arcsFrom = (state) => Array.from({ length: n }, (_, a) => a).filter((a) => arcs.data[3 * a] === state);
  const given = (arc, z) => weight.data[arc * nTopics + z];
  let state = 0;
  let topics = new Array(nTopics).fill(1 / nTopics);
  for (const token of tokens.slice(1)) {
    const arc = arcsFrom(state).find((a) => arcs.data[3 * a + 1] === token);
    if (arc === undefined) return null;
    const joint = topics.map((p, z) => p * given(arc, z));
    const total = joint.reduce((sum, p) => sum + p, 0);
    topics = joint.map((p) => p / total);
    state = arcs.data[3 * arc + 2];
  }
  const law = new Array(nWords).fill(0);
  for (const arc of arcsFrom(state)) law[arcs.data[3 * arc + 1]] += topics.reduce((sum, p, z) => sum + p * given(arc, z), 0);
  return law;
}
