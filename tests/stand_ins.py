"""Small copies of the course's pretrained models: their architectures, random weights, tokenizers trained here.

`fill` lays them out as the hub's cache does, at the revisions that the course pins, so that `labutils.hub` loads them
as it would load the real ones. What they say is noise; what is true of every model is true of them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from labutils.hub import FILES, MODELS

ROOT = Path(__file__).resolve().parent.parent
CHAT = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a stand-in.<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SENTINELS = [f"<extra_id_{i}>" for i in range(100)]
# Wide enough that attention and next words are far from uniform, so that a mistake in either shows.
SPREAD = 0.2


def english() -> list[str]:
    """Text to train tokenizers on: the labs' own sources, so that their words are tokens."""
    return [path.read_text(encoding="utf-8") for path in sorted((ROOT / "labs").glob("*.py"))]


def byte_pairs(specials: list[str]) -> Tokenizer:
    """Byte-level BPE, as GPT-2's and SmolLM2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=2000, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(english(), trainer)
    return tokenizer


def word_pieces() -> Tokenizer:
    """Lower-cased WordPiece, as BERT's and MiniLM's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=6000, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(english(), trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def unigrams() -> Tokenizer:
    """Unigram with 100 sentinels after the vocabulary, the first one last, as T5's."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=1000, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator([text[:20_000] for text in english()], trainer)
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in reversed(SENTINELS)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def gpt2(n_tokens: int) -> PreTrainedModel:
    sizes = {"n_positions": 1024, "n_embd": 48, "n_layer": 3, "n_head": 4, "initializer_range": SPREAD}
    return GPT2LMHeadModel(GPT2Config(vocab_size=n_tokens, bos_token_id=0, eos_token_id=0, **sizes))


def smollm2(n_tokens: int, end: int) -> PreTrainedModel:
    sizes = {"hidden_size": 48, "intermediate_size": 128, "num_hidden_layers": 3, "max_position_embeddings": 8192}
    heads = {"num_attention_heads": 6, "num_key_value_heads": 2}
    settings = {"rope_parameters": {"rope_type": "default", "rope_theta": 100000.0}, "rms_norm_eps": 1e-5}
    config = LlamaConfig(
        vocab_size=n_tokens,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        initializer_range=SPREAD,
        **sizes,
        **heads,
        **settings,
    )
    return LlamaForCausalLM(config).bfloat16()  # as it is stored


def bert_config(n_tokens: int) -> BertConfig:
    sizes = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96}
    return BertConfig(vocab_size=n_tokens, initializer_range=SPREAD, **sizes)


def t5(n_tokens: int) -> PreTrainedModel:
    sizes = {"d_model": 48, "d_kv": 12, "d_ff": 96, "num_layers": 2, "num_heads": 4}
    special = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    return T5ForConditionalGeneration(T5Config(vocab_size=n_tokens, **sizes, **special))


def everything() -> dict[str, tuple[PreTrainedModel, Tokenizer, dict[str, Any]]]:
    """For each job of the course: a model, its tokenizer, and the tokenizer's settings as its authors wrote them."""
    plain, chat, pieces, spans = (
        byte_pairs(["<|endoftext|>"]),
        byte_pairs(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
        word_pieces(),
        unigrams(),
    )
    n_chat = chat.get_vocab_size()
    ends = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    turns = {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|im_end|>",
    }
    bert = bert_config(pieces.get_vocab_size())
    return {
        "decoder": (gpt2(plain.get_vocab_size()), plain, {"model_max_length": 1024}),
        "base": (smollm2(n_chat, 0), chat, ends | {"tokenizer_class": "GPT2Tokenizer"}),
        "instruct": (smollm2(n_chat, 2), chat, turns | {"tokenizer_class": "GPT2Tokenizer", "chat_template": CHAT}),
        "encoder": (BertForPreTraining(bert), pieces, {"do_lower_case": True, "model_max_length": 512}),
        "encoder-decoder": (
            t5(spans.get_vocab_size()),
            spans,
            {
                "tokenizer_class": "T5Tokenizer",
                "extra_ids": 100,
                "additional_special_tokens": SENTINELS,
                "eos_token": "</s>",
                "pad_token": "<pad>",
                "unk_token": "<unk>",
                "model_max_length": 512,
            },
        ),
        "embedding": (
            BertModel(bert),
            pieces,
            {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512},
        ),
    }


def write(folder: Path) -> dict[str, Path]:
    """Write each stand-in's files below `folder`, as a repository of the hub holds them: {job: folder}."""
    torch.manual_seed(0)
    written = {}
    for job, (model, tokenizer, settings) in everything().items():
        place = written[job] = folder / job
        model.save_pretrained(place)
        tokenizer.save(str(place / "tokenizer.json"))
        (place / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return written


def etag(path: Path, content: bytes) -> str:
    """The name that the hub gives to a file's content: SHA-256 for weights, git's SHA-1 for all else."""
    if path.suffix == ".safetensors":
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def fill(cache: Path, repositories: dict[str, Path]) -> None:
    """Lay out what the course fetches as the hub's cache: contents under blobs, links under snapshots/REVISION."""
    for job, repository in repositories.items():
        source = MODELS[job]
        home = cache / f"models--{source.id.replace('/', '--')}"
        snapshot = home / "snapshots" / source.revision
        for folder in (home / "blobs", home / "refs", snapshot):
            folder.mkdir(parents=True)
        (home / "refs" / "main").write_text(source.revision, encoding="utf-8")
        for path in (repository / name for name in FILES):
            content = path.read_bytes()
            blob = home / "blobs" / etag(path, content)
            blob.write_bytes(content)
            (snapshot / path.name).symlink_to(Path("../..") / "blobs" / blob.name)
