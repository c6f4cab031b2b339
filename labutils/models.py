"""Transformers, written out: tokens go in, logits over the vocabulary come out.

Axes: `batch` sequences of `seq` tokens, each a vector of `d_model` numbers, scored against `vocab_size` words.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from labutils.attention import KVCache, MultiHeadAttention, causal_mask
from labutils.positions import learned, rotary, rotary_angles


@dataclass(frozen=True, kw_only=True)
class Config:
    """The size of a model. The defaults are the course's small one, about 0.1 million parameters without the words.

    `max_len` is the context window: the most tokens that the model accepts. `n_kv_heads` (default: `n_heads`) key-value
    heads are shared by the query heads. `position` is "rope" or "learned"; anything else raises ValueError.
    """

    vocab_size: int
    d_model: int = 64
    n_heads: int = 4
    n_layers: int = 2
    max_len: int = 128
    position: str = "rope"
    n_kv_heads: int | None = None

    def __post_init__(self):
        if self.position not in ("rope", "learned"):
            raise ValueError(f'position must be "rope" or "learned", not {self.position!r}.')


class FeedForward(nn.Module):
    """Two linear maps with a GELU between them, applied to each position alone [vaswani2017attention].

    The hidden layer is four times as wide as the model. The GELU is the tanh approximation, as in GPT-2.
    """

    def __init__(self, d_model: int):
        super().__init__()
        self.expand = nn.Linear(d_model, 4 * d_model)
        self.contract = nn.Linear(4 * d_model, d_model)

    def forward(self, x: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch seq d_model"]:
        """Map each position by itself."""
        return self.contract(F.gelu(self.expand(x), approximate="tanh"))


class Block(nn.Module):
    """One layer: attention, then the feed-forward network, each added to what came in.

    The layer norm stands before each of the two, which makes deep stacks trainable [xiong2020layer].
    """

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None):
        super().__init__()
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model, n_heads, n_kv_heads)
        self.ffn_norm = nn.LayerNorm(d_model)
        self.ffn = FeedForward(d_model)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Bool[Tensor, "seq keys"] | None = None,
        *,
        rotate: Callable[[Tensor], Tensor] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Apply the layer. `mask`, `rotate` and `cache` are those of `MultiHeadAttention`."""
        x = x + self.attention(self.attention_norm(x), mask, rotate=rotate, cache=cache)
        return x + self.ffn(self.ffn_norm(x))


class Decoder(nn.Module):
    """The model that predicts the next token: every position sees itself and what came before it.

    With `position="learned"` it is GPT-2 [radford2019language]; the default turns queries and keys by their positions
    instead [su2024roformer]. The output layer is the embedding matrix again.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        if config.position == "learned":
            self.positions = nn.Embedding(config.max_len, config.d_model)
        self.blocks = nn.ModuleList(
            Block(config.d_model, config.n_heads, config.n_kv_heads) for _ in range(config.n_layers)
        )
        self.final_norm = nn.LayerNorm(config.d_model)
        initialise(self, config.n_layers)

    def forward(
        self, tokens: Int[Tensor, "batch seq"], cache: list[KVCache] | None = None
    ) -> Float[Tensor, "batch seq vocab_size"]:
        """Logits: at position i, the scores of the token that comes after `tokens[:, i]`.

        With a cache, `tokens` are the new ones only; they are added to the cache, and the logits are theirs.
        Raises ValueError if the sequence grows longer than the context window.
        """
        return F.linear(self.hidden(tokens, cache), self.embedding.weight)

    def hidden(
        self, tokens: Int[Tensor, "batch seq"], cache: list[KVCache] | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """The vectors from which the logits are made: the last layer's, after the last norm."""
        seq, start = tokens.shape[1], cache[0].length if cache else 0
        if start + seq > self.config.max_len:
            raise ValueError(
                f"The context window holds {self.config.max_len} tokens, and {start + seq} were given: "
                "shorten the text, or build the model with a larger max_len."
            )
        positions = torch.arange(start, start + seq, device=tokens.device)
        x, rotate = self.embedding(tokens), None
        if self.config.position == "learned":
            x = x + learned(self.positions.weight, positions)
        else:
            # At least float32: in half precision, neighbouring positions of a long text get the same angle.
            dtype = torch.promote_types(x.dtype, torch.float32)
            angles = rotary_angles(positions, self.config.d_model // self.config.n_heads, dtype=dtype)
            rotate = partial(rotary, angles=angles)
        mask = causal_mask(seq, start + seq, device=tokens.device)
        for i, block in enumerate(self.blocks):
            x = block(x, mask, rotate=rotate, cache=cache[i] if cache else None)
        return self.final_norm(x)

    def empty_cache(self, batch: int) -> list[KVCache]:
        """A cache for each layer, with room for `max_len` tokens of `batch` sequences."""
        config, weight = self.config, self.embedding.weight
        shape = (batch, config.n_kv_heads or config.n_heads, config.max_len, config.d_model // config.n_heads)
        return [KVCache(weight.new_zeros(shape), weight.new_zeros(shape)) for _ in self.blocks]


def initialise(model: nn.Module, n_layers: int) -> None:
    """Draw the weights as GPT-2 does [radford2019language]: N(0, 0.02²), biases 0.

    The two matrices of a layer that write into the residual stream are smaller by √(2 n_layers), so that the stream's
    variance does not grow with depth.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            writes = name.endswith(("attention.output.weight", "ffn.contract.weight"))
            nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * n_layers) if writes else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
