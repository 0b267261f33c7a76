"""The table of language models, and how to load one by name, folder or hub address.

A name is one of
- a model of the testbed's zoo ("nano-gpt2-16x2"),
- one of the 28 models of Bonnasse-Gahot & Pallier (2024) ("gpt2-xl"),
- a folder with `config.json`, `tokenizer.json` and safetensors, or a hub address "owner/name",
- any of these with ":untrained-SEED" behind it: the same architecture with fresh random weights,
- a baseline without language: "random-vectors-WIDTH" or "random-embeddings-WIDTH", with
  ":seed-SEED" behind it (0 by default).

Nothing here imports torch or transformers before a model is loaded.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from brainalign.checkpoints import count_parameters, read_config, require, size, weights_sha256
from brainalign.errors import InputError
from brainalign.files import PACKAGE, digest, file_sha256

ZOO = PACKAGE / "studies" / "testbed" / "weights"
PAPER_TABLE = PACKAGE / "published" / "models_en.csv"

Kind = Literal["language model", "untrained", "random vectors", "random embeddings"]

_UNTRAINED = re.compile(r"^(?P<base>.+):untrained-(?P<seed>\d+)$")
_BASELINE = re.compile(
    r"^random-(?P<what>vectors|embeddings)-(?P<width>\d+)(:seed-(?P<seed>\d+))?$"
)
_HUB = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")

_FAMILIES = {
    "gpt2": "GPT-2",
    "opt": "OPT",
    "llama": "Llama",
    "mistral": "Mistral",
    "mamba": "Mamba",
    "gpt_neox": "Pythia",
    "gemma": "Gemma",
    "stablelm": "StableLM",
    "qwen2": "Qwen2",
    "bert": "BERT",
    "roberta": "RoBERTa",
}


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without loading it.

    Attributes
    ----------
    name : str
        As it was asked for.
    family : str
        Architecture or series, for colours and lines.
    kind : str
        "language model", "untrained", "random vectors", "random embeddings".
    n_parameters : int
        All parameters, tied ones once; 0 for baselines.
    n_layers, n_hidden : int
        Blocks, and width of the hidden states; a baseline has 0 blocks.
    n_parameters_without_embeddings : int or None
        Without token and position embeddings and without the output head; None where only the
        published table is known.
    source : str
        Where it comes from.
    """

    name: str
    family: str
    kind: Kind
    n_parameters: int
    n_layers: int
    n_hidden: int
    n_parameters_without_embeddings: int | None
    source: str


class Baseline(NamedTuple):
    """A baseline's definition: what is drawn, its width (units) and its seed."""

    what: Literal["vectors", "embeddings"]
    width: int
    seed: int


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model: what is known of it, its fast tokenizer and its body, without output head."""

    info: ModelInfo
    tokenizer: Any
    model: Any


def zoo_names() -> list[str]:
    """Names of the testbed's own language models, the smallest first."""
    folders = [path.parent for path in ZOO.glob("*/config.json")]
    return [path.name for path in sorted(folders, key=lambda path: count_parameters(path)[0])]


@cache
def paper_models() -> pd.DataFrame:
    """Table of the 28 models of Bonnasse-Gahot & Pallier (2024), one row per name."""
    return pd.read_csv(PAPER_TABLE, index_col="name")


def parse_baseline(name: str) -> Baseline | None:
    """Definition of a baseline; None if `name` is a language model."""
    found = _BASELINE.match(name)
    if found is None or int(found["width"]) == 0:
        return None
    return Baseline(found["what"], int(found["width"]), int(found["seed"] or 0))


def split_name(name: str) -> tuple[str, int | None]:
    """A name without its variant, and the seed of an untrained variant (None if trained)."""
    found = _UNTRAINED.match(name)
    return (found["base"], int(found["seed"])) if found else (name, None)


def check_name(name: str) -> str:
    """Return a model's name if it can stand for a model.

    Raises
    ------
    InputError
        For a name that is none of those that the module knows. A hub address is checked for its
        form only.
    """
    base, _ = split_name(name)
    if parse_baseline(name) or _folder(base) or _repository(base):
        return name
    raise InputError(
        f"Unknown model {name!r}; known are {', '.join([*zoo_names(), *paper_models().index])}, "
        "random-vectors-WIDTH, random-embeddings-WIDTH, a local folder with a config.json and a "
        "Hugging Face address 'owner/name'; ':untrained-SEED' behind a language model or "
        "':seed-SEED' behind a baseline gives its variants."
    )


def describe(name: str) -> ModelInfo:
    """What is known of a model, from configuration and file headers, without loading it.

    Parameters
    ----------
    name
        See the module.

    Returns
    -------
    ModelInfo

    Raises
    ------
    InputError
        For an unknown name, a folder without weights or a hub model that cannot be reached.
    """
    if baseline := parse_baseline(name):
        kind = f"random {baseline.what}"
        return ModelInfo(name, kind, kind, 0, 0, baseline.width, 0, "drawn at random")
    base, seed = split_name(check_name(name))
    kind = "language model" if seed is None else "untrained"
    folder = _folder(base)
    if folder is None and base in paper_models().index:
        row = paper_models().loc[base]
        numbers = (int(row["n_parameters"]), int(row["n_layers"]), int(row["n_hidden"]))
        return ModelInfo(name, row["family"], kind, *numbers, None, f"hub: {row['hf_repo']}")
    if folder is None:
        folder, source = _hub_folder(base), f"hub: {base}"
    else:
        source = "testbed zoo" if folder.parent == ZOO else f"folder {folder}"
    total, body = count_parameters(folder)
    config = read_config(folder)
    family = _FAMILIES.get(config.get("model_type"), config.get("model_type", "unknown"))
    if source == "testbed zoo":
        family = f"nano {family}"
    n_layers, n_hidden = size(folder)
    return ModelInfo(name, family, kind, total, n_layers, n_hidden, body, source)


def model_table(names: Iterable[str] | None = None) -> pd.DataFrame:
    """Table of models, one row each, with the columns of `ModelInfo`.

    Parameters
    ----------
    names
        By default the zoo and the paper's 28 models.
    """
    names = [*zoo_names(), *paper_models().index] if names is None else list(names)
    columns = list(ModelInfo.__dataclass_fields__)
    table = pd.DataFrame([asdict(describe(name)) for name in names], columns=columns)
    return table.astype({"n_parameters_without_embeddings": "Int64"})


def fingerprint(name: str) -> str:
    """What identifies the numbers that a model gives: it changes when they would.

    For a folder the checksum of weights, configuration and tokenizer (the zoo's and any other
    `training.json` carries the weights' checksum); for a hub model the commit; for a baseline its
    definition.
    """
    if baseline := parse_baseline(name):
        return digest(baseline._asdict())
    base, seed = split_name(check_name(name))
    folder = _folder(base)
    if folder is None:
        parts = {"hub": _repository(base), "commit": _hub_commit(_repository(base))}
    else:
        files = ("config.json", "tokenizer.json")
        parts = {file: file_sha256(require(folder, file)) for file in files}
        parts["weights"] = None if seed is not None else weights_sha256(folder)
    return digest({**parts, "untrained seed": seed})


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
    folder = _folder(base)
    with quiet_transformers():
        try:
            tokenizer, model = _load(base, folder, seed)
        except (OSError, ValueError, ImportError) as error:
            if isinstance(error, InputError):
                raise
            raise _not_loaded(name, folder, error) from error
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
        address = _repository(base)
        options = {"revision": _hub_commit(address), "trust_remote_code": False}
        tokenizer = AutoTokenizer.from_pretrained(address, **options)
    config = AutoConfig.from_pretrained(address, **options)
    if config.is_encoder_decoder:
        raise InputError(f"Model {base!r} is an encoder-decoder; only single stacks are supported.")
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


def _not_loaded(name: str, folder: Path | None, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if folder is not None:
        return InputError(f"Model {name!r} cannot be loaded from {folder}: {reason}")
    return InputError(
        f"Model {name!r} is not on this machine and could not be fetched from the Hugging Face "
        f"hub; connect once, or name a local folder ({reason})"
    )


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


def _folder(base: str) -> Path | None:
    """Local folder of a model; None for one from the hub. The zoo and the paper come first."""
    if (ZOO / base / "config.json").is_file():
        return ZOO / base
    if base in paper_models().index:
        return None
    path = Path(base).expanduser()
    return path.resolve() if (path / "config.json").is_file() else None


def _repository(base: str) -> str | None:
    if base in paper_models().index:
        return str(paper_models().loc[base, "hf_repo"])
    return base if _HUB.match(base) else None


def _hub_commit(repository: str) -> str:
    """Commit of a hub model, the newest one if the hub answers and the one kept here if not."""
    return _hub_file(repository, "config.json").parent.name


def _hub_file(repository: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, file))
    except (OSError, ValueError) as error:
        raise _not_loaded(repository, None, error) from error


def _hub_folder(repository: str) -> Path:
    """Folder in the hub's local cache with a model's configuration and weights."""
    folder = _hub_file(repository, "config.json").parent
    if not any(folder.glob("*.safetensors")):
        _hub_file(repository, "model.safetensors")
    return folder
