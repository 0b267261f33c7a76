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
    """A loaded model: what is known of it, its fast tokenizer and its body.

    `head` turns final states into scores of the next token; None where it was not asked for.
    """

    info: ModelInfo
    tokenizer: Any
    model: Any
    head: Any = None


def load_language_model(name: str, device: str = "cpu", head: bool = False) -> LanguageModel:
    """Load a language model with its tokenizer, in float32 and evaluation mode.

    Parameters
    ----------
    name
        A language model or its untrained variant, which draws its weights by the model's own
        initialiser (`initializer_range`) from the seed in the name.
    device
        Torch device, such as "cpu" or "cuda:0".
    head
        Whether to load the output head, too.

    Returns
    -------
    LanguageModel

    Raises
    ------
    InputError
        For a baseline, an unknown name, a model that is not here while the hub cannot be reached,
        weights that do not fill the architecture, a tokenizer that loses text, or a model that
        predicts no next word though its head is wanted.
    """
    if parse_baseline(name):
        raise InputError(f"Model {name!r} is a baseline and has no language model to load.")
    base, seed = split_name(check_name(name))
    folder = model_folder(base)
    with quiet_transformers():
        try:
            tokenizer, model = _load(base, folder, seed, head)
        except (OSError, ValueError, ImportError) as error:
            if isinstance(error, InputError):
                raise
            raise not_loaded(name, folder, error) from error
        _check_tokenizer(name, tokenizer)
        info = describe(name)
    model.config.use_cache = False
    model = model.eval().to(device)
    if head:
        return LanguageModel(info, tokenizer, model.base_model, model.get_output_embeddings())
    return LanguageModel(info, tokenizer, model)


def _load(base: str, folder: Path | None, seed: int | None, head: bool) -> tuple[Any, Any]:
    import torch
    from transformers import (
        AutoModel,
        AutoModelForCausalLM,
        AutoTokenizer,
        PreTrainedTokenizerFast,
    )

    if folder is not None:
        require(folder, "tokenizer.json")
        # AutoTokenizer rebuilds some families' tokenizers and loses a word-level vocabulary.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    config, address, options = _configuration(base, folder)
    if folder is None:
        tokenizer = AutoTokenizer.from_pretrained(address, **options)
    if config.is_encoder_decoder:
        raise InputError(f"Model {base!r} is an encoder-decoder; only single stacks are supported.")
    if head and not _is_causal(config):
        raise InputError(
            f"Model {base!r} ({config.model_type}) predicts no next word; a causal language model "
            "is expected."
        )
    architecture = AutoModelForCausalLM if head else AutoModel
    for field in ("activation_function", "hidden_act"):
        # The same function, which torch computes in one pass over memory instead of eight.
        if getattr(config, field, None) == "gelu_new":
            setattr(config, field, "gelu_pytorch_tanh")
    if seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return tokenizer, architecture.from_config(config, dtype=torch.float32)
    model, loading = architecture.from_pretrained(
        address, config=config, dtype=torch.float32, output_loading_info=True, **options
    )
    # A pooler is no part of the hidden states; anything else missing would be random weights.
    missing = sorted(key for key in loading["missing_keys"] if "pooler" not in key)
    if missing:
        raise InputError(
            f"The weights of model {base!r} lack {len(missing)} tensors: {missing[0]}."
        )
    return tokenizer, model


def _configuration(base: str, folder: Path | None) -> tuple[Any, Path | str, dict[str, Any]]:
    """Configuration of a model, where its files are, and how they are opened."""
    from transformers import AutoConfig

    address, options = folder, {"local_files_only": True}
    if folder is None:
        address = repository(base)
        options = {"revision": hub_commit(address), "trust_remote_code": False}
    return AutoConfig.from_pretrained(address, **options), address, options


def predicts_next_word(name: str) -> bool:
    """Whether a language model is causal, so that it has an output head for the next word.

    Models that fill in masked words have a causal class too, which nobody trained.

    Parameters
    ----------
    name
        A language model or its untrained variant.

    Raises
    ------
    InputError
        As `load_language_model`.
    """
    base, _ = split_name(check_name(name))
    folder = model_folder(base)
    try:
        return _is_causal(_configuration(base, folder)[0])
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise not_loaded(name, folder, error) from error


def _is_causal(config: Any) -> bool:
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    masked = type(config) in MODEL_FOR_MASKED_LM_MAPPING
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING and not masked


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
