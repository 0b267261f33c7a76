"""Tiny random language models of several families, saved as ordinary folders."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, WordLevel, WordPiece

from brainalign.files import digest
from brainalign.study import VOXEL_COLUMNS, Run, Study

SENTENCES = (
    "The cook said that the old king had not slept. Did Anna see the red boat? She didn't! "
    "In the kitchen, Anna cut the bread; the cook thought of the king and of his boats. "
)
LAYERS, WIDTH = 3, 16


def text_of(n_sentences: int = 4, seed: int = 0) -> str:
    """Sentences in random order, with punctuation and new lines."""
    parts = [part.strip() + "." for part in SENTENCES.replace("?", ".").split(".") if part.strip()]
    order = np.random.default_rng(seed).integers(len(parts), size=n_sentences)
    return "\n".join(parts[number] for number in order)


def word_level(unknown: str | None = "[UNK]", text: str = SENTENCES) -> Tokenizer:
    """Word-level tokenizer with a lower-case normaliser, as the testbed's."""
    tokenizer = Tokenizer(WordLevel(unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [unknown] if unknown else []
    tokenizer.train_from_iterator([text], trainers.WordLevelTrainer(special_tokens=special))
    return tokenizer


def byte_level(bos: str | None = None) -> Tokenizer:
    """Byte-level BPE with few merges, so that words have several tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        special_tokens=[bos] if bos else [],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([SENTENCES], trainer)
    if bos:
        number = tokenizer.token_to_id(bos)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, number)]
        )
    return tokenizer


def word_piece() -> Tokenizer:
    """WordPiece with [CLS] and [SEP], as BERT's."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(
        [SENTENCES], trainers.WordPieceTrainer(vocab_size=60, special_tokens=special)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def configuration(family: str, vocabulary: int, positions: int):
    """Configuration of a tiny model; weights are drawn large enough for layers to differ."""
    common = {
        "vocab_size": vocabulary,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    body = common | {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "max_position_embeddings": positions,
    }
    if family == "gpt2":
        shape = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 2, "n_positions": positions}
        return transformers.GPT2Config(**common, **shape)
    if family == "opt":
        rest = {"ffn_dim": 32, "word_embed_proj_dim": WIDTH, "pad_token_id": 0, "init_std": 0.3}
        return transformers.OPTConfig(**body, **rest)
    if family == "opt-350m":
        rest = {"ffn_dim": 32, "word_embed_proj_dim": 8, "do_layer_norm_before": False}
        return transformers.OPTConfig(**body, **rest, pad_token_id=0, init_std=0.3)
    if family == "llama":
        return transformers.LlamaConfig(**body, intermediate_size=32)
    if family == "gpt_neox":
        return transformers.GPTNeoXConfig(**body, intermediate_size=32)
    if family in ("mistral", "qwen2", "stablelm"):
        kind = {"mistral": "Mistral", "qwen2": "Qwen2", "stablelm": "StableLm"}[family]
        heads = {"num_key_value_heads": 1 if family == "mistral" else 2}
        return getattr(transformers, f"{kind}Config")(**body, **heads, intermediate_size=32)
    if family == "gemma":
        heads = {"num_key_value_heads": 1, "head_dim": 8}
        return transformers.GemmaConfig(**body, **heads, intermediate_size=32, pad_token_id=0)
    if family == "mamba":
        shape = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "state_size": 4}
        return transformers.MambaConfig(**common, **shape)
    if family == "bert":
        return transformers.BertConfig(**body, intermediate_size=32, pad_token_id=0)
    raise AssertionError(family)


TOKENIZERS = {
    "gpt2": word_level,
    "opt": lambda: byte_level("</s>"),
    "opt-350m": lambda: byte_level("</s>"),
    "llama": lambda: byte_level("<s>"),
    "mistral": lambda: byte_level("<s>"),
    "gemma": lambda: byte_level("<bos>"),
    "gpt_neox": byte_level,
    "stablelm": byte_level,
    "qwen2": byte_level,
    "mamba": byte_level,
    "bert": word_piece,
}


def save_model(
    folder: Path, family: str = "gpt2", positions: int = 24, tokenizer: Tokenizer | None = None
) -> Path:
    """Save a tiny random model with a tokenizer of its family's kind; give its folder."""
    tokenizer = tokenizer or TOKENIZERS[family]()
    config = configuration(family, tokenizer.get_vocab_size(), positions)
    torch.manual_seed(0)
    headed = {"bert": transformers.AutoModelForMaskedLM}
    model = headed.get(family, transformers.AutoModelForCausalLM).from_config(config)
    model.to(torch.float16).save_pretrained(folder)
    names = {"unk_token": "[UNK]"} if tokenizer.token_to_id("[UNK]") is not None else {}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(
        folder
    )
    return folder


def study_of(texts: list[str], words: list[list] | None = None) -> Study:
    """A study without voxels: the given texts, three words per second."""
    runs = []
    for number, text in enumerate(texts):
        table = words[number] if words else text.split()
        onset = np.arange(len(table)) / 3
        frame = pd.DataFrame({"word": table, "onset": onset, "offset": onset + 1 / 3})
        runs.append(Run(frame, text, n_scans=20, load=lambda _: np.zeros((20, 0), np.float32)))
    voxels = pd.DataFrame({name: [] for name in VOXEL_COLUMNS})
    fingerprint = digest([texts, str(words)])
    return Study("tiny", "en", tuple(runs), ("s1",), 2.0, voxels, (0, 0), fingerprint)
