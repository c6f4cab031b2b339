"""The exercises of lab 09, order and depth: three kinds of positions, a block, and two norms."""

import torch
from torch import Tensor

from labutils import positions
from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import normal, two_digits


def _readable(generator: torch.Generator, *shape: int) -> Tensor:
    """Small whole numbers, not 0."""
    return torch.randint(1, 6, shape, generator=generator) * (1.0 - 2 * torch.randint(2, shape, generator=generator))


# --- sinusoidal_positions --------------------------------------------------------------------------------------------


def _sinusoidal_inputs(generator: torch.Generator, case: int) -> dict:
    n_positions, d_model = ((2, 4), (1, 6), (3, 2), (5, 4), (7, 6), (13, 8), (29, 16))[case]
    base = 10_000.0 - 10 * case if case > 4 else two_digits(generator, 20.0, 400.0)
    return {"n_positions": n_positions, "d_model": d_model, "base": base + two_digits(generator, 0.0, 9.0)}


def _sinusoidal(n_positions: int, d_model: int, base: float) -> Tensor:
    return positions.sinusoidal(torch.arange(n_positions), d_model, base=base)


def _clocks(n_positions: int, exponents: Tensor, base: float, first: int = 0) -> tuple[Tensor, Tensor]:
    """Sines and cosines of position · base^(-exponent)."""
    angles = torch.arange(first, first + n_positions)[:, None] * base**-exponents
    return angles.sin(), angles.cos()


def _alternating(sines: Tensor, cosines: Tensor) -> Tensor:
    return torch.stack((sines, cosines), dim=-1).flatten(-2)


def _even_axes(d_model: int) -> Tensor:
    """The exponents 2i / d_model."""
    return torch.arange(0, d_model, 2) / d_model


def _frequency_for_each_axis(n_positions: int, d_model: int, base: float) -> Tensor:
    sines, cosines = _clocks(n_positions, torch.arange(d_model) / d_model, base)
    return torch.where(torch.arange(d_model) % 2 == 0, sines, cosines)


SINUSOIDAL_POSITIONS = Exercise(
    name="sinusoidal_positions",
    lab="09",
    task=(
        "Return the sinusoidal vectors of the positions 0 to n_positions − 1, with the shape [n_positions, d_model]. "
        "Axis 2i holds sin(p · ω) and axis 2i + 1 holds cos(p · ω), where p is the position and "
        "ω = base ** (−2i / d_model). `d_model` is even."
    ),
    points=2,
    minutes=15,
    difficulty=2,
    inputs=_sinusoidal_inputs,
    reference=_sinusoidal,
    cases=7,
    atol=2e-4,  # float32 angles, however they are computed
    hints=(
        "There are d_model / 2 frequencies; `torch.arange(0, d_model, 2)` holds the numbers 2i.",
        "A column of positions times a row of frequencies is the table of all angles: "
        "`torch.arange(n_positions)[:, None] * frequencies`.",
        "Sines and cosines alternate: `torch.stack((sines, cosines), dim=-1).flatten(-2)`.",
    ),
    forbidden=("labutils.positions.sinusoidal", "labutils.positions.rotary_angles"),
    mutants=(
        Mutant(
            name="halves instead of alternating axes",
            function=lambda n_positions, d_model, base: torch.cat(
                _clocks(n_positions, _even_axes(d_model), base), dim=-1
            ),
            message="You put all sines first and all cosines after them; they alternate, axis by axis.",
        ),
        Mutant(
            name="cosine first",
            function=lambda n_positions, d_model, base: _alternating(
                *reversed(_clocks(n_positions, _even_axes(d_model), base))
            ),
            message="You put the cosine on the even axes; there stands the sine, which is 0 at position 0.",
        ),
        Mutant(
            name="exponent i instead of 2i",
            function=lambda n_positions, d_model, base: _alternating(
                *_clocks(n_positions, _even_axes(d_model) / 2, base)
            ),
            message="Your exponent is i / d_model for the pair i; it is 2i / d_model, so that it comes close to 1.",
        ),
        Mutant(
            name="exponent 4i instead of 2i",
            function=lambda n_positions, d_model, base: _alternating(
                *_clocks(n_positions, _even_axes(d_model) * 2, base)
            ),
            message="Your exponent is 4i / d_model; if you step through the even axes, the axis is already the 2i.",
        ),
        Mutant(
            name="a frequency for each axis",
            function=_frequency_for_each_axis,
            message="You give each axis a frequency of its own; a sine and the cosine after it share one.",
        ),
        Mutant(
            name="reaches the base itself",
            function=lambda n_positions, d_model, base: _alternating(
                *_clocks(n_positions, torch.linspace(0, 1, d_model // 2), base)
            ),
            message="Your last exponent is 1; with 2i / d_model the exponents stay below 1.",
        ),
        Mutant(
            name="grows instead of falling",
            function=lambda n_positions, d_model, base: _alternating(*_clocks(n_positions, -_even_axes(d_model), base)),
            message="Your clocks get faster from pair to pair; the exponent has a minus, so that they get slower.",
        ),
        Mutant(
            name="starts at position 1",
            function=lambda n_positions, d_model, base: _alternating(
                *_clocks(n_positions, _even_axes(d_model), base, first=1)
            ),
            message="Your first position is 1; it is 0, where all sines are 0 and all cosines 1.",
        ),
        Mutant(
            name="sines alone",
            function=lambda n_positions, d_model, base: _alternating(
                *[_clocks(n_positions, _even_axes(d_model), base)[0]] * 2
            ),
            message="You use the sine on all axes; the odd axes hold the cosine of the same angle.",
        ),
        Mutant(
            name="one frequency",
            function=lambda n_positions, d_model, base: _alternating(
                *_clocks(n_positions, torch.zeros(d_model // 2), base)
            ),
            message="All your clocks run at the same speed; the pair i has the frequency base ** (−2i / d_model).",
        ),
        Mutant(
            name="axes exchanged",
            function=lambda n_positions, d_model, base: _sinusoidal(n_positions, d_model, base).mT,
            message="Your table has one column a position; it needs one row a position, [n_positions, d_model].",
        ),
    ),
)


# --- distance_bias ---------------------------------------------------------------------------------------------------


def _distance_inputs(generator: torch.Generator, case: int) -> dict:
    n_heads, farthest, n_queries, n_keys = (
        (1, 1, 3, 3),
        (2, 2, 1, 1),
        (1, 2, 2, 5),
        (3, 2, 1, 7),
        (2, 4, 5, 5),
        (3, 1, 6, 8),
        (4, 3, 10, 12),
    )[case]
    shape = (n_heads, 2 * farthest + 1)
    # Permuted whole numbers can be told apart at a glance.
    table = torch.randperm(shape[0] * shape[1], generator=generator).view(shape) + 1.0
    table = table if case < 3 else normal(generator, *shape, dtype=(torch.float32, torch.float64)[case % 2])
    return {"table": table, "n_queries": n_queries, "n_keys": n_keys}


def _distances(n_queries: int, n_keys: int) -> Tensor:
    """Key's position minus query's; the queries are the last ones."""
    keys = torch.arange(n_keys)
    return keys - keys[n_keys - n_queries :, None]


def _look_up(table: Tensor, distances: Tensor) -> Tensor:
    farthest = table.shape[1] // 2
    return table[:, distances.clamp(-farthest, farthest) + farthest]


def _distance_bias(table: Tensor, n_queries: int, n_keys: int) -> Tensor:
    return _look_up(table, _distances(n_queries, n_keys))


def _wraps_around(table: Tensor, n_queries: int, n_keys: int) -> Tensor:
    return table[:, (_distances(n_queries, n_keys) + table.shape[1] // 2) % table.shape[1]]


def _forgets_the_offset(table: Tensor, n_queries: int, n_keys: int) -> Tensor:
    farthest = table.shape[1] // 2
    return table[:, _distances(n_queries, n_keys).clamp(-farthest, farthest)]


def _clips_one_too_early(table: Tensor, n_queries: int, n_keys: int) -> Tensor:
    farthest = table.shape[1] // 2
    return _look_up(table, _distances(n_queries, n_keys).clamp(1 - farthest, farthest - 1))


def _zero_beyond(table: Tensor, n_queries: int, n_keys: int) -> Tensor:
    distances = _distances(n_queries, n_keys)
    return _look_up(table, distances) * (distances.abs() <= table.shape[1] // 2)


def _zero_in_the_future(table: Tensor, n_queries: int, n_keys: int) -> Tensor:
    distances = _distances(n_queries, n_keys)
    return _look_up(table, distances) * (distances <= 0)


DISTANCE_BIAS = Exercise(
    name="distance_bias",
    lab="09",
    task=(
        "Return the bias of the scores, with the shape [n_heads, n_queries, n_keys]. `table` has the shape "
        "[n_heads, 2m + 1]: for each head, one number for each distance from −m to m. A distance is the key's position "
        "minus the query's; beyond −m and m it counts as −m and m. The queries are the last n_queries of the n_keys "
        "positions."
    ),
    points=3,
    minutes=20,
    difficulty=3,
    inputs=_distance_inputs,
    reference=_distance_bias,
    cases=7,
    hints=(
        "Make the table of distances first: a row of key positions minus a column of query positions.",
        "With fewer queries than keys, the first query stands at position n_keys − n_queries.",
        "Clip with `clamp(-m, m)`; the number of the distance −m is in column 0, so add m to get a column of `table`.",
    ),
    forbidden=("labutils.positions.relative_bias", "labutils.positions.relative_buckets"),
    mutants=(
        Mutant(
            name="sign of the distance",
            function=lambda table, n_queries, n_keys: _look_up(table, -_distances(n_queries, n_keys)),
            message="Your distances have the wrong sign; a distance is the key's position minus the query's.",
        ),
        Mutant(
            name="queries at the start",
            function=lambda table, n_queries, n_keys: _look_up(
                table, torch.arange(n_keys) - torch.arange(n_queries)[:, None]
            ),
            message="You let the queries start at position 0; they are the LAST n_queries of the n_keys positions.",
        ),
        Mutant(
            name="wraps around",
            function=_wraps_around,
            message="You let far distances wrap around to the other end of the table; clip them with clamp.",
        ),
        Mutant(
            name="zero beyond the table",
            function=_zero_beyond,
            message="You give distances beyond m no bias; they share the number of the distance m or −m.",
        ),
        Mutant(
            name="zero in the future",
            function=_zero_in_the_future,
            message="You give later keys no bias; hiding them is the mask's task, and half of the table is for them.",
        ),
        Mutant(
            name="direction ignored",
            function=lambda table, n_queries, n_keys: _look_up(table, _distances(n_queries, n_keys).abs()),
            message="You ignore the direction; a key before the query and one after it have numbers of their own.",
        ),
        Mutant(
            name="offset forgotten",
            function=_forgets_the_offset,
            message="You use the distance itself as the column; the column of distance −m is 0, so add m.",
        ),
        Mutant(
            name="clips one too early",
            function=_clips_one_too_early,
            message="You clip to m − 1, and the ends of the table are never used; clip to m.",
        ),
        Mutant(
            name="one head for all",
            function=lambda table, n_queries, n_keys: _distance_bias(table[:1].expand(table.shape), n_queries, n_keys),
            message="You use the first head's numbers for all heads; each head has a row of its own in the table.",
        ),
        Mutant(
            name="heads last",
            function=lambda table, n_queries, n_keys: _distance_bias(table, n_queries, n_keys).permute(1, 2, 0),
            message="Your heads are on the last axis; scores have the shape [n_heads, n_queries, n_keys].",
        ),
        Mutant(
            name="keys as rows",
            function=lambda table, n_queries, n_keys: _distance_bias(table, n_queries, n_keys).mT,
            message="Your rows are keys and your columns queries; in scores it is the other way round.",
        ),
    ),
)


# --- rotate_by_position ----------------------------------------------------------------------------------------------


def _rotate_inputs(generator: torch.Generator, case: int) -> dict:
    shapes = ((2, 2), (1, 4), (3, 4), (4, 6), (2, 5, 4), (3, 2, 7, 8), (2, 19, 6))
    x = _readable(generator, *shapes[case]) if case < 3 else normal(generator, *shapes[case])
    x = x.double() if case in (3, 5) else x
    return {"x": x, "base": two_digits(generator, 20.0, 400.0) if case < 5 else 10_000.0}


def _angles(x: Tensor, base: float, first: int = 0, power: float = 1.0) -> Tensor:
    seq, d_head = x.shape[-2:]
    frequencies = base ** (-power * torch.arange(0, d_head, 2, dtype=x.dtype) / d_head)
    return torch.arange(first, first + seq, dtype=x.dtype)[:, None] * frequencies


def _turn(x: Tensor, angles: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), dim=-1)


def _rotate(x: Tensor, base: float) -> Tensor:
    seq, d_head = x.shape[-2:]
    return positions.rotary(x, positions.rotary_angles(torch.arange(seq), d_head, base=base, dtype=x.dtype))


def _turns_neighbours(x: Tensor, base: float) -> Tensor:
    angles, (a, b) = _angles(x, base), (x[..., 0::2], x[..., 1::2])
    turned = torch.stack((a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), dim=-1)
    return turned.flatten(-2)


def _uses_the_new_a(x: Tensor, base: float) -> Tensor:
    angles, (a, b) = _angles(x, base), x.chunk(2, dim=-1)
    a = a * angles.cos() - b * angles.sin()
    return torch.cat((a, a * angles.sin() + b * angles.cos()), dim=-1)


def _reflects(x: Tensor, base: float) -> Tensor:
    angles, (a, b) = _angles(x, base), x.chunk(2, dim=-1)
    return torch.cat((a * angles.cos() - b * angles.sin(), a * angles.sin() - b * angles.cos()), dim=-1)


def _swaps_sine_and_cosine(x: Tensor, base: float) -> Tensor:
    angles, (a, b) = _angles(x, base), x.chunk(2, dim=-1)
    return torch.cat((a * angles.sin() - b * angles.cos(), a * angles.cos() + b * angles.sin()), dim=-1)


def _adds_the_sinusoids(x: Tensor, base: float) -> Tensor:
    angles = _angles(x, base)
    return x + torch.cat((angles.sin(), angles.cos()), dim=-1)


def _scales_without_turning(x: Tensor, base: float) -> Tensor:
    angles = _angles(x, base)
    return x * torch.cat((angles.cos(), angles.sin()), dim=-1)


ROTATE_BY_POSITION = Exercise(
    name="rotate_by_position",
    lab="09",
    task=(
        "Turn the queries or keys `x`, with the shape [..., seq, d_head], by their positions 0 to seq − 1. The axes i "
        "and i + d_head/2 are a pair (a, b). At position p it turns by the angle p · base ** (−2i / d_head): a becomes "
        "a · cos − b · sin, and b becomes a · sin + b · cos. `d_head` is even."
    ),
    points=3,
    minutes=20,
    difficulty=3,
    inputs=_rotate_inputs,
    reference=_rotate,
    cases=7,
    atol=1e-4,
    hints=(
        "The angles are the same table as in the sinusoids: a column of positions times a row of frequencies.",
        "`a, b = x.chunk(2, dim=-1)` cuts every vector into its first and its second half.",
        "Compute both new halves from the OLD a and b, then put them together with `torch.cat((..., ...), dim=-1)`.",
    ),
    forbidden=("labutils.positions.rotary", "labutils.positions.rotary_angles"),
    mutants=(
        Mutant(
            name="pairs of neighbours",
            function=_turns_neighbours,
            message="You pair neighbouring axes, as the paper does; the task pairs i with i + d_head/2, as in Llama.",
        ),
        Mutant(
            name="turns backwards",
            function=lambda x, base: _turn(x, -_angles(x, base)),
            message="You turn the other way; the minus belongs to the new a, which is a · cos − b · sin.",
        ),
        Mutant(
            name="uses the new a",
            function=_uses_the_new_a,
            message="You overwrite a before you compute the new b; both need the old values.",
        ),
        Mutant(
            name="reflects",
            function=_reflects,
            message="Your new b is a · sin − b · cos, which is a reflection; a rotation has a plus there.",
        ),
        Mutant(
            name="sine and cosine exchanged",
            function=_swaps_sine_and_cosine,
            message="You exchanged sine and cosine; at position 0 nothing may turn, and cos(0) = 1.",
        ),
        Mutant(
            name="one frequency",
            function=lambda x, base: _turn(x, _angles(x, base, power=0.0)),
            message="All your pairs turn at the same speed; pair i turns by base ** (−2i / d_head) a position.",
        ),
        Mutant(
            name="exponent i instead of 2i",
            function=lambda x, base: _turn(x, _angles(x, base, power=0.5)),
            message="Your exponent is i / d_head; for the pair i it is 2i / d_head.",
        ),
        Mutant(
            name="turns faster and faster",
            function=lambda x, base: _turn(x, _angles(x, base, power=-1.0)),
            message="Your later pairs turn faster; the exponent has a minus, so that they turn slower.",
        ),
        Mutant(
            name="starts at position 1",
            function=lambda x, base: _turn(x, _angles(x, base, first=1)),
            message="Your first position is 1; it is 0, and the first vector stays as it is.",
        ),
        Mutant(
            name="pairs in reverse",
            function=lambda x, base: _turn(x, _angles(x, base).flip(-1)),
            message="You give the frequencies to the pairs in reverse; pair 0 turns fastest, by one radian a position.",
        ),
        Mutant(
            name="the same angle for all positions",
            function=lambda x, base: _turn(x, _angles(x, base)[-1:]),
            message="You turn all positions by the angles of the last one; each position has a row of angles.",
        ),
        Mutant(
            name="adds sinusoids",
            function=_adds_the_sinusoids,
            message="You add sines and cosines to the vectors, which is the older scheme; here the vectors are turned.",
        ),
        Mutant(
            name="scales without turning",
            function=_scales_without_turning,
            message="You multiply a by the cosine and b by the sine; to turn, each new half needs both old ones.",
        ),
    ),
)


# --- pre_norm_block --------------------------------------------------------------------------------------------------


def _with_parts(student_function, x, mixing, widening, gains):
    """Make the four parts from weights: means over positions, a map of each position, and two norms."""

    def attention(h):
        return (h + h.mean(-2, keepdim=True)) @ mixing

    def ffn(h):
        return torch.relu(h @ widening) @ widening.mT

    def attention_norm(h):
        return gains[0] * h / (h.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    def ffn_norm(h):
        return gains[1] * h / (h.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    return student_function(x, attention, ffn, attention_norm, ffn_norm)


def _pre_norm_inputs(generator: torch.Generator, case: int) -> dict:
    shape = ((1, 2), (2, 3), (4, 2, 5), (3, 6), (2, 3, 4, 5))[case]
    d, dtype = shape[-1], (torch.float32, torch.float64)[case % 2]
    x = (_readable(generator, *shape) if case < 2 else 2 * normal(generator, *shape)).to(dtype)
    mixing, widening = normal(generator, d, d, dtype=dtype), normal(generator, d, 2 * d, dtype=dtype)
    gains = (1 + torch.rand(2, generator=generator)).cumsum(0).to(dtype)  # two that differ
    return {"x": x, "mixing": mixing, "widening": widening, "gains": gains}


def _pre_norm(x, attention, ffn, attention_norm, ffn_norm):
    x = x + attention(attention_norm(x))
    return x + ffn(ffn_norm(x))


def _post_norm(x, attention, ffn, attention_norm, ffn_norm):
    x = attention_norm(x + attention(x))
    return ffn_norm(x + ffn(x))


def _no_residual(x, attention, ffn, attention_norm, ffn_norm):
    return ffn(ffn_norm(attention(attention_norm(x))))


def _first_residual_only(x, attention, ffn, attention_norm, ffn_norm):
    return ffn(ffn_norm(x + attention(attention_norm(x))))


def _second_residual_only(x, attention, ffn, attention_norm, ffn_norm):
    x = attention(attention_norm(x))
    return x + ffn(ffn_norm(x))


def _adds_the_first_input(x, attention, ffn, attention_norm, ffn_norm):
    return x + ffn(ffn_norm(x + attention(attention_norm(x))))


def _in_parallel(x, attention, ffn, attention_norm, ffn_norm):
    return x + attention(attention_norm(x)) + ffn(ffn_norm(x))


def _adds_the_normalised(x, attention, ffn, attention_norm, ffn_norm):
    x = attention_norm(x)
    x = ffn_norm(x + attention(x))
    return x + ffn(x)


def _normalises_the_parts(x, attention, ffn, attention_norm, ffn_norm):
    x = x + attention_norm(attention(x))
    return x + ffn_norm(ffn(x))


def _swaps_the_norms(x, attention, ffn, attention_norm, ffn_norm):
    return _pre_norm(x, attention, ffn, ffn_norm, attention_norm)


def _swaps_the_parts(x, attention, ffn, attention_norm, ffn_norm):
    return _pre_norm(x, ffn, attention, ffn_norm, attention_norm)


def _without_norms(x, attention, ffn, attention_norm, ffn_norm):
    x = x + attention(x)
    return x + ffn(x)


def _a_norm_too_many(x, attention, ffn, attention_norm, ffn_norm):
    return ffn_norm(_pre_norm(x, attention, ffn, attention_norm, ffn_norm))


PRE_NORM_BLOCK = Exercise(
    name="pre_norm_block",
    lab="09",
    task=(
        "Return the output of a pre-norm block for `x`: attention first, then the feed-forward network. Each gets a "
        "normalised copy of its input, and what it returns is added to the input itself. `attention`, `ffn`, "
        "`attention_norm` and `ffn_norm` are functions that take one tensor and return one of the same shape. Leave "
        "`x` as it is."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_pre_norm_inputs,
    reference=_pre_norm,
    adapter=_with_parts,
    cases=5,
    rtol=1e-4,
    atol=1e-4,
    hints=(
        "Two steps of the same form, input + part(norm(input)); the second one's input is the first one's output.",
        "The first step is `x = x + attention(attention_norm(x))`, which makes a new tensor (x += would change the "
        "caller's).",
    ),
    mutants=(
        Mutant(
            name="post-norm",
            function=_post_norm,
            message="You normalise after each sum, which is post-norm; in pre-norm the norm stands before the part.",
        ),
        Mutant(
            name="no residual",
            function=_no_residual,
            message="You return what the parts return; add the input to it, once for each part.",
        ),
        Mutant(
            name="first residual only",
            function=_first_residual_only,
            message="You add the input of attention, but not that of the feed-forward network; it has one, too.",
        ),
        Mutant(
            name="second residual only",
            function=_second_residual_only,
            message="You add the input of the feed-forward network, but not that of attention; it has one, too.",
        ),
        Mutant(
            name="adds the first input",
            function=_adds_the_first_input,
            message="Your second sum adds the block's input, which loses attention's sum; add the first step's output.",
        ),
        Mutant(
            name="parts in parallel",
            function=_in_parallel,
            message="Both of your parts read the block's input; the feed-forward network comes after attention's sum.",
        ),
        Mutant(
            name="adds the normalised",
            function=_adds_the_normalised,
            message="You add the normalised input; the stream itself stays unnormalised in pre-norm.",
        ),
        Mutant(
            name="normalises what the parts return",
            function=_normalises_the_parts,
            message="You normalise what the parts return; the norm stands before the part.",
        ),
        Mutant(
            name="norms exchanged",
            function=_swaps_the_norms,
            message="You exchanged the two norms; attention_norm belongs to attention.",
        ),
        Mutant(
            name="parts exchanged",
            function=_swaps_the_parts,
            message="You apply the feed-forward network first; attention comes first.",
        ),
        Mutant(
            name="without norms",
            function=_without_norms,
            message="You left out the norms; each part gets a normalised copy of its input.",
        ),
        Mutant(
            name="a norm too many",
            function=_a_norm_too_many,
            message="You normalise the block's output as well; a pre-norm model does that once, after its last block.",
        ),
    ),
)


# --- layer_norm ------------------------------------------------------------------------------------------------------


def _norm_inputs(generator: torch.Generator, case: int) -> dict:
    """Vectors, a gain and an epsilon. Some of the epsilons are large, so that their place shows."""
    shape = ((2,), (2, 3), (3, 1), (5,), (4, 6), (3, 2, 5), (2, 3, 4, 7))[case]
    dtype = (torch.float32, torch.float64)[case % 2]
    x = _readable(generator, *shape) if case < 3 else 1 + 2 * normal(generator, *shape)
    if case == 0:
        x[1] = x[0] + 2  # not two equal numbers
    gain = _readable(generator, shape[-1]) + 0.5
    return {"x": x.to(dtype), "gain": gain.to(dtype), "epsilon": (0.5, 1e-5, 0.1, 2.0, 1e-5, 0.3, 1e-6)[case]}


def _layer_norm_inputs(generator: torch.Generator, case: int) -> dict:
    inputs = _norm_inputs(generator, case)
    bias = _readable(generator, *inputs["gain"].shape).to(inputs["gain"].dtype)
    return {"x": inputs["x"], "gain": inputs["gain"], "bias": bias, "epsilon": inputs["epsilon"]}


def _standardised(x: Tensor, epsilon: float, axes: int | tuple[int, ...] = -1) -> Tensor:
    variance = x.var(axes, keepdim=True, correction=0)
    return (x - x.mean(axes, keepdim=True)) / (variance + epsilon).sqrt()


def _layer_norm(x: Tensor, gain: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    return _standardised(x, epsilon) * gain + bias


def _all_axes(x: Tensor) -> tuple[int, ...]:
    return tuple(range(x.ndim))


def _unbiased(x: Tensor, gain: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().sum(-1, keepdim=True) / (x.shape[-1] - 1)  # 0 / 0 for a single feature
    return centred / (variance + epsilon).sqrt() * gain + bias


def _epsilon_outside(x: Tensor, gain: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (x.std(-1, keepdim=True, correction=0) + epsilon) * gain + bias


def _mean_kept(x: Tensor, gain: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    return x / (x.var(-1, keepdim=True, correction=0) + epsilon).sqrt() * gain + bias


def _mean_square(x: Tensor, gain: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (x.square().mean(-1, keepdim=True) + epsilon).sqrt() * gain + bias


def _divides_by_the_variance(x: Tensor, gain: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (x.var(-1, keepdim=True, correction=0) + epsilon) * gain + bias


def _rms(x: Tensor, epsilon: float, axes: int | tuple[int, ...] = -1) -> Tensor:
    return (x.square().mean(axes, keepdim=True) + epsilon).sqrt()


LAYER_NORM = Exercise(
    name="layer_norm",
    lab="09",
    task=(
        "Normalise each vector of `x`, with the shape [..., d]: subtract its mean, divide by the root of its variance "
        "plus `epsilon`, then multiply by `gain` [d] and add `bias` [d]. The variance is the mean of the squared "
        "deviations (divide by d). `epsilon` goes under the root."
    ),
    points=2,
    minutes=15,
    difficulty=2,
    inputs=_layer_norm_inputs,
    reference=_layer_norm,
    cases=7,
    rtol=1e-4,
    atol=1e-5,
    hints=(
        "Mean and variance run over the last axis; `keepdim=True` keeps it, so that they broadcast.",
        "torch's `var` divides by d − 1 unless you say `correction=0`.",
        "`(x - mean) / (variance + epsilon).sqrt() * gain + bias`.",
    ),
    forbidden=(
        "torch.nn.functional.layer_norm",
        "torch.layer_norm",
        "torch.native_layer_norm",
        "torch.nn.functional.batch_norm",
        "torch.nn.functional.group_norm",
        "torch.nn.functional.instance_norm",
    ),
    mutants=(
        Mutant(
            name="unbiased variance",
            function=_unbiased,
            message="Your variance divides by d − 1; here it divides by d (torch's var does that with correction=0).",
        ),
        Mutant(
            name="epsilon outside of the root",
            function=_epsilon_outside,
            message="You add epsilon to the standard deviation; it is added to the variance, under the root.",
        ),
        Mutant(
            name="epsilon forgotten",
            function=lambda x, gain, bias, epsilon: _standardised(x, 0.0) * gain + bias,
            message="You left out epsilon, so a vector of equal numbers becomes 0/0; add it to the variance.",
        ),
        Mutant(
            name="whole tensor",
            function=lambda x, gain, bias, epsilon: _standardised(x, epsilon, _all_axes(x)) * gain + bias,
            message="You take mean and variance of the whole tensor; each vector (the last axis) has its own.",
        ),
        Mutant(
            name="over the batch",
            function=lambda x, gain, bias, epsilon: _standardised(x, epsilon, 0) * gain + bias,
            message="You normalise along the first axis, as batch norm does; the features are on the last axis.",
        ),
        Mutant(
            name="mean kept",
            function=_mean_kept,
            message="You divide without subtracting the mean first; subtract it from x, too.",
        ),
        Mutant(
            name="mean square instead of variance",
            function=_mean_square,
            message="You divide by the root of the mean square of x; the variance is that of x minus its mean.",
        ),
        Mutant(
            name="divides by the variance",
            function=_divides_by_the_variance,
            message="You divide by the variance itself; divide by its root, the standard deviation.",
        ),
        Mutant(
            name="no division",
            function=lambda x, gain, bias, epsilon: (x - x.mean(-1, keepdim=True)) * gain + bias,
            message="You subtract the mean but do not divide; divide by the root of variance plus epsilon.",
        ),
        Mutant(
            name="gain forgotten",
            function=lambda x, gain, bias, epsilon: _standardised(x, epsilon) + bias,
            message="You left out the gain; multiply by it before you add the bias.",
        ),
        Mutant(
            name="bias forgotten",
            function=lambda x, gain, bias, epsilon: _standardised(x, epsilon) * gain,
            message="You left out the bias; add it at the end.",
        ),
        Mutant(
            name="bias before the gain",
            function=lambda x, gain, bias, epsilon: (_standardised(x, epsilon) + bias) * gain,
            message="You add the bias before you multiply by the gain; the gain comes first.",
        ),
        Mutant(
            name="gain before the norm",
            function=lambda x, gain, bias, epsilon: _standardised(x * gain + bias, epsilon),
            message="You apply gain and bias before you normalise, which undoes much of them; apply them after.",
        ),
    ),
)


# --- rms_norm --------------------------------------------------------------------------------------------------------


def _rms_norm(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    return x / _rms(x, epsilon) * gain


RMS_NORM = Exercise(
    name="rms_norm",
    lab="09",
    task=(
        "Divide each vector of `x`, with the shape [..., d], by the root of its mean square plus `epsilon`, then "
        "multiply by `gain` [d]. `epsilon` goes under the root. No mean is subtracted and no bias added."
    ),
    points=1,
    minutes=10,
    difficulty=1,
    inputs=_norm_inputs,
    reference=_rms_norm,
    cases=7,
    rtol=1e-4,
    atol=1e-5,
    hints=(
        "Read the name from right to left: square, mean, root.",
        "`x.square().mean(-1, keepdim=True)` is the mean square of each vector; add epsilon before the root.",
    ),
    forbidden=("torch.nn.functional.rms_norm", "torch.rms_norm"),
    mutants=(
        Mutant(
            name="epsilon outside of the root",
            function=lambda x, gain, epsilon: x / (_rms(x, 0.0) + epsilon) * gain,
            message="You add epsilon to the root; it is added to the mean square, under the root.",
        ),
        Mutant(
            name="epsilon forgotten",
            function=lambda x, gain, epsilon: x / _rms(x, 0.0) * gain,
            message="You left out epsilon, and a vector of zeros becomes 0/0; add it to the mean square.",
        ),
        Mutant(
            name="whole tensor",
            function=lambda x, gain, epsilon: x / _rms(x, epsilon, _all_axes(x)) * gain,
            message="You take the mean square of the whole tensor; each vector (the last axis) has its own.",
        ),
        Mutant(
            name="over the batch",
            function=lambda x, gain, epsilon: x / _rms(x, epsilon, 0) * gain,
            message="You take the mean along the first axis; the features are on the last axis.",
        ),
        Mutant(
            name="sum instead of mean",
            function=lambda x, gain, epsilon: x / (x.square().sum(-1, keepdim=True) + epsilon).sqrt() * gain,
            message="You divide by the length of the vector, the root of the SUM of squares; take the mean.",
        ),
        Mutant(
            name="layer norm without a bias",
            function=lambda x, gain, epsilon: _standardised(x, epsilon) * gain,
            message="You subtract the mean, which is layer norm; RMSNorm leaves the mean alone.",
        ),
        Mutant(
            name="standard deviation",
            function=lambda x, gain, epsilon: x / (x.var(-1, keepdim=True, correction=0) + epsilon).sqrt() * gain,
            message="You divide by the standard deviation, which measures from the mean; the mean square is from 0.",
        ),
        Mutant(
            name="no root",
            function=lambda x, gain, epsilon: x / _rms(x, epsilon).square() * gain,
            message="You divide by the mean square; take its root first.",
        ),
        Mutant(
            name="mean of absolute values",
            function=lambda x, gain, epsilon: x / (x.abs().mean(-1, keepdim=True) + epsilon) * gain,
            message="You divide by the mean of the absolute values; square, take the mean, then the root.",
        ),
        Mutant(
            name="gain forgotten",
            function=lambda x, gain, epsilon: x / _rms(x, epsilon),
            message="You left out the gain; multiply by it at the end.",
        ),
        Mutant(
            name="gain before the norm",
            function=lambda x, gain, epsilon: x * gain / _rms(x * gain, epsilon),
            message="You multiply by the gain before you normalise, so it counts in the mean square; multiply after.",
        ),
        Mutant(
            name="divides by the gain",
            function=lambda x, gain, epsilon: x / _rms(x, epsilon) / gain,
            message="You divide by the gain; multiply by it.",
        ),
    ),
)


EXERCISES = (SINUSOIDAL_POSITIONS, DISTANCE_BIAS, ROTATE_BY_POSITION, PRE_NORM_BLOCK, LAYER_NORM, RMS_NORM)
