"""Checklists of good practice, their answers filled from the records of the book's executions.

`checklists/*.yml` hold the items. An answer is a text with `$names`, which stand for what the
records say: folds, penalties, seeds, versions, times, licences. A name that the records do not have
is an error, so that no answer is left unfilled.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

import yaml

from brainalign.companion.site.record_pages import in_bytes, in_minutes
from brainalign.companion.site.records import (
    Book,
    Record,
    commit_text,
    distinct,
    shown_study,
    versions,
)
from brainalign.errors import InputError
from brainalign.models import MINILM, ZOO

#: Checklists, each a page of the book and a file below `checklists/`.
CHECKLISTS = ("cobidas", "neurips")
_FOLDER = Path(__file__).with_name("checklists")
_KINDS = ("answer", "studies", "fitted")
_PACKAGES = ("python", "numpy", "torch", "transformers", "himalaya", "nilearn", "statsmodels")
_NOT_FITTED = "Not fitted here."
_MINILM = (
    "MiniLM {cite}`wang2020minilm`, as all-MiniLM-L6-v2 of sentence-transformers; Apache 2.0, read "
    "from a package under the MIT licence."
)
_SEED = re.compile(r"(\w+_)?seed")
_DRAW = re.compile(r"n_(boot|null|permutations|shuffles|splits|draws|random)|null_brains|\w+_seeds")


@cache
def read_checklist(name: str) -> tuple[dict[str, Any], ...]:
    """Sections of a checklist.

    Returns
    -------
    tuple of dict
        Each with a `title` and `items`.

    Raises
    ------
    InputError
        For an item without exactly one kind of answer.
    """
    path = _FOLDER / f"{name}.yml"
    sections = yaml.safe_load(path.read_text(encoding="utf-8"))["sections"]
    for item in (item for section in sections for item in section["items"]):
        if len(set(item) & set(_KINDS)) != 1:
            raise InputError(
                f"{path.name}: item {item.get('item')!r} has {sorted(set(item) - {'item'})}; exactly "
                f"one of {', '.join(_KINDS)} is expected."
            )
    return tuple(sections)


def checklist_text(book: Book, name: str) -> str:
    """Markdown of a checklist with its answers.

    Parameters
    ----------
    book
        From `records.read_book`.
    name
        One of `CHECKLISTS`.

    Raises
    ------
    InputError
        If an answer asks for something that is not on record.
    """
    if not book.records:
        return "Nothing has been executed yet, so that there is nothing to answer from.\n"
    common = book_facts(book)
    facts = {study: common | study_facts(book, study) for study in _studies(book)}
    parts = []
    for section in read_checklist(name):
        parts.append(f"## {section['title']}")
        parts += [_item_text(item, common, facts) for item in section["items"]]
    return "\n\n".join(parts) + "\n"


def _studies(book: Book) -> list[str]:
    return list(dict.fromkeys(record.study for record in book.records if record.study))


def _item_text(item: Mapping, common: Mapping, facts: Mapping[str, Mapping]) -> str:
    """One item as an entry of a definition list."""
    where = f"item {item['item']!r}"
    # "1." would begin a numbered list.
    asked = re.sub(r"^(\d+)\.", r"\1\\.", item["item"])
    if "answer" in item:
        return f"{asked}\n: {fill(item['answer'], common, where)}"
    answers: dict[str, list[str]] = {}
    for study, known in facts.items():
        if "fitted" in item:
            fitted = "n_scores" in known
            answer = fill(item["fitted"], known, where) if fitted else _NOT_FITTED
        else:
            answer = fill(study_answer(item["studies"], study), known, where)
        answers.setdefault(answer, []).append(f"`{shown_study(study)}`")
    # Those without scores come last.
    ordered = sorted(answers.items(), key=lambda pair: pair[0] == _NOT_FITTED)
    return "\n".join([asked, *(f": {', '.join(names)}: {answer}" for answer, names in ordered)])


def study_answer(answers: Mapping[str, str], study: str) -> str:
    """Answer of a study: its own, that of its corpus ("petitprince-en"), or "other"."""
    corpus = study.partition("-")[0]
    return answers.get(study) or answers.get(corpus) or answers["other"]


def fill(template: str, facts: Mapping[str, str], where: str = "template") -> str:
    """Put what is on record into an answer.

    Raises
    ------
    InputError
        For a name that is not on record.
    """
    try:
        return Template(template).substitute(facts).strip()
    except (KeyError, ValueError) as error:
        raise InputError(
            f"Checklists, {where}: {error} is not on record; known are {', '.join(sorted(facts))}."
        ) from None


def book_facts(book: Book) -> dict[str, str]:
    """What the records say of the whole book, as texts by name."""
    records = book.records
    seconds = [record.provenance["seconds"] for record in records]
    found = versions(records)
    files = {(f.collection, f.path): path for part in book.files.values() for f, path in part}
    return {
        "n_executions": str(len(records)),
        "n_pages": str(len({record.execution.notebook for record in records})),
        "total_time": in_minutes(sum(seconds)),
        "longest_time": in_minutes(max(seconds)),
        "machines": "; ".join(map(_machine, distinct(r.provenance["machine"] for r in records))),
        "commits": "; ".join(map(commit_text, distinct(r.provenance["git"] for r in records))),
        "packages": ", ".join(f"{p} {' and '.join(found[p])}" for p in _PACKAGES if p in found),
        "n_models": str(len({name for record in records for name in record.models})),
        "n_weights": str(sum((ZOO / one.name).is_file() for one in book.weights)),
        "pretrained": _pretrained(book),
        "n_files": str(len(files)),
        "data_size": in_bytes(sum(path.stat().st_size for path in files.values())),
        "seeds": _values(records, _SEED),
        "draws": _values(records, _DRAW),
        "layer_rule": _listed(r.execution.parameters.get("layer_rule") for r in records),
    }


def _pretrained(book: Book) -> str:
    """Language models that were trained elsewhere, with their licences where these are known."""
    told = [_MINILM] if any(MINILM in record.models for record in book.records) else []
    if book.hub:
        addresses = "; ".join(dict.fromkeys(book.hub.values()))
        told.append(f"From the hub, under the licences stated there: {addresses}.")
    return " ".join([*told, "The testbed's own were trained by this project; BSD 3-Clause."])


def _machine(machine: Mapping) -> str:
    return "{system}, {processor}, {cores} cores, Python {python}".format_map(machine)


def _values(records: Iterable[Record], names: re.Pattern[str]) -> str:
    """Values that parameters had, over all executions: "`seed`: 0; `n_boot`: 1000." """
    found: dict[str, list[Any]] = {}
    for record in records:
        for name, value in record.execution.parameters.items():
            if names.fullmatch(name):
                found.setdefault(name, []).append(value)
    if not found:
        return "None is drawn by these executions."
    return "; ".join(f"`{name}`: {_listed(found[name])}" for name in sorted(found)) + "."


def _listed(values: Iterable[Any]) -> str:
    """Values that differ, sorted as texts where they are not numbers; "none" where there is none."""
    kept = distinct(value for value in values if value is not None)
    numbers = all(isinstance(value, int | float) for value in kept)
    return ", ".join(map(str, sorted(kept, key=None if numbers else str))) or "none"


def study_facts(book: Book, study: str) -> dict[str, str]:
    """What the records say of one study, as texts by name.

    Without `n_scores`, and what belongs to it, where no encoding model was fitted.
    """
    records = [record for record in book.records if record.study == study]
    scores = distinct(score for record in records for score in record.scores)
    files = book.files.get(study, [])
    licences = dict.fromkeys(file.licence for file, _ in files)
    citations = dict.fromkeys(file.citation for file, _ in files)
    size = in_bytes(sum(path.stat().st_size for _, path in files))
    told = [score["study"] for score in scores]
    own = [text for text in (one.get("licence") for one in told) if text]
    cited = [text for text in (one.get("citation") for one in told) if text]
    facts = {
        "files": f"{len(files)} files, {size}" if files else "No files",
        "licence": "; ".join(licences) or _listed(own) or "not known",
        "citation": " ".join(citations) or f"{_listed(cited)}.",
        "tr": " and ".join(_per(told, lambda one: f"{one['tr']:g} s" if "tr" in one else "")),
    }
    facts["tr"] = facts["tr"] or "Not on record"
    return facts | (_fit_facts(records, scores) if scores else {})


def _per(entries: Sequence[Mapping], text) -> list[str]:
    """Texts of entries, each once, empty ones left out."""
    return [found for found in dict.fromkeys(map(text, entries)) if found]


def _varied(entries: Sequence[Mapping], text) -> str:
    """What most entries say, and behind it what others do."""
    usual, *others = [found for found, _ in Counter(map(text, entries)).most_common()]
    if not others:
        return usual
    return f"{usual} ({'variants' if len(others) > 1 else 'variant'}: {'; '.join(others)})"


def _fit_facts(records: Sequence[Record], scores: Sequence[Mapping]) -> dict[str, str]:
    encodings = [score["encoding"] for score in scores]
    studies = [score["study"] for score in scores]
    return {
        "n_scores": str(len(scores)),
        "n_models": str(len({score["model"]["name"] for score in scores})),
        "folds": _varied(scores, _folds),
        "penalties": _varied(encodings, _penalties),
        "validation": " ".join(_per(encodings, _validation)),
        "hrf": _varied(encodings, lambda one: f"`{one['hrf']}`"),
        "high_pass": _varied(studies, _high_pass),
        "trim": _varied(studies, _trim),
        "window": _varied(encodings, _window),
        "confounds": _listed(
            name for record in records for name in record.execution.parameters.get("confounds", [])
        ),
    }


def _folds(score: Mapping) -> str:
    if "folds" not in score:
        return "number of folds not on record"
    n, gap = score["folds"], score["study"].get("gap") or 0
    if score["study"].get("n_folds"):
        return (
            f"{n} contiguous stretches of one run, each in turn the test, {gap} scans between them"
        )
    return f"{n} runs, each in turn the test run"


def _penalties(encoding: Mapping) -> str:
    low, high, number = encoding["alphas"]
    whose = "one for each voxel or region" if encoding["alpha_per_voxel"] else "one for all voxels"
    return f"{number:g} from $10^{{{low:g}}}$ to $10^{{{high:g}}}$, {whose}"


def _validation(encoding: Mapping) -> str:
    if encoding["validation"] == "all":
        return "Penalties are chosen within the training runs, each held out in turn."
    return "Penalties are chosen on the first training run."


def _high_pass(study: Mapping) -> str:
    cutoff = study.get("high_pass")
    if not cutoff:
        return "none removed by this package"
    return f"a line, and cosines slower than 1/{1 / cutoff:.0f} Hz"


def _trim(study: Mapping) -> str:
    first, last = study.get("trim", (0, 0))
    return f"{first} at the start and {last} at the end" if first or last else "None"


def _window(encoding: Mapping) -> str:
    tokens = encoding["activations"]["window"]
    return f"{tokens} tokens" if tokens else "all that it has room for"
