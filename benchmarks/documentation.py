"""Lab 03's last experiment with more time: a decoder of 0.66 million parameters on the documentation of Python.

    python benchmarks/documentation.py [steps]

It prints what compressors, a model that counts and the decoder need for a byte of text that none of them has seen. With
2,000 steps it takes minutes on two cores. In the gpu profile it trains on the GPU.
"""

import lzma
import math
import sys
import time

import numpy as np
import torch

from labutils import runtime
from labutils.corpora import documentation, split
from labutils.curation import NGram
from labutils.models import Config, Decoder
from labutils.objectives import bits_per_byte, causal_loss
from labutils.tokenizer import ByteTokenizer
from labutils.training import train

VOCAB_SIZE, LENGTH, BATCH, LR = 2048, 128, 8, 5e-3


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    learn, test = ("\n\n".join(part) for part in split(documentation(), 0.06))
    n_bytes = len(test.encode())
    print(f"Python {sys.version.split()[0]}: {len(learn.encode()):,} bytes to learn from, {n_bytes:,} to be tested on")

    both = lzma.compress((learn + test).encode())
    print(f"  xz, the test text alone  {8 * len(lzma.compress(test.encode())) / n_bytes:.3f} bits per byte")
    print(f"  xz, after the other text {8 * (len(both) - len(lzma.compress(learn.encode()))) / n_bytes:.3f}")
    for order in (5, 6):
        learned, tested = (np.frombuffer(text.encode(), np.uint8).astype(int)[None] for text in (learn, test))
        print(f"  counts of {order} bytes        {NGram(learned, order, 256).nats(tested).mean() / math.log(2):.3f}")

    tokenizer = ByteTokenizer([learn], VOCAB_SIZE)
    stream, held_out = (torch.tensor(tokenizer.encode(text)) for text in (learn, test))
    nats = NGram(stream[None].numpy(), 3, VOCAB_SIZE).nats(held_out[None].numpy()).mean()
    print(f"  counts of 3 tokens       {bits_per_byte(nats, n_tokens=len(held_out), n_bytes=n_bytes):.3f}")

    def batch(step: int) -> torch.Tensor:
        starts = torch.randint(len(stream) - LENGTH, (BATCH,), generator=torch.Generator().manual_seed(step))
        return stream[starts[:, None] + torch.arange(LENGTH)]

    runtime.seed(0)
    model = Decoder(Config(vocab_size=VOCAB_SIZE, d_model=128, n_layers=2, max_len=LENGTH)).to(runtime.device())
    start, cpu_start = time.perf_counter(), time.process_time()
    train(model, batch, lambda model, tokens: causal_loss(model(tokens), tokens), steps=steps, lr=LR)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start

    pieces = held_out.unfold(0, LENGTH, LENGTH - 1).to(runtime.device())
    with torch.no_grad():
        nats = torch.stack([causal_loss(model(piece), piece) for piece in pieces.split(16)[:-1]]).mean().item()
    epochs = steps * BATCH * LENGTH / len(stream)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"  decoder                  {bits_per_byte(nats, n_tokens=len(held_out), n_bytes=n_bytes):.3f}")
    print(f"{n_parameters:,} parameters, {steps} steps, {epochs:.1f} epochs, {seconds:.0f} s, {cpu_seconds:.0f} CPU-s")


if __name__ == "__main__":
    main()
