"""Transformers, written out: tokens go in, logits over the vocabulary come out.

Axes: `batch` sequences of `seq` tokens, each a vector of `d_model` numbers, scored against `vocab_size` words.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from labutils.attention import KVCache, MultiHeadAttention, causal_mask
from labutils.positions import (
    alibi_bias,
    alibi_slopes,
    learned,
    relative_bias,
    relative_buckets,
    rotary,
    rotary_angles,
    sinusoidal,
)

POSITIONS = ("rope", "learned", "sinusoidal", "relative", "alibi", "none")
NORMS = ("pre", "post")
STD = 0.02  # of the weights at the start


@dataclass(frozen=True, kw_only=True)
class Config:
    """The size of a model. The defaults are the course's small one, about 0.1 million parameters without the words.

    `max_len` is the context window: the most tokens that the model accepts. `n_kv_heads` (default: `n_heads`) key-value
    heads are shared by the query heads. `position` says how the model learns the order of its tokens, one of POSITIONS;
    `norm` whether the layer norm stands before each part of a layer or after it, one of NORMS. Raises ValueError for
    another word.
    """

    vocab_size: int
    d_model: int = 64
    n_heads: int = 4
    n_layers: int = 2
    max_len: int = 128
    position: str = "rope"
    norm: str = "pre"
    n_kv_heads: int | None = None

    def __post_init__(self):
        for name, value, allowed in (("position", self.position, POSITIONS), ("norm", self.norm, NORMS)):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}; it is {value!r}.")


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

    With `norm="pre"` a layer norm stands before each of the two, which makes deep stacks trainable [xiong2020layer];
    with "post" it comes after each sum, as in the original [vaswani2017attention].
    """

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None, norm: str = "pre"):
        super().__init__()
        self.norm = norm
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model, n_heads, n_kv_heads)
        self.ffn_norm = nn.LayerNorm(d_model)
        self.ffn = FeedForward(d_model)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Bool[Tensor, "#seq keys"] | Bool[Tensor, "#batch #seq keys"] | None = None,
        *,
        rotate: Callable[[Tensor], Tensor] | None = None,
        bias: Float[Tensor, "n_heads #seq keys"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Apply the layer. `mask`, `rotate`, `bias` and `cache` are those of `MultiHeadAttention`."""
        if self.norm == "post":
            x = self.attention_norm(x + self.attention(x, mask, rotate=rotate, bias=bias, cache=cache))
            return self.ffn_norm(x + self.ffn(x))
        x = x + self.attention(self.attention_norm(x), mask, rotate=rotate, bias=bias, cache=cache)
        return x + self.ffn(self.ffn_norm(x))

    def attention_weights(
        self,
        x: Float[Tensor, "batch seq d_model"],
        mask: Bool[Tensor, "#seq keys"] | Bool[Tensor, "#batch #seq keys"] | None = None,
        *,
        rotate: Callable[[Tensor], Tensor] | None = None,
        bias: Float[Tensor, "n_heads #seq keys"] | None = None,
    ) -> Float[Tensor, "batch n_heads seq keys"]:
        """How much each position takes from each other one in this layer, by head."""
        x = x if self.norm == "post" else self.attention_norm(x)
        return self.attention.weights(x, mask, rotate=rotate, bias=bias)


class Positions(nn.Module):
    """What a model does to know the order of its tokens, as `labutils.positions` computes it.

    The weights, where there are any, are a vector for each position ("learned") or a number for each range of distances
    and head ("relative"). If `bidirectional`, a distance has a direction; a decoder only looks back.
    """

    N_BUCKETS = 32
    weight: nn.Parameter  # None for positions that are not learned

    def __init__(self, config: Config, *, bidirectional: bool):
        super().__init__()
        self.config, self.bidirectional = config, bidirectional
        shapes = {"learned": (config.max_len, config.d_model), "relative": (self.N_BUCKETS, config.n_heads)}
        shape = shapes.get(config.position)
        self.register_parameter("weight", None if shape is None else nn.Parameter(torch.empty(shape)))

    def add(
        self, x: Float[Tensor, "batch seq d_model"], positions: Int[Tensor, " seq"]
    ) -> Float[Tensor, "batch seq d_model"]:
        """Add a vector for each position, if the model has such."""
        if self.config.position == "learned":
            return x + learned(self.weight, positions)
        if self.config.position == "sinusoidal":
            # Words of unit variance, which is what √d_model does to the paper's initial ones [vaswani2017attention].
            # As small as they start here they would drown in the sinusoids.
            return x / STD + sinusoidal(positions, self.config.d_model, dtype=x.dtype)
        return x

    def rotation(self, positions: Int[Tensor, " seq"], dtype: torch.dtype) -> Callable[[Tensor], Tensor] | None:
        """The turn of queries and keys, if the model has rotary positions."""
        if self.config.position != "rope":
            return None
        # At least float32: in half precision, neighbouring positions of a long text get the same angle.
        dtype = torch.promote_types(dtype, torch.float32)
        return partial(rotary, angles=rotary_angles(positions, self.config.d_model // self.config.n_heads, dtype=dtype))

    def bias(
        self, queries: Int[Tensor, " queries"], keys: Int[Tensor, " keys"], dtype: torch.dtype
    ) -> Float[Tensor, "n_heads queries keys"] | None:
        """What is added to the scores of queries and keys at these positions, if the model has such."""
        if self.config.position == "relative":
            distances = keys - queries[:, None]
            buckets = relative_buckets(distances, n_buckets=self.N_BUCKETS, bidirectional=self.bidirectional)
            return relative_bias(self.weight, buckets)
        if self.config.position == "alibi":
            slopes = alibi_slopes(self.config.n_heads).to(queries.device, dtype)
            return alibi_bias(slopes, queries, keys)
        return None


class Decoder(nn.Module):
    """The model that predicts the next token: every position sees itself and what came before it.

    With `position="learned"` it is GPT-2 [radford2019language]; the default turns queries and keys by their positions
    instead [su2024roformer]. The output layer is the embedding matrix again.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = Positions(config, bidirectional=False)
        # With the norm after each part, the last layer's output is normal already, and the first one's input is not.
        self.embedding_norm = nn.LayerNorm(config.d_model) if config.norm == "post" else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(config.d_model, config.n_heads, config.n_kv_heads, config.norm) for _ in range(config.n_layers)
        )
        self.final_norm = nn.LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()
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
        x, mask, rotate, bias = self._inputs(tokens, cache[0].length if cache else 0)
        for i, block in enumerate(self.blocks):
            x = block(x, mask, rotate=rotate, bias=bias, cache=cache[i] if cache else None)
        return self.final_norm(x)

    def attention_weights(self, tokens: Int[Tensor, "batch seq"]) -> list[Float[Tensor, "batch n_heads seq seq"]]:
        """How much each position takes from each other one: one tensor a layer."""
        x, mask, rotate, bias = self._inputs(tokens)
        weights = []
        for block in cast(list[Block], self.blocks):
            weights.append(block.attention_weights(x, mask, rotate=rotate, bias=bias))
            x = block(x, mask, rotate=rotate, bias=bias)
        return weights

    def empty_cache(self, batch: int) -> list[KVCache]:
        """A cache for each layer, with room for `max_len` tokens of `batch` sequences."""
        config, weight = self.config, self.embedding.weight
        shape = (batch, config.n_kv_heads or config.n_heads, config.max_len, config.d_model // config.n_heads)
        return [KVCache(weight.new_zeros(shape), weight.new_zeros(shape)) for _ in self.blocks]

    def _inputs(self, tokens: Tensor, start: int = 0):
        """What the first layer gets, and what all layers get, for tokens that stand at `start` and after."""
        stop = start + tokens.shape[1]
        check_length(stop, self.config.max_len)
        keys = torch.arange(stop, device=tokens.device)
        queries, dtype = keys[start:], self.embedding.weight.dtype
        x = self.embedding_norm(self.positions.add(self.embedding(tokens), queries))
        mask = causal_mask(stop - start, stop, device=tokens.device)
        return x, mask, self.positions.rotation(queries, dtype), self.positions.bias(queries, keys, dtype)


class Encoder(nn.Module):
    """The model that reads a whole text: every position sees every other one, before it and after it.

    With `position="learned"` and `norm="post"` it is BERT [devlin2019bert]. The output layer is the embedding matrix
    again: at each position, a score for each token that could stand there.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = Positions(config, bidirectional=True)
        self.embedding_norm = nn.LayerNorm(config.d_model) if config.norm == "post" else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(config.d_model, config.n_heads, config.n_kv_heads, config.norm) for _ in range(config.n_layers)
        )
        self.final_norm = nn.LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()
        initialise(self, config.n_layers)

    def forward(
        self, tokens: Int[Tensor, "batch seq"], visible: Bool[Tensor, "batch seq"] | None = None
    ) -> Float[Tensor, "batch seq vocab_size"]:
        """Logits: at position i, the scores of the tokens that could stand at position i.

        `visible` is False where a token is padding, at which no other one looks.
        Raises ValueError if the sequence is longer than the context window.
        """
        return F.linear(self.hidden(tokens, visible), self.embedding.weight)

    def hidden(
        self, tokens: Int[Tensor, "batch seq"], visible: Bool[Tensor, "batch seq"] | None = None
    ) -> Float[Tensor, "batch seq d_model"]:
        """The vectors from which the logits are made: the last layer's, after the last norm."""
        x, mask, rotate, bias = self._inputs(tokens, visible)
        for block in self.blocks:
            x = block(x, mask, rotate=rotate, bias=bias)
        return self.final_norm(x)

    def attention_weights(
        self, tokens: Int[Tensor, "batch seq"], visible: Bool[Tensor, "batch seq"] | None = None
    ) -> list[Float[Tensor, "batch n_heads seq seq"]]:
        """How much each position takes from each other one: one tensor a layer."""
        x, mask, rotate, bias = self._inputs(tokens, visible)
        weights = []
        for block in cast(list[Block], self.blocks):
            weights.append(block.attention_weights(x, mask, rotate=rotate, bias=bias))
            x = block(x, mask, rotate=rotate, bias=bias)
        return weights

    def _inputs(self, tokens: Tensor, visible: Tensor | None):
        """What the first layer gets, and what all layers get."""
        check_length(tokens.shape[1], self.config.max_len)
        positions, dtype = torch.arange(tokens.shape[1], device=tokens.device), self.embedding.weight.dtype
        x = self.embedding_norm(self.positions.add(self.embedding(tokens), positions))
        mask = None if visible is None else visible.unsqueeze(1)
        return x, mask, self.positions.rotation(positions, dtype), self.positions.bias(positions, positions, dtype)


class CrossBlock(nn.Module):
    """A layer of a decoder that also reads another text: a `Block` with cross-attention between its two parts.

    The queries of the cross-attention come from the decoder, the keys and values from what the encoder made of the
    other text [vaswani2017attention].
    """

    def __init__(self, d_model: int, n_heads: int, n_kv_heads: int | None = None, norm: str = "pre"):
        super().__init__()
        self.norm = norm
        self.attention_norm = nn.LayerNorm(d_model)
        self.attention = MultiHeadAttention(d_model, n_heads, n_kv_heads)
        self.cross_attention_norm = nn.LayerNorm(d_model)
        self.cross_attention = MultiHeadAttention(d_model, n_heads, n_kv_heads)
        self.ffn_norm = nn.LayerNorm(d_model)
        self.ffn = FeedForward(d_model)

    def forward(
        self,
        x: Float[Tensor, "batch seq d_model"],
        context: Float[Tensor, "batch context d_model"],
        mask: Bool[Tensor, "seq seq"],
        context_mask: Bool[Tensor, "batch 1 context"] | None = None,
        *,
        rotate: Callable[[Tensor], Tensor] | None = None,
        bias: Float[Tensor, "n_heads seq seq"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """Apply the layer. `mask` says where `x` may look within itself, `context_mask` where in the context."""
        if self.norm == "post":
            x = self.attention_norm(x + self.attention(x, mask, rotate=rotate, bias=bias))
            x = self.cross_attention_norm(x + self.cross_attention(x, context_mask, context=context))
            return self.ffn_norm(x + self.ffn(x))
        x = x + self.attention(self.attention_norm(x), mask, rotate=rotate, bias=bias)
        x = x + self.cross_attention(self.cross_attention_norm(x), context_mask, context=context)
        return x + self.ffn(self.ffn_norm(x))


class EncoderDecoder(nn.Module):
    """The model that reads one text and writes another: an encoder, and a decoder that looks at what it made.

    With `position="learned"` and `norm="post"` it is BART [lewis2020bart]. Both halves have `n_layers` layers and share
    the embedding matrix, which is the output layer too.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.positions = Positions(config, bidirectional=False)
        self.embedding_norm = nn.LayerNorm(config.d_model) if config.norm == "post" else nn.Identity()
        self.blocks = nn.ModuleList(
            CrossBlock(config.d_model, config.n_heads, config.n_kv_heads, config.norm) for _ in range(config.n_layers)
        )
        self.final_norm = nn.LayerNorm(config.d_model) if config.norm == "pre" else nn.Identity()
        initialise(self, config.n_layers)

    def forward(
        self,
        source: Int[Tensor, "batch source"],
        target: Int[Tensor, "batch seq"],
        visible: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch seq vocab_size"]:
        """Logits: at position i, the scores of the token that comes after `target[:, i]`, given all of the source.

        `visible` is False where the source is padding. Raises ValueError if a text is longer than the context window.
        """
        return F.linear(self.hidden(source, target, visible), self.encoder.embedding.weight)

    def hidden(
        self,
        source: Int[Tensor, "batch source"],
        target: Int[Tensor, "batch seq"],
        visible: Bool[Tensor, "batch source"] | None = None,
    ) -> Float[Tensor, "batch seq d_model"]:
        """The vectors from which the logits are made: the last layer's, after the last norm."""
        context = self.encoder.hidden(source, visible)
        check_length(target.shape[1], self.config.max_len)
        positions, dtype = torch.arange(target.shape[1], device=target.device), context.dtype
        x = self.embedding_norm(self.positions.add(self.encoder.embedding(target), positions))
        mask = causal_mask(target.shape[1], device=target.device)
        context_mask = None if visible is None else visible.unsqueeze(1)
        rotate, bias = self.positions.rotation(positions, dtype), self.positions.bias(positions, positions, dtype)
        for block in self.blocks:
            x = block(x, context, mask, context_mask, rotate=rotate, bias=bias)
        return self.final_norm(x)


def check_length(seq: int, max_len: int) -> None:
    """Raise ValueError if a sequence is longer than the context window."""
    if seq > max_len:
        raise ValueError(
            f"The context window holds {max_len} tokens, and {seq} were given: "
            "shorten the text, or build the model with a larger max_len."
        )


def initialise(model: nn.Module, n_layers: int) -> None:
    """Draw the weights as GPT-2 does [radford2019language]: N(0, STD²), biases 0.

    The two matrices of a layer that write into the residual stream are smaller by √(2 n_layers), so that the stream's
    variance does not grow with depth.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            writes = name.endswith(("attention.output.weight", "ffn.contract.weight"))
            nn.init.normal_(parameter, std=STD / math.sqrt(2 * n_layers) if writes else STD)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
