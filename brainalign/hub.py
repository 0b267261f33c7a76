"""Language models on the Hugging Face hub: their addresses, and their files.

Files are fetched once, then taken from the hub's local cache. Nothing but configurations,
tokenizers and weights is fetched, never a program. Access to models whose owners ask for it is by
the hub's own login or the variable HF_TOKEN, which is read by the hub's client and by nothing here.
"""

import errno
import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from brainalign.errors import InputError
from brainalign.files import PACKAGE

TABLES = PACKAGE / "published"
#: Languages of the paper's listeners, each with a table of language models.
LANGUAGES = ("en", "fr", "cn")
#: Steps of training at which the paper read Pythia-6.9b; the hub has 154 of each size.
PYTHIA_STEPS = (0, 1000, 14_000, 36_000, 72_000, 143_000)
MAIN = "main"
#: Name of a model after a step of training.
CHECKPOINT = re.compile(r"^(?P<base>.+):step-(?P<step>\d+)$")

_ADDRESS = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")

_CONFIGURATION = ("config.json",)
_TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "tokenizer.model"),
)
# Tried in this order.
_WEIGHTS = (
    ("model*.safetensors", "model.safetensors.index.json"),
    ("pytorch_model*.bin", "pytorch_model.bin.index.json"),
)


class HubAddress(NamedTuple):
    """Where a model is on the hub: its address and revision, and the address of its tokenizer."""

    model: str
    revision: str
    tokenizer: str


@cache
def table(name: str) -> pd.DataFrame:
    """Table of models on the hub: those of one of the paper's languages, or "pythia".

    Returns
    -------
    pandas.DataFrame
        One row per name; columns hf_repo, family, n_parameters, n_layers, n_hidden, tokenizer (its
        address).
    """
    found = pd.read_csv(TABLES / f"models_{name}.csv", index_col="name")
    if "tokenizer" not in found:
        found["tokenizer"] = found["hf_repo"]
    return found[["hf_repo", "family", "n_parameters", "n_layers", "n_hidden", "tokenizer"]]


@cache
def named_models() -> pd.DataFrame:
    """All models on the hub that have a short name, each once; columns as those of `table`."""
    together = pd.concat([table(name) for name in (*LANGUAGES, "pythia")])
    return together[~together.index.duplicated()]


def find_address(base: str) -> HubAddress | None:
    """Where a model without its variant is on the hub; None for what can be no model there."""
    step, short = CHECKPOINT.match(base), without_step(base)
    revision = f"step{int(step['step'])}" if step else MAIN
    if short in named_models().index:
        row = named_models().loc[short]
        return HubAddress(row["hf_repo"], revision, row["tokenizer"])
    return HubAddress(short, revision, short) if _ADDRESS.match(short) else None


def without_step(base: str) -> str:
    """Name of a model without the step of training behind it."""
    found = CHECKPOINT.match(base)
    return found["base"] if found else base


def page(address: str) -> str:
    """Web page of a model, where access is asked for."""
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{address}"


def commit(address: str, revision: str = MAIN) -> str:
    """Commit of a hub model, the newest one if the hub answers and the one kept here if not."""
    return configuration_folder(address, revision).name


def configuration_folder(address: str, revision: str = MAIN) -> Path:
    """Folder in the hub's cache with a model's configuration.

    Parameters
    ----------
    address
        "owner/name".
    revision
        Branch or tag, such as "step1000".

    Raises
    ------
    InputError
        For a model that is neither here nor to be had; saying what helps.
    """
    from huggingface_hub import hf_hub_download

    with _explained(address, revision):
        return Path(hf_hub_download(address, "config.json", revision=revision)).parent


def tokenizer_folder(address: str) -> Path:
    """Folder in the hub's cache with a model's tokenizer, of the main revision; raises as above."""
    return _snapshot(address, MAIN, (*_CONFIGURATION, *_TOKENIZER))


def weights_folder(address: str, revision: str = MAIN) -> Path:
    """Folder in the hub's cache with a model's configuration and weights.

    Safetensors are taken where there are any, and PyTorch files elsewhere.

    Raises
    ------
    InputError
        As `configuration_folder`, and for a model without either.
    """
    failure = None
    for patterns in _WEIGHTS:
        try:
            folder = _snapshot(address, revision, (*_CONFIGURATION, *patterns))
        except InputError as error:
            failure = failure or error
            continue
        if _complete(folder, patterns):
            return folder
    raise failure or InputError(
        f"Model {address!r} has neither all of its weights in safetensors nor in PyTorch files "
        f"(revision {revision}); see {page(address)}, and connect once if they are there."
    )


def is_cached(address: HubAddress) -> bool:
    """Whether weights and tokenizer are in the hub's cache; looks for files, reads next to none."""
    weights = _cached_folder(address.model, address.revision)
    tokenizer = _cached_folder(address.tokenizer, MAIN)
    if weights is None or tokenizer is None:
        return False
    known = any((tokenizer / name).is_file() for name in _TOKENIZER)
    return known and any(_complete(weights, patterns) for patterns in _WEIGHTS)


def _cached_folder(address: str, revision: str) -> Path | None:
    """Folder in the hub's cache with a model's configuration; None where it has none."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(address, "config.json", revision=revision)
    return Path(found).parent if isinstance(found, str) else None


def download_command(address: HubAddress) -> str:
    """Command that fetches a model, for a machine that has a network."""
    command = f"hf download {address.model}"
    if address.revision != MAIN:
        command += f" --revision {address.revision}"
    if (address.tokenizer, MAIN) != address[:2]:
        wanted = " ".join((*_CONFIGURATION, *_TOKENIZER))
        command += f" && hf download {address.tokenizer} {wanted}"
    return command


def _complete(folder: Path, patterns: Sequence[str]) -> bool:
    """Whether weights of one kind are there, all parts of them where there are several."""
    files, index = patterns
    if (folder / index).is_file():
        parts = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"].values()
        return all((folder / part).is_file() for part in parts)
    return any(folder.glob(files))


def _snapshot(address: str, revision: str, patterns: Sequence[str]) -> Path:
    """Folder with some of a model's files, fetched unless they are in the hub's cache."""
    from huggingface_hub import snapshot_download

    with _explained(address, revision):
        return Path(snapshot_download(address, revision=revision, allow_patterns=list(patterns)))


@contextmanager
def _explained(address: str, revision: str) -> Iterator[None]:
    """Turn what the hub's client raises inside the block into one sentence."""
    from huggingface_hub.utils import disable_progress_bars, logging

    # It announces every attempt to reach the hub; one sentence says how that ended.
    logging.set_verbosity_error()
    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        yield
    except Exception as error:  # those of several libraries come through
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise _refused(address, revision, error) from None


def _refused(address: str, revision: str, error: Exception) -> InputError:
    """What to say of a model that cannot be had from the hub; never with a token in it."""
    from huggingface_hub import errors, get_token

    if isinstance(error, errors.GatedRepoError):
        has = "the token in use has no access to it" if get_token() else "no token was given"
        return InputError(
            f"Model {address!r} is open only to those who ask, and {has}: ask at {page(address)}, "
            "then log in with `hf auth login` or set the variable HF_TOKEN."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(
            f"There is no model {address!r} at {page(address)}, or it is private and the hub does "
            "not know who asks (`hf auth login`, or the variable HF_TOKEN)."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"Model {address!r} has no revision {revision!r}; see {page(address)}.")
    sentence = (
        f"Model {address!r} is not on this machine and could not be fetched from the Hugging Face "
        "hub; connect once, or name a local folder"
    )
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        return InputError(f"{sentence}.")
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    if token := get_token():
        reason = reason.replace(token, "(token)")
    return InputError(f"{sentence} ({reason}).")
