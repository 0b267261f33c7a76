"""What a page needs and is not at hand: data of its study, weights of its language models.

The book is built without the network: a part of a page that lacks something is replaced by a note
with the command that fetches it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brainalign.companion.parameters import read_schema
from brainalign.errors import InputError

if TYPE_CHECKING:
    from brainalign.companion.run import Execution

_HUB_COMMAND = "hf download"


@dataclass(frozen=True)
class Lack:
    """Something that is not on this machine, and the command that fetches it."""

    what: str
    command: str


def study_lack(study: str) -> Lack | None:
    """What is missing of a study's data; None if it is all there, or needs none.

    Parameters
    ----------
    study
        Any value of a `study` parameter; "published" and unknown names need no files.
    """
    from brainalign.studies import registry, study_names

    if study not in study_names():
        return None
    missing = registry.missing_files(study)
    if not missing:
        return None
    size = sum(file.size or 0 for file in missing)
    amount = f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.0f} kB"
    files = "1 file" if len(missing) == 1 else f"{len(missing)} files"
    return Lack(f"data of {study} ({files}, {amount})", f"brainalign fetch {study}")


def model_lack(name: str) -> Lack | None:
    """What is missing of a language model; None if its weights are here or it needs none."""
    from brainalign import models

    if models.available(name):
        return None
    base, _ = models.split_name(name)
    if base == models.MINILM:
        return Lack(f"language model {base}", models.MINILM_COMMAND)
    return Lack(f"language model {base}", f"{_HUB_COMMAND} {models.repository(base)}")


def model_names(execution: "Execution") -> list[str]:
    """Language models and baselines that an execution will ask for."""
    from brainalign.scores import default_models

    schema = read_schema(execution.notebook, execution.path)
    names = []
    for name, parameter in schema.items():
        value = execution.parameters[name]
        if "ModelName" not in parameter.type:
            continue
        if value is None and name == "models":
            value = default_models(execution.parameters["study"])
        names += [value] if isinstance(value, str) else value or []
    return list(dict.fromkeys(names))


def lacks(execution: "Execution") -> list[Lack]:
    """Everything that an execution needs and is not on this machine; cheap, reads no data."""
    from brainalign.studies import study_names

    study = execution.parameters.get("study")
    if study not in study_names():
        return []
    found = [study_lack(study), *map(model_lack, model_names(execution))]
    return list(dict.fromkeys(lack for lack in found if lack))


def require(execution: "Execution") -> None:
    """Refuse an execution that could only fail; models on the hub are fetched when they are used.

    Raises
    ------
    InputError
        Naming what is missing and the command that fetches it.
    """
    for lack in lacks(execution):
        if not lack.command.startswith(_HUB_COMMAND):
            raise InputError(f"Not on this machine: {lack.what}; fetch with `{lack.command}`.")


def in_words(missing: Sequence[Lack]) -> str:
    """What is missing and the commands that fetch it, on one line."""
    names = ", ".join(lack.what for lack in missing)
    return f"not on this machine: {names}; fetch with: {', '.join(_commands(missing))}"


def _commands(missing: Sequence[Lack]) -> list[str]:
    return list(dict.fromkeys(lack.command for lack in missing))


def note(missing: Sequence[Lack]) -> str:
    """Markdown that stands in a page for a part that cannot be executed here."""
    names = ", ".join(lack.what for lack in missing)
    lines = "\n".join([*_commands(missing), "brainalign book"])
    return (
        ":::{admonition} Not on this machine\n:class: note\n"
        f"This part is left out, because it needs {names}. To fetch that and build the book "
        f"again:\n\n```bash\n{lines}\n```\n:::"
    )
