"""What a page needs and is not at hand: data of its study, weights of its language models.

The book is built without the network: a part of a page that lacks something is replaced by a note
with the command that fetches it.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brainalign.companion.parameters import read_schema
from brainalign.errors import InputError

if TYPE_CHECKING:
    from brainalign.companion.run import Execution

_HUB_COMMAND = "hf download"
_PREPARE = "brainalign prepare"


@dataclass(frozen=True)
class Lack:
    """Something that is not on this machine, and the command that fetches it."""

    what: str
    command: str


def study_lack(
    study: str, options: Mapping[str, Any] | None = None, responses: bool = False
) -> Lack | None:
    """What is missing of a study's data; None if it is all there, or needs none.

    Parameters
    ----------
    study
        Any value of a `study` parameter; "published" and unknown names need no files.
    options
        Of the study: responses of single listeners have to be prepared.
    responses
        Whether the responses of a published average listener are needed, which are optional files.
    """
    from brainalign.studies import is_path, registry, study_names

    options = options or {}
    if study is None or not (study in study_names() or is_path(study)):
        return None
    missing = registry.missing_files(study)
    if not missing and (is_path(study) or options.get("responses") == "openneuro"):
        return _listeners_lack(study, options)
    command = f"brainalign fetch {study}"
    if responses and not missing:
        missing, command = _missing_averages(study), f"{command} --all"
    if not missing:
        return None
    size = sum(file.size or 0 for file in missing)
    amount = f", {size / 1e6:.1f} MB" if size >= 1e5 else f", {size / 1e3:.0f} kB"
    files = "1 file" if len(missing) == 1 else f"{len(missing)} files"
    # Some collections do not state the sizes of their files.
    return Lack(f"data of {study} ({files}{amount if size else ''})", command)


def _missing_averages(study: str) -> list:
    """Files of a published average listener that are not there."""
    from brainalign.studies import registry
    from brainalign.studies.petitprince.languages import LANGUAGES

    if study not in LANGUAGES:
        return []
    language = LANGUAGES[study]
    averages = {language.average(run) for run in range(len(language.n_scans))}
    files = [file for file in registry.optional_files(study) if file.path in averages]
    return [file for file in files if not registry.local_path(file).is_file()]


def _listeners_lack(study: str, options: Mapping[str, Any]) -> Lack | None:
    """Listeners whose images are not fetched or not prepared: those named, all of one's own study.

    Of a public corpus some are enough where none is named.
    """
    from brainalign.studies import is_path, study_preparation
    from brainalign.studies.preparation import prepared_subjects, subjects_at_hand

    images = study_preparation(study, **options)
    ready, fetched = prepared_subjects(images), subjects_at_hand(images)
    wanted = images.subjects
    if not (options.get("subjects") or is_path(study)):
        wanted = () if ready else fetched or wanted
    missing = [name for name in wanted if name not in ready]
    if not missing:
        return None
    absent = [name for name in missing if name not in fetched]
    everybody = tuple(absent or missing) == images.subjects and not options.get("subjects")
    names = "all" if everybody else " ".join(absent or missing)
    verb, what = ("fetch", "images") if absent else ("prepare", "prepared responses")
    listed = "all listeners" if everybody else ", ".join(absent or missing)
    return Lack(
        f"{what} of {listed} in {study}",
        f"brainalign {verb} {shlex.quote(study)} --subjects {names}",
    )


def model_lack(name: str) -> Lack | None:
    """What is missing of a language model; None if its weights are here or it needs none."""
    from brainalign import models

    if models.available(name):
        return None
    base, _ = models.split_name(name)
    what = "word vectors" if models.parse_baseline(base) else "language model"
    return Lack(f"{what} {base}", models.fetch_command(base))


def model_names(execution: "Execution", named: bool = False) -> list[str]:
    """Language models and baselines that an execution will ask for; or only those it names."""
    from brainalign.scores import chosen_models

    schema = read_schema(execution.notebook, execution.path)
    names = []
    for name, parameter in schema.items():
        value = execution.parameters[name]
        if "ModelName" not in parameter.type:
            continue
        if value is not None or (name == "models" and not named):
            value = [value] if isinstance(value, str) else value
            names += chosen_models(execution.parameters["study"], value)
    return list(dict.fromkeys(names))


def lacks(execution: "Execution") -> list[Lack]:
    """Everything that an execution needs and is not on this machine; cheap, reads no data."""
    from brainalign.studies import is_path, study_names

    study = execution.parameters.get("study")
    if study is None or not (study in study_names() or is_path(study)):
        return []
    models = model_names(execution)
    options = execution.parameters.get("study_options")
    found = [study_lack(study, options, responses=bool(models)), *map(model_lack, models)]
    return list(dict.fromkeys(lack for lack in found if lack))


def require(execution: "Execution") -> None:
    """Refuse an execution that could only fail.

    Models on the hub are fetched when they are used, unless `HF_HUB_OFFLINE` is set.

    Raises
    ------
    InputError
        Naming what is missing and the command that fetches it.
    """
    for lack in lacks(execution):
        if not lack.command.startswith(_HUB_COMMAND) or _is_offline():
            verb = "prepare" if lack.command.startswith(_PREPARE) else "fetch"
            raise InputError(f"Not on this machine: {lack.what}; {verb} with `{lack.command}`.")


def _is_offline() -> bool:
    """Whether the hub is not to be asked."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


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
