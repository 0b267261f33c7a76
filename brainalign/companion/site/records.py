"""What is on record of the executions that a book rests on: runs, scores, data files, weights."""

import copy
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from brainalign.companion import cache
from brainalign.companion.availability import Lack, lacks, model_names
from brainalign.companion.notebooks import read_notebook, title
from brainalign.files import atomic_path, cache_folder, file_sha256
from brainalign.studies.registry import DataFile

if TYPE_CHECKING:
    from brainalign.companion.run import Execution

#: Value of `study` for which nothing is computed from brain responses.
PUBLISHED = "published"
_SOURCES = Path("book/executed/records.json")


@dataclass(frozen=True)
class Record:
    """One execution that a page of the book shows.

    Attributes
    ----------
    execution : Execution
        The notebook and its parameters.
    title : str
        Of the page.
    provenance : dict
        As `provenance.write` left it.
    scores : tuple of dict
        Settings of every score that was read, each once: `study`, `model`, `encoding`, `versions`,
        and the number of `folds` where it is known.
    models : tuple of str
        Language models and baselines that were used, sorted.
    """

    execution: "Execution"
    title: str
    provenance: dict[str, Any]
    scores: tuple[dict[str, Any], ...] = ()
    models: tuple[str, ...] = ()

    @property
    def study(self) -> str:
        """Name of the study; empty where the notebook has none."""
        return str(self.execution.parameters.get("study") or "")


class Weights(NamedTuple):
    """A file of weights that models were loaded from: models, its name, bytes and SHA-256."""

    models: tuple[str, ...]
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Book:
    """Everything that is on record of a book.

    Attributes
    ----------
    records : tuple of Record
        In the order of the pages.
    left_out : tuple of (Execution, list of Lack)
        Executions that need something which is not on this machine.
    files : dict of str to list of (DataFile, pathlib.Path)
        Study to its files at hand.
    weights : tuple of Weights
        Files that models were loaded from.
    hub : dict of str to str
        Model to its address and revision on the hub.
    """

    records: tuple[Record, ...]
    left_out: tuple[tuple["Execution", list[Lack]], ...] = ()
    files: dict[str, list[tuple[DataFile, Path]]] = field(default_factory=dict)
    weights: tuple[Weights, ...] = ()
    hub: dict[str, str] = field(default_factory=dict)


def read_book(pages: Mapping[str, Sequence["Execution"]]) -> Book:
    """Collect what is on record of the pages of a book.

    Parameters
    ----------
    pages
        Notebook to its executions, from `book.plan_pages`.
    """
    records, left_out = [], []
    for executions in pages.values():
        for execution in {execution.name: execution for execution in executions}.values():
            if missing := lacks(execution):
                left_out.append((execution, missing))
            elif cache.recorded(cache.page_folder(execution)) is not None:
                records.append(read_record(execution))
    studies = dict.fromkeys(record.study for record in records)
    models = sorted(set().union(*(record.models for record in records)))
    return Book(
        tuple(records),
        tuple(left_out),
        {study: found for study in studies if (found := files_at_hand(study))},
        tuple(weights(models)),
        hub_addresses(models),
    )


def note_sources(root: Path, pages: Mapping[str, Sequence["Execution"]]) -> Path:
    """Note in the book's folder what `read_book` would read, so that it is read when that changed.

    Parameters
    ----------
    root
        The book's folder.
    pages
        As for `read_book`.

    Returns
    -------
    pathlib.Path
        A file of JSON: checksum of the record of every execution, files of every study at hand. It
        is not written again where it would say the same.
    """
    shown = {one.name: one for executions in pages.values() for one in executions}
    kept = {name: cache.page_folder(one) / "provenance.json" for name, one in shown.items()}
    studies = dict.fromkeys(str(one.parameters.get("study") or "") for one in shown.values())
    noted = {
        "executions": {n: file_sha256(path) for n, path in kept.items() if path.is_file()},
        "files": {
            study: {file.path: path.stat().st_size for file, path in files_at_hand(study)}
            for study in studies
        },
    }
    text = json.dumps(noted, indent=1) + "\n"
    target = root / _SOURCES
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        with atomic_path(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return target


def read_record(execution: "Execution") -> Record:
    """Read what a kept page left behind."""
    folder = cache.page_folder(execution)
    provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    scores = tuple(map(_score_settings, provenance.get("scores", [])))
    models = {score["model"]["name"] for score in scores} | set(provenance.get("models", []))
    if execution.parameters.get("study") not in (None, PUBLISHED):
        # What was read is on record; parameters say more of models that are not read by scans.
        models |= set(model_names(execution, named=bool(models)))
    page = title(read_notebook(execution.path))
    return Record(execution, page, provenance, scores, tuple(sorted(models)))


def _score_settings(noted: Mapping) -> dict[str, Any]:
    """How a score was made, from its file; what the page noted of it where that has gone."""
    import h5py

    path = cache_folder() / "scores" / f"{noted['key']}.nc"
    if not path.is_file():
        encoding = noted["settings"]
        return {"study": noted["study"], "model": {"name": noted["model"]}, "encoding": encoding}
    with h5py.File(path) as file:
        settings = json.loads(file.attrs["settings"])
        return settings | {"folds": int(file["r_fold"].shape[_fold_axis(file["r_fold"])])}


def _fold_axis(variable) -> int:
    names = [variable.dims[axis][0].name.rpartition("/")[2] for axis in range(variable.ndim)]
    return names.index("fold")


def files_at_hand(study: str) -> list[tuple[DataFile, Path]]:
    """Files of a study that are on this machine, needed or optional, and where they lie."""
    from brainalign.studies import registry, study_names

    if study not in study_names():
        return []
    files = {(file.collection, file.path): file for file in registry.data_files(study)}
    files |= {(file.collection, file.path): file for file in registry.optional_files(study)}
    found = [(file, registry.local_path(file)) for file in files.values()]
    return [(file, path) for file, path in found if path.is_file()]


def shown_study(study: str) -> str:
    """A study as readers see it: of a local folder, which would give away a path, its last part."""
    from brainalign.studies import is_path

    return Path(study).name if study and is_path(study) else study


def without_path(text: str, study: object) -> str:
    """A text to be published, in which a study that is a local folder is named by its last part."""
    shown = shown_study(str(study or ""))
    if shown == study or not shown:
        return text
    paths = {str(study), str(Path(study).expanduser()), str(Path(study).expanduser().resolve())}
    for path in sorted(paths - {shown}, key=len, reverse=True):
        # As it is, and as JSON and web pages write it; no part of a longer path.
        before = "" if path.startswith(("/", "~")) else r"(?<![\w./-])"
        for written in dict.fromkeys([path, json.dumps(path)[1:-1], html.escape(path)]):
            text = re.sub(rf"{before}{re.escape(written)}(?![\w-])", lambda _: shown, text)
    return text


def notebook_without_path(notebook, study: object):
    """A copy of a notebook that is named as in `without_path`, in its cells and what they printed.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Executed or not; it stays as it is.
    study
        As for `without_path`.

    Returns
    -------
    nbformat.NotebookNode
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        cell.source = without_path(cell.source, study)
        for output in cell.get("outputs", []):
            if "text" in output:
                output["text"] = without_path(output["text"], study)
            data = output.get("data", {})
            for kind in (kind for kind in data if kind.startswith("text/")):
                data[kind] = without_path(data[kind], study)
    return notebook


def published_result(path: Path, study: object) -> bytes:
    """A file of results as the website offers it: no local path in JSON and tables."""
    if path.suffix not in (".json", ".csv"):
        return path.read_bytes()
    return without_path(path.read_text(encoding="utf-8"), study).encode()


def base_name(model: str) -> str:
    """A model without its variant: untrained copies and checkpoints belong to one model."""
    return model.partition(":")[0]


def weights(models: Iterable[str]) -> list[Weights]:
    """Files of weights on this machine that models were loaded from, except from the hub.

    Untrained copies draw theirs and have no file.
    """
    from brainalign import models as table

    users: dict[Path, list[str]] = {}
    for name in models:
        base, seed = table.split_name(name)
        folder = table.model_folder(base) or table.ZOO / base
        paths = [] if seed is not None or not folder.is_dir() else sorted(folder.iterdir())
        for path in paths:
            if path.suffix in (".safetensors", ".npz", ".npy"):
                users.setdefault(path, []).append(name)
    return [
        Weights(tuple(names), _weights_name(path, names[0]), path.stat().st_size, file_sha256(path))
        for path, names in sorted(users.items(), key=lambda item: item[1])
    ]


def _weights_name(path: Path, model: str) -> str:
    """A file of weights without the folders above its model."""
    from brainalign.models import ZOO

    inside = path.is_relative_to(ZOO)
    return path.relative_to(ZOO).as_posix() if inside else f"{base_name(model)}/{path.name}"


def hub_addresses(models: Iterable[str]) -> dict[str, str]:
    """Models that come from the hub, with address and revision."""
    from brainalign import models as table

    found = {}
    for name in models:
        base, _ = table.split_name(name)
        known = table.parse_baseline(base) or (table.ZOO / base).is_dir()
        if not known and (address := table.hub_address(base)):
            found[name] = f"{address.model}, revision {address.revision}"
    return found


def distinct(values: Iterable[Any]) -> list[Any]:
    """Values that differ, in the order of their first appearance; also of lists and mappings."""
    seen = {json.dumps(value, sort_keys=True): value for value in values}
    return list(seen.values())


def versions(records: Iterable[Record]) -> dict[str, list[str]]:
    """Package to the versions that executions and the scores they read were made with, sorted."""
    found: dict[str, set[str]] = {}
    for record in records:
        kept = [record.provenance["versions"], *(s.get("versions", {}) for s in record.scores)]
        for name, version in (pair for part in kept for pair in part.items()):
            found.setdefault(name, set()).add(version)
    return {name: sorted(found[name]) for name in sorted(found, key=str.lower)}


def commit_text(git: Mapping | None, length: int = 10) -> str:
    """A commit, and whether files differed from it."""
    if not git:
        return "not under git"
    return f"{git['commit'][:length]}{', files differed' if git['dirty'] else ''}"
