"""The figures of attention: the softmax of scores, rotary positions, the cache of keys and values."""

import math

from labutils.widgets.live import Live
from labutils.widgets.parts import check_seed, check_slider, softmax, uniform, without_javascript

_KEYS = 8
_D_K = "<i>d<sub>k</sub></i>"


def _dot_products(d_k: int, seed: int) -> list[float]:
    """One query with each key: all components are drawn evenly from -√3 to √3, so that their variance is 1."""
    numbers = uniform(seed)
    scores = [0.0] * _KEYS
    for _ in range(d_k):
        component, *others = ((2 * next(numbers) - 1) * math.sqrt(3) for _ in range(1 + _KEYS))
        scores = [score + component * other for score, other in zip(scores, others, strict=True)]
    return scores


def _jacobian_norm(weights: list[float]) -> float:
    """The Frobenius norm of diag(p) - p pᵀ; 1 - p is a sum over the others, which is exact where p is close to 1."""
    squares = 0.0
    for i, weight in enumerate(weights):
        others = weights[:i] + weights[i + 1 :]
        squares += weight**2 * (sum(others) ** 2 + sum(other**2 for other in others))
    return math.sqrt(squares)


def _short(value: float) -> str:
    """Three decimals, or a power of ten where they would all be 0."""
    if value >= 0.001 or value == 0:
        return f"{value:.3f}"
    digits, power = f"{value:.1e}".split("e-")
    return f"{digits} · 10<sup>−{int(power)}</sup>"


def _attention_table(query_size: float, seed: int) -> str:
    """What a reader without JavaScript gets: three sizes of d_k, with the scores divided and as they are."""
    rows = []
    for d_k in (4, 64, 1024):
        for divided in (False, True):
            scores = [query_size * score for score in _dot_products(d_k, seed)]
            weights = softmax(scores, math.sqrt(d_k) if divided else 1.0)
            effective = math.exp(-sum(p * math.log(p) for p in weights if p > 0))
            name = f"{d_k}, {f'divided by √{_D_K}' if divided else 'as they are'}"
            rows.append((name, f"{max(weights):.3f}", f"{effective:.2f}", _short(_jacobian_norm(weights))))
    return without_javascript(
        "here are the weights of eight keys for one query.",
        (f"{_D_K}, scores", "largest weight", f"keys in use, of {_KEYS}", "gradient let through"),
        rows,
    )


def attention_explorer(*, d_k: int = 64, divided: bool = False, query_size: float = 1.0, seed: int = 333) -> Live:
    """Sliders for d_k and the query's size, and a box for the division by the root of d_k, over eight weights.

    The query and the keys are drawn at random, with components of mean 0 and variance 1, by a generator that gives the
    same numbers everywhere. The figure shows the scores and the weights, the largest weight, how many keys are in use
    (the exponential of the entropy), and the Frobenius norm of the softmax's Jacobian, which is what a gradient is
    multiplied by on its way back through the weights: 0.331 where eight weights are equal, 0.5 where two share all,
    0 where one has all [vaswani2017attention].

    Args:
        d_k: components of the query and of each key where the slider starts; a power of two from 4 to 1024.
        divided: whether the scores start divided by the root of d_k.
        query_size: factor on the query where the slider starts; a multiple of 0.5 from 0.5 to 8.
        seed: number of the first draw; the button in the figure adds one. The default is a typical draw: its scores
            spread between 0.83 and 1.26 times the root of d_k, for every d_k.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if d_k not in (powers := [2**n for n in range(2, 11)]):
        raise ValueError(f"d_k is {d_k}; give one of {powers}.")
    if not 0.5 <= query_size <= 8 or 2 * query_size % 1:
        raise ValueError(f"query_size is {query_size}; give a multiple of 0.5 from 0.5 to 8.")
    check_seed(seed)
    return Live(
        module="attention_explorer.js",
        label="Attention explorer: sliders for d_k and the size of the query, and the attention weight of each key",
        fallback=_attention_table(query_size, seed),
        state={
            "exponent": d_k.bit_length() - 1,
            "n_keys": _KEYS,
            "query_size": query_size,
            "divided": divided,
            "seed": seed,
        },
        height=505,
    )


# One query and one key in four pairs of axes: arrows of length 1, apart by an angle that differs from pair to pair.
_QUERY = [[0.8, 0.6], [1.0, 0.0], [0.6, 0.8], [0.96, 0.28]]
_KEY = [[0.96, -0.28], [0.8, -0.6], [0.8, 0.6], [0.8, 0.6]]


def _rotary_table(base: float) -> str:
    """What a reader without JavaScript gets: the score of each pair at some distances."""
    rows = []
    for distance in (0, 1, 2, 4, 8, 16, 32):
        shares = []
        for pair, ((a, b), (c, d)) in enumerate(zip(_QUERY, _KEY, strict=True)):
            angle = distance * base ** (-pair / len(_QUERY))
            shares.append((a * c + b * d) * math.cos(angle) + (a * d - b * c) * math.sin(angle))
        rows.append((str(distance), *(f"{share:.3f}" for share in [*shares, sum(shares)])))
    return without_javascript(
        "here is the score by the distance from the key to the query. Where the two stand does not matter: only their "
        "distance does.",
        ["distance", *(f"pair {pair + 1}" for pair in range(len(_QUERY))), "all pairs"],
        rows,
    )


def rotary_explorer(
    *, query_position: int = 16, key_position: int = 8, shift: int = 0, pair: int = 2, base: float = 10_000.0
) -> Live:
    """Sliders for the positions of a query and a key that are turned pair by pair, and their score by distance.

    Rotary positions turn each pair of axes of the query and of the key by an angle that grows with the position
    [su2024roformer]. Moving both by the same number of positions turns both arrows and leaves each score as it is.

    Args:
        query_position: where the slider of the query starts, from 0 to 32.
        key_position: where the slider of the key starts, from 0 to 32.
        shift: how far both are moved at first, from 0 to 1000.
        pair: the pair of axes whose score is drawn as a curve at first, from 1 to 4.
        base: the base of the frequencies, above 1; the first pair turns by 1 radian a position, pair i by
            base^(-(i - 1)/4).

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    check_slider("query_position", query_position, 0, 32)
    check_slider("key_position", key_position, 0, 32)
    check_slider("shift", shift, 0, 1000)
    if not 1 <= pair <= len(_QUERY):
        raise ValueError(f"pair is {pair}; there are {len(_QUERY)}, counted from 1.")
    if not 1 < base < math.inf:
        raise ValueError(f"base is {base}; give a number above 1.")
    return Live(
        module="rotary_explorer.js",
        label="Rotary explorer: sliders for the positions of a query and a key, and their score pair by pair",
        fallback=_rotary_table(base),
        state={
            "query": _QUERY,
            "key": _KEY,
            "base": base,
            "query_position": query_position,
            "key_position": key_position,
            "shift": shift,
            "pair": pair,
        },
        height=738,
    )


# Layers, query heads, key-value heads, the width of a head, and the weights in billions that the name says
# [touvron2023llama2, almazrouei2023falcon].
_SHAPES = {
    "Llama 2 7B": (32, 32, 32, 128, 7),
    "Llama 2 70B": (80, 64, 8, 128, 70),
    "Falcon 7B": (32, 71, 1, 64, 7),
    "Falcon 180B": (80, 232, 8, 64, 180),
}
_TOKENS = 4096


def _cache_table(texts: int) -> str:
    """What a reader without JavaScript gets: the cache of known models beside their weights."""
    rows = []
    for name, (layers, heads, kv_heads, width, billions) in _SHAPES.items():
        token = 2 * layers * kv_heads * width * 2
        sizes = (token * _TOKENS * texts, token * _TOKENS * texts * heads // kv_heads, billions * 10**9 * 2)
        rows.append((name, f"{token / 2**10:g} KiB", *(f"{size / 2**30:.1f} GiB" for size in sizes)))
    return without_javascript(
        f"here is the cache of {texts} texts of {_TOKENS:,} tokens, with 2 bytes a number.",
        ("model", "cache of a token", "cache", "cache if no head were shared", "weights"),
        rows,
    )


def cache_explorer(*, model: str = "Llama 2 70B", tokens: int = _TOKENS, texts: int = 16) -> Live:
    """Sliders for the key-value heads, the length of a text and the texts at once, and the bytes of the KV cache.

    A token leaves a key and a value in each layer for each key-value head. The bars compare the cache with the weights
    and with the cache of a model in which every query head has its own keys [shazeer2019fast, ainslie2023gqa].

    Args:
        model: the published shape at first: "Llama 2 7B", "Llama 2 70B", "Falcon 7B" or "Falcon 180B"
            [touvron2023llama2, almazrouei2023falcon]. A further set of sliders changes it.
        tokens: tokens in a text where the slider starts; a power of two from 128 to 1,048,576.
        texts: texts at once where the slider starts, from 1 to 64.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if model not in _SHAPES:
        raise ValueError(f"model is {model!r}; give one of {', '.join(_SHAPES)}.")
    if tokens not in (powers := [2**n for n in range(7, 21)]):
        raise ValueError(f"tokens is {tokens}; give a power of two from {powers[0]} to {powers[-1]}.")
    check_slider("texts", texts, 1, 64)
    names = ("layers", "heads", "kv_heads", "width", "billions")
    models = {name: dict(zip(names, shape, strict=True)) for name, shape in _SHAPES.items()}
    shape = {name: value for name, value in models[model].items() if name != "kv_heads"}
    divisors = [n for n in range(1, shape["heads"] + 1) if shape["heads"] % n == 0]
    return Live(
        module="cache_explorer.js",
        label="Cache explorer: key-value heads, tokens and texts, and the bytes of the cache beside the weights",
        fallback=_cache_table(texts),
        state=shape
        | {
            "models": models,
            "sharing": divisors.index(models[model]["kv_heads"]) + 1,
            "exponent": tokens.bit_length() - 1,
            "texts": texts,
            "number_bytes": 2,
        },
        height=345,
    )
