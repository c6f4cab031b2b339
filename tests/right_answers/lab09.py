"""Right answers of other kinds to the exercises of lab 09."""

import math
from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRMSNorm, LlamaRotaryEmbedding, apply_rotary_pos_emb

from labutils.models import Block


def sinusoids_one_by_one(n_positions, d_model, base):
    table = torch.zeros(n_positions, d_model)
    for p in range(n_positions):
        for i in range(d_model // 2):
            angle = p / base ** (2 * i / d_model)
            table[p, 2 * i], table[p, 2 * i + 1] = math.sin(angle), math.cos(angle)
    return table


def sinusoids_by_slices(n_positions, d_model, base):
    """The form of most programs: frequencies by way of the exponential, and two assignments to slices."""
    table = torch.zeros(n_positions, d_model)
    position = torch.arange(n_positions).unsqueeze(1)
    frequency = torch.exp(torch.arange(0, d_model, 2).float() * (-math.log(base) / d_model))
    table[:, 0::2] = torch.sin(position * frequency)
    table[:, 1::2] = torch.cos(position * frequency)
    return table


def sinusoids_by_turning(n_positions, d_model, base):
    """Each row is the row before, turned once, in complex numbers."""
    frequency = base ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    hand, rows = torch.ones(d_model // 2, dtype=torch.complex128), []
    for _ in range(n_positions):
        rows.append(torch.stack((hand.imag, hand.real), dim=-1).flatten())
        hand = hand * torch.exp(1j * frequency)
    return torch.stack(rows)


def distances_one_by_one(table, n_queries, n_keys):
    m = table.shape[1] // 2
    bias = torch.empty(table.shape[0], n_queries, n_keys, dtype=table.dtype)
    for i in range(n_queries):
        for j in range(n_keys):
            distance = j - (n_keys - n_queries + i)
            bias[:, i, j] = table[:, min(max(distance, -m), m) + m]
    return bias


def distances_by_unfolding(table, n_queries, n_keys):
    """One long row of numbers by distance, its ends repeated; each query reads it from another place."""
    m = table.shape[1] // 2
    by_distance = torch.cat((table[:, :1].expand(-1, n_keys), table, table[:, -1:].expand(-1, n_keys)), dim=1)
    windows = by_distance.unfold(1, n_keys, 1)  # window w starts at the distance w - n_keys - m
    starts = n_keys + m - torch.arange(n_keys - n_queries, n_keys)
    return windows[:, starts]


def distances_as_in_t5(table, n_queries, n_keys):
    m = table.shape[1] // 2
    positions = torch.arange(n_keys)
    relative = (positions[None, :] - positions[:, None])[-n_queries:].clip(-m, m) + m
    return nn.functional.embedding(relative, table.T).permute(2, 0, 1)


def turned_as_complex_numbers(x, base):
    seq, d_head = x.shape[-2:]
    numbers = torch.complex(x[..., : d_head // 2].double(), x[..., d_head // 2 :].double())
    frequency = base ** (-torch.arange(0, d_head, 2, dtype=torch.float64) / d_head)
    angle = torch.outer(torch.arange(seq).double(), frequency)
    turned = numbers * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((turned.real, turned.imag), dim=-1).to(x.dtype)


def turned_by_matrices(x, base):
    """A d_head x d_head rotation for each position."""
    d_head = x.shape[-1]
    result = torch.empty_like(x)
    for p in range(x.shape[-2]):
        matrix = torch.zeros(d_head, d_head, dtype=x.dtype)
        for i in range(d_head // 2):
            angle, j = p * base ** (-2 * i / d_head), i + d_head // 2
            matrix[i, i] = matrix[j, j] = math.cos(angle)
            matrix[j, i], matrix[i, j] = math.sin(angle), -math.sin(angle)
        result[..., p, :] = x[..., p, :] @ matrix.T
    return result


def turned_as_in_llama(x, base):
    seq, d_head = x.shape[-2:]
    config = LlamaConfig(
        hidden_size=d_head,
        num_attention_heads=1,
        head_dim=d_head,
        rope_parameters={"rope_type": "default", "rope_theta": base},
    )
    cos, sin = LlamaRotaryEmbedding(config)(x, torch.arange(seq)[None])
    flat = x.reshape(1, -1, seq, d_head)
    return apply_rotary_pos_emb(flat, flat, cos, sin)[0].reshape(x.shape)


def block_in_one_line(x, attention, ffn, attention_norm, ffn_norm):
    return (h := attention(attention_norm(x)) + x) + ffn(ffn_norm(h))


def block_in_a_loop(x, attention, ffn, attention_norm, ffn_norm):
    stream = x.clone()
    for part, norm in ((attention, attention_norm), (ffn, ffn_norm)):
        stream += part(norm(stream))
    return stream


class _Part(nn.Module):
    """A function as a module, which ignores what else a block passes on."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, *_args, **_options):
        return self.function(x)


def block_of_the_library(x, attention, ffn, attention_norm, ffn_norm):
    block: Any = Block(2, 1)
    block.attention, block.ffn = _Part(attention), _Part(ffn)
    block.attention_norm, block.ffn_norm = _Part(attention_norm), _Part(ffn_norm)
    return block(x if x.ndim == 3 else x.reshape(-1, *x.shape[-2:])).reshape(x.shape)


def layer_norm_vector_by_vector(x, gain, bias, epsilon):
    rows = x.reshape(-1, x.shape[-1])
    result = torch.empty_like(rows)
    for row, out in zip(rows.tolist(), result, strict=True):
        mean = sum(row) / len(row)
        variance = sum((number - mean) ** 2 for number in row) / len(row)
        standard = torch.tensor([(number - mean) / math.sqrt(variance + epsilon) for number in row], dtype=x.dtype)
        out[:] = standard * gain + bias
    return result.reshape(x.shape)


def layer_norm_by_var(x, gain, bias, epsilon):
    variance, mean = torch.var_mean(x, dim=-1, unbiased=False, keepdim=True)
    return torch.addcmul(bias, (x - mean) * torch.rsqrt(variance + epsilon), gain)


def layer_norm_by_moments(x, gain, bias, epsilon):
    """The variance as the mean square minus the squared mean."""
    mean = torch.einsum("...d->...", x)[..., None] / x.shape[-1]
    variance = torch.einsum("...d,...d->...", x, x)[..., None] / x.shape[-1] - mean**2
    return gain * (x - mean) / torch.sqrt(variance + epsilon) + bias


def rms_norm_by_length(x, gain, epsilon):
    d = x.shape[-1]
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * gain * math.sqrt(d) / torch.sqrt(length**2 + d * epsilon)


def rms_norm_vector_by_vector(x, gain, epsilon):
    rows = x.reshape(-1, x.shape[-1])
    divisors = [math.sqrt(sum(number * number for number in row) / len(row) + epsilon) for row in rows.tolist()]
    return (rows / torch.tensor(divisors, dtype=x.dtype)[:, None] * gain).reshape(x.shape)


def rms_norm_of_llama(x, gain, epsilon):
    norm = LlamaRMSNorm(x.shape[-1], eps=epsilon)
    norm.weight = nn.Parameter(gain)
    return norm(x).detach()


RIGHT = {
    "sinusoidal_positions": (sinusoids_one_by_one, sinusoids_by_slices, sinusoids_by_turning),
    "distance_bias": (distances_one_by_one, distances_by_unfolding, distances_as_in_t5),
    "rotate_by_position": (turned_as_complex_numbers, turned_by_matrices, turned_as_in_llama),
    "pre_norm_block": (block_in_one_line, block_in_a_loop, block_of_the_library),
    "layer_norm": (layer_norm_vector_by_vector, layer_norm_by_var, layer_norm_by_moments),
    "rms_norm": (rms_norm_by_length, rms_norm_vector_by_vector, rms_norm_of_llama),
}
