"""Load a language model with its tokenizer, and check that the tokenizer loses no text.

Weights come from safetensors, and from PyTorch files only where there are none, through PyTorch's
reader for nothing but tensors. Programs that come with a model are never executed.
"""

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from brainalign import hub
from brainalign.checkpoints import read_config, refused_pickle, require
from brainalign.devices import place
from brainalign.errors import InputError
from brainalign.models import (
    ModelInfo,
    check_name,
    describe,
    hub_address,
    model_folder,
    parse_baseline,
    split_name,
)
from brainalign.parallel import chosen_device

# Where the package `kernels` is installed, transformers would fetch programs from the hub and run them.
os.environ["USE_HUB_KERNELS"] = "NO"

#: What a model's matrices are multiplied in, and what its weights are kept in.
Precision = Literal["float32", "bfloat16", "bfloat16-weights"]
_HALF_WEIGHTS = "bfloat16-weights"
_ADVICE = f"with precision {_HALF_WEIGHTS!r} they need half as much, and otherwise "


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model: what is known of it, its fast tokenizer and its body.

    `head` turns final states into scores of the next token; None where it was not asked for.
    """

    info: ModelInfo
    tokenizer: Any
    model: Any
    head: Any = None


class _Request(NamedTuple):
    """What is to be loaded: a model without its variant, the variant's seed, and how."""

    base: str
    seed: int | None
    device: str
    head: bool
    precision: Precision


def load_language_model(
    name: str, device: str = "cpu", head: bool = False, precision: Precision = "float32"
) -> LanguageModel:
    """Load a language model with its tokenizer, in evaluation mode.

    Parameters
    ----------
    name
        A language model or its untrained variant, which draws its weights by the model's own
        initialiser (`initializer_range`) from the seed in the name.
    device
        "cpu", "cuda", "cuda:N" or "auto", see
        `parallel.chosen_device`; "cuda" is all GPUs together where one is too small.
    head
        Whether to load the output head, too.
    precision
        Weights are kept in float32; with "bfloat16-weights" in half precision, in which an
        untrained variant also draws them.

    Returns
    -------
    LanguageModel

    Raises
    ------
    InputError
        For a baseline, an unknown name, a model that is not here while the hub cannot be reached or
        does not give it, weights that do not fit the memory, are no plain tensors or do not fill
        the architecture, a tokenizer that loses text, an architecture that transformers does not
        know, or a model that predicts no next word though its head is wanted.
    """
    if parse_baseline(name):
        raise InputError(f"Model {name!r} is a baseline and has no language model to load.")
    base, seed = split_name(check_name(name))
    request = _Request(base, seed, chosen_device(device), head, precision)
    with _explained(name):
        tokenizer = _load_tokenizer(base)
        _check_tokenizer(name, tokenizer)
        model = _load_model(request).eval()
        info = describe(name)
    model.config.use_cache = False
    if head:
        return LanguageModel(info, tokenizer, model.base_model, model.get_output_embeddings())
    return LanguageModel(info, tokenizer, model)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what transformers raises inside the block into one sentence."""
    from safetensors import SafetensorError

    try:
        yield
    except InputError:
        raise
    except (pickle.UnpicklingError, EOFError) as error:
        raise refused_pickle(f"model {name!r}", error) from None
    except (OSError, ValueError, ImportError, RuntimeError, TypeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if "trust_remote_code" in str(error):
            reason = "it comes with a program of its own, which is never executed"
        raise InputError(f"Model {name!r} cannot be loaded: {reason}") from error


def _load_tokenizer(base: str) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    folder = model_folder(base)
    if folder is not None:
        require(folder, "tokenizer.json")
        with quiet_transformers():
            # AutoTokenizer rebuilds some families' tokenizers and loses a word-level vocabulary.
            return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    folder = hub.tokenizer_folder(hub_address(base).tokenizer)
    with quiet_transformers():
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _load_model(request: _Request) -> Any:
    """Model with the weights of its files, or fresh ones, on its device."""
    import torch
    from transformers import AutoModel, AutoModelForCausalLM

    base, seed, device, head, precision = request
    config = _configuration(base)
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
    half = precision == _HALF_WEIGHTS
    dtype = torch.bfloat16 if half else torch.float32
    with quiet_transformers(), torch.device("meta"):
        empty = architecture.from_config(config)
    n_bytes = sum(parameter.numel() for parameter in empty.parameters()) * dtype.itemsize
    options = place(base, n_bytes, device, "" if half else _ADVICE)
    if seed is not None:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return architecture.from_config(config, dtype=dtype).to(device)
    model = _with_weights(base, architecture, config=config, dtype=dtype, **options)
    return model if options else model.to(device)


def _with_weights(base: str, architecture: Any, **options: Any) -> Any:
    """Model with the weights of its files."""
    folder = model_folder(base)
    if folder is None:
        address = hub_address(base)
        folder = hub.weights_folder(address.model, address.revision)
    with quiet_transformers():
        model, loading = architecture.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=any(folder.glob("*.safetensors")),
            weights_only=True,
            output_loading_info=True,
            **options,
        )
    # A pooler is no part of the hidden states; anything else missing would be random weights.
    missing = sorted(key for key in loading["missing_keys"] if "pooler" not in key)
    if missing:
        raise InputError(
            f"The weights of model {base!r} lack {len(missing)} tensors: {missing[0]}."
        )
    return model


def _configuration(base: str) -> Any:
    """Configuration of a model; InputError for an architecture that transformers does not know."""
    from transformers import CONFIG_MAPPING, AutoConfig

    folder = model_folder(base)
    if folder is None:
        address = hub_address(base)
        folder = hub.configuration_folder(address.model, address.revision)
    kind = read_config(folder).get("model_type")
    if kind not in CONFIG_MAPPING:
        raise InputError(
            f"Model {base!r} has the architecture {kind!r}, which transformers does not know; "
            "programs that come with a model are never executed."
        )
    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


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
    with _explained(name):
        return _is_causal(_configuration(base))


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
