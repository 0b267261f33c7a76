"""Load a language model with its tokenizer, and check that the tokenizer loses no text."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainalign.checkpoints import require
from brainalign.errors import InputError
from brainalign.models import (
    ModelInfo,
    check_name,
    describe,
    hub_commit,
    model_folder,
    not_loaded,
    parse_baseline,
    repository,
    split_name,
)


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model: what is known of it, its fast tokenizer and its body, without output head."""

    info: ModelInfo
    tokenizer: Any
    model: Any


def load_language_model(name: str, device: str = "cpu") -> LanguageModel:
    """Load a language model with its tokenizer, in float32 and evaluation mode.

    Parameters
    ----------
    name
        A language model or its untrained variant, which draws its weights by the model's own
        initialiser (`initializer_range`) from the seed in the name.
    device
        Torch device, such as "cpu" or "cuda:0".

    Returns
    -------
    LanguageModel

    Raises
    ------
    InputError
        For a baseline, an unknown name, a model that is not here while the hub cannot be reached,
        weights that do not fill the architecture, or a tokenizer that loses text.
    """
    if parse_baseline(name):
        raise InputError(f"Model {name!r} is a baseline and has no language model to load.")
    base, seed = split_name(check_name(name))
    folder = model_folder(base)
    with quiet_transformers():
        try:
            tokenizer, model = _load(base, folder, seed)
        except (OSError, ValueError, ImportError) as error:
            if isinstance(error, InputError):
                raise
            raise not_loaded(name, folder, error) from error
        _check_tokenizer(name, tokenizer)
        info = describe(name)
    model.config.use_cache = False
    return LanguageModel(info, tokenizer, model.eval().to(device))


def _load(base: str, folder: Path | None, seed: int | None) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerFast

    if folder is not None:
        require(folder, "tokenizer.json")
        # AutoTokenizer rebuilds some families' tokenizers and loses a word-level vocabulary.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        address, options = folder, {"local_files_only": True}
    else:
        address = repository(base)
        options = {"revision": hub_commit(address), "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(address, **options)
    config = AutoConfig.from_pretrained(address, **options)
    if config.is_encoder_decoder:
        raise InputError(f"Model {base!r} is an encoder-decoder; only single stacks are supported.")
    for field in ("activation_function", "hidden_act"):
        # The same function, which torch computes in one pass over memory instead of eight.
        if getattr(config, field, None) == "gelu_new":
            setattr(config, field, "gelu_pytorch_tanh")
    if seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return tokenizer, AutoModel.from_config(config, dtype=torch.float32)
    model, loading = AutoModel.from_pretrained(
        address, config=config, dtype=torch.float32, output_loading_info=True, **options
    )
    # A pooler is no part of the hidden states; anything else missing would be random weights.
    missing = sorted(key for key in loading["missing_keys"] if "pooler" not in key)
    if missing:
        raise InputError(
            f"The weights of model {base!r} lack {len(missing)} tensors: {missing[0]}."
        )
    return tokenizer, model


def _check_tokenizer(name: str, tokenizer: Any) -> None:
    """Raise InputError unless offsets exist, words come back and no text encodes to nothing."""
    if not tokenizer.is_fast:
        raise InputError(f"The tokenizer of model {name!r} gives no character offsets (not fast).")
    for text in ("qzxj", "Qzxj 42", "\N{SNOWMAN}"):
        try:
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        except Exception as error:  # the tokenizers library raises nothing more precise
            raise InputError(
                f"The tokenizer of model {name!r} cannot encode {text!r}: {error}"
            ) from error
        if not ids:
            raise InputError(
                f"The tokenizer of model {name!r} encodes {text!r} to nothing; it needs an unknown "
                "token or a byte alphabet."
            )
    special = set(tokenizer.all_special_ids)
    for number in range(0, len(tokenizer), max(1, len(tokenizer) // 200)):
        word = tokenizer.decode([number]).strip()
        if number in special or not word.isalpha():
            continue
        ids = tokenizer(word, add_special_tokens=False)["input_ids"]
        back = "".join(tokenizer.decode(ids).split())
        if back.lower() != word.lower():
            raise InputError(
                f"The tokenizer of model {name!r} turns its own word {word!r} into {back!r}."
            )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence progress bars and messages of transformers inside the block: pages show stderr."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
