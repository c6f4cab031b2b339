"""Positions: how a model learns in which order its tokens stand. Attention alone cannot tell."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def learned(table: Float[Tensor, "max_len d_model"], positions: Int[Tensor, " seq"]) -> Float[Tensor, "seq d_model"]:
    """One learned vector a position, to be added to the token's vector [radford2019language].

    There is no row for a position beyond `max_len - 1`: the caller keeps the positions below it.
    """
    return table[positions]


def rotary_angles(
    positions: Int[Tensor, " seq"], d_head: int, *, base: float = 10_000.0, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "seq pairs"]:
    """The angle by which each pair of axes turns at each position, in radians [su2024roformer].

    Pair i turns by `base ** (-2i / d_head)` a position: the first by one radian, the last by a ten-thousandth or so.
    Raises ValueError if `d_head` is odd, for then an axis has no partner.
    """
    if d_head % 2:
        raise ValueError(f"Rotary positions turn pairs of axes, and d_head = {d_head} is odd: choose an even one.")
    frequencies = base ** (-torch.arange(0, d_head, 2, dtype=dtype, device=positions.device) / d_head)
    return positions[:, None].to(dtype) * frequencies


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
