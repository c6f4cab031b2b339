"""Positions: how a model learns in which order its tokens stand. Attention alone cannot tell.

There are three places to say it: in the tokens' vectors (`learned`, `sinusoidal`), in the scores (`relative_bias`,
`alibi_bias`), or in the angle of queries and keys (`rotary`).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def learned(table: Float[Tensor, "max_len d_model"], positions: Int[Tensor, " seq"]) -> Float[Tensor, "seq d_model"]:
    """One learned vector a position, to be added to the token's vector [radford2019language].

    There is no row for a position beyond `max_len - 1`: the caller keeps the positions below it.
    """
    return table[positions]


def sinusoidal(
    positions: Int[Tensor, " seq"], d_model: int, *, base: float = 10_000.0, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "seq d_model"]:
    """One fixed vector a position, to be added to the token's vector [vaswani2017attention].

    Axes 2i and 2i + 1 hold the sine and the cosine of `position / base ** (2i / d_model)`: the hands of `d_model / 2`
    clocks, each slower than the one before. The result has the `dtype`; the angles are never less precise than float32,
    for in half precision neighbouring positions of a long text get the same one. Raises ValueError if `d_model` is odd.
    """
    if d_model % 2:
        raise ValueError(f"Sinusoids come in pairs, and d_model = {d_model} is odd: choose an even one.")
    angles = rotary_angles(positions, d_model, base=base, dtype=torch.promote_types(dtype, torch.float32))
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).to(dtype)


def relative_buckets(
    distances: Int[Tensor, "*axes"], *, n_buckets: int = 32, max_distance: int = 128, bidirectional: bool = True
) -> Int[Tensor, "*axes"]:
    """The bucket of each distance, key's position minus query's [raffel2020exploring].

    Half of the buckets are for one distance each, the other half for ranges that widen as a logarithm up to
    `max_distance`; all that is farther shares the last one. If `bidirectional`, keys after the query get buckets of
    their own; otherwise they all share bucket 0, where the query itself is. Raises ValueError if there are too few
    buckets for a direction to have two, or if `max_distance` leaves no room for ranges.
    """
    offset = torch.zeros_like(distances)
    if bidirectional:
        n_buckets //= 2
        offset = n_buckets * (distances > 0)
        distances = distances.abs()
    else:
        distances = (-distances).clamp(min=0)
    exact = n_buckets // 2
    if not 1 <= exact < max_distance:
        raise ValueError(
            f"{n_buckets} buckets a direction, {exact} of them for one distance each, do not reach to "
            f"max_distance = {max_distance}: choose at least 2 a direction, and a max_distance above half of them."
        )
    # Distances below `exact` are clamped only to keep the logarithm finite; their own bucket is chosen below.
    octaves = torch.log(distances.clamp(min=exact) / exact) / math.log(max_distance / exact)
    wide = (exact + (octaves * (n_buckets - exact)).long()).clamp(max=n_buckets - 1)
    return offset + torch.where(distances < exact, distances, wide)


def relative_bias(
    table: Float[Tensor, "n_buckets n_heads"], buckets: Int[Tensor, "queries keys"]
) -> Float[Tensor, "n_heads queries keys"]:
    """One learned number a bucket and head, to be added to the scores [raffel2020exploring]."""
    return table[buckets].permute(2, 0, 1)


def alibi_slopes(n_heads: int) -> Float[Tensor, " n_heads"]:
    """How fast each head loses sight of distant keys [press2022train]: 2^(-8/n), 2^(-16/n), ..., 2^(-8) for n heads.

    If n is no power of two, the slopes of the next smaller one come first, then every other slope of the next larger.
    """
    smaller = 2 ** int(math.log2(n_heads))
    slopes = 2.0 ** (-8 * torch.arange(1, smaller + 1) / smaller)
    between = 2.0 ** (-4 * torch.arange(1, 2 * smaller + 1, 2) / smaller)
    return torch.cat((slopes, between[: n_heads - smaller]))


def alibi_bias(
    slopes: Float[Tensor, " n_heads"], query_positions: Int[Tensor, " queries"], key_positions: Int[Tensor, " keys"]
) -> Float[Tensor, "n_heads queries keys"]:
    """Minus the distance times the head's slope, to be added to the scores [press2022train]. Nothing is learned.

    The paper's models only look back. Without a causal mask a distance counts alike in both directions, and a text is
    not told from its mirror image.
    """
    distance = (query_positions[:, None] - key_positions).abs()
    return -slopes[:, None, None] * distance


def rotary_angles(
    positions: Int[Tensor, " seq"],
    d_head: int,
    *,
    base: float = 10_000.0,
    scale: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "seq pairs"]:
    """The angle by which each pair of axes turns at each position, in radians [su2024roformer].

    Pair i turns by `base ** (-2i / d_head)` a position: the first by one radian, the last by a ten-thousandth or so.
    A `scale` of s squeezes the positions by that factor, so that a text s times as long as those of the training stays
    within known angles (position interpolation) [chen2023extending].
    Raises ValueError if `d_head` is odd, for then an axis has no partner.
    """
    if d_head % 2:
        raise ValueError(f"Rotary positions turn pairs of axes, and d_head = {d_head} is odd: choose an even one.")
    frequencies = base ** (-torch.arange(0, d_head, 2, dtype=dtype, device=positions.device) / d_head)
    return positions[:, None].to(dtype) / scale * frequencies


def rotary(
    x: Float[Tensor, "*batch seq d_head"], angles: Float[Tensor, "seq pairs"]
) -> Float[Tensor, "*batch seq d_head"]:
    """Turn the pairs of axes of each query or key by its position's angles [su2024roformer].

    The product of a turned query and a turned key depends on the distance between their positions only.
    Axis i is paired with axis i + d_head/2, as in the weights of Llama; the paper pairs neighbours, which is the same
    up to the order of the axes.
    """
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    turned = torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)
    return turned.to(x.dtype)
