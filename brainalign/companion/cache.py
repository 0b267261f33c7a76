"""Executed pages are kept, and executed again only when something they depend on has changed.

A page depends on its notebook, its resolved parameters, the scores it read, the data that ship
with the package, the source of the modules of brainalign that its kernel had loaded at the end,
and the versions of the packages that these import.
"""

import ast
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from brainalign.companion.run import Execution, execute
from brainalign.errors import InputError
from brainalign.files import PACKAGE, cache_folder, file_sha256

PARTS = ("notebook", "parameters", "scores", "data", "code", "versions")
# Folders of data files inside the package, by the module that reads them.
_PACKAGE_DATA = {"brainalign.published": "published"}


def page_folder(execution: Execution) -> Path:
    """Where the executed page of these very parameters is kept."""
    return cache_folder() / "pages" / execution.name


def module_path(name: str) -> Path:
    """Source file of a module of brainalign, whether or not it exists."""
    stem = PACKAGE.joinpath(*name.split(".")[1:])
    return stem / "__init__.py" if stem.is_dir() else stem.with_suffix(".py")


@cache
def _imported(source: str) -> frozenset[str]:
    """Top-level names that a piece of Python imports; none where it is not Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return frozenset()
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return frozenset(names - {"brainalign"} - set(sys.stdlib_module_names))


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


_version = cache(metadata.version)


def package_versions(sources: Iterable[str]) -> dict[str, str]:
    """Versions of the installed packages that pieces of Python import, and of Python itself."""
    names = set().union(*map(_imported, sources))
    packages = {name for top in names for name in _distributions().get(top, [])}
    found = {name: _version(name) for name in sorted(packages, key=str.lower)}
    return {"python": ".".join(map(str, sys.version_info[:3]))} | found


def dependencies(execution: Execution, modules: Iterable[str], scores: list[dict]) -> dict:
    """Everything that a page depends on, as it is now.

    Parameters
    ----------
    execution
        The notebook and its parameters.
    modules
        Names of the modules of brainalign that the page's kernel had loaded.
    scores
        What the page read, as `encode` notes it: study, model, settings, key.

    Returns
    -------
    dict
        `PARTS` to JSON-serialisable values; two are equal exactly if the page need not be
        executed again.
    """
    from brainalign.companion.notebooks import read_notebook

    paths = {name: module_path(name) for name in sorted(modules)}
    code = {name: path.read_text() for name, path in paths.items() if path.is_file()}
    cells = read_notebook(execution.path).cells
    source = [cell.source for cell in cells if cell.cell_type == "code"]
    return {
        "notebook": file_sha256(execution.path),
        "parameters": execution.parameters,
        "scores": {_score_name(score): _score_key(json.dumps(score)) for score in scores},
        "data": _data(execution, modules),
        "code": {name: file_sha256(paths[name]) for name in code},
        "versions": package_versions([*code.values(), *source]),
    }


def _score_name(score: Mapping) -> str:
    """Name of a score in messages: model, study, and settings where they matter."""
    study = score["study"]
    options = json.dumps(study.get("options") or {}, sort_keys=True)
    return f"{score['model']} on {study['name']} {options} {json.dumps(score['settings'])}"


@cache
def _study_fingerprint(name: str, options: str) -> str:
    from brainalign.studies import study_fingerprint

    return study_fingerprint(name, **json.loads(options))


@cache
def _score_key(score: str) -> str:
    """Key that a score would have now; a sentence where it cannot be said any more."""
    from pydantic import TypeAdapter

    from brainalign.encoding import EncodingSettings, score_key

    parts = json.loads(score)
    try:
        settings = TypeAdapter(EncodingSettings).validate_python(parts["settings"])
        options = json.dumps(parts["study"].get("options") or {})
        fingerprint = _study_fingerprint(parts["study"]["name"], options)
        return score_key(fingerprint, parts["model"], settings)
    except (InputError, ValueError, TypeError, OSError) as error:
        return f"cannot be identified: {error}"


def _data(execution: Execution, modules: Iterable[str]) -> dict[str, str]:
    """Fingerprints of the study named by the parameters and of data files in the package."""
    from brainalign.studies import is_path, study_names

    found = {}
    study = execution.parameters.get("study")
    if isinstance(study, str) and (study in study_names() or is_path(study)):
        options = json.dumps(execution.parameters.get("study_options") or {})
        found[f"study {study}"] = _study_fingerprint(study, options)
    for module in set(modules) & set(_PACKAGE_DATA):
        for path in sorted((PACKAGE / _PACKAGE_DATA[module]).glob("*")):
            if path.is_file() and path.suffix != ".py":
                found[f"{_PACKAGE_DATA[module]}/{path.name}"] = file_sha256(path)
    return found


def read_scores(folder: Path) -> list[dict]:
    """What a run noted of the scores it read, each once."""
    return _noted(folder / "scores.jsonl")


def read_models(folder: Path) -> list[str]:
    """Language models and baselines whose activations a run read, sorted."""
    return sorted(line["model"] for line in _noted(folder / "models.jsonl"))


def _noted(path: Path) -> list[dict]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in dict.fromkeys(lines) if line.strip()]


def read_modules(folder: Path) -> list[str]:
    """Modules of brainalign that a run's kernel had loaded."""
    path = folder / "modules.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def _provenance(folder: Path) -> dict:
    """What is known of a kept page; empty where there is no complete one."""
    path = folder / "provenance.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def recorded(folder: Path) -> dict | None:
    """What a kept page depended on; None where there is no complete page."""
    return _provenance(folder).get("dependencies")


def seconds(execution: Execution) -> float:
    """How long a page took when it was last executed; infinite where it never was."""
    return _provenance(page_folder(execution)).get("seconds", float("inf"))


def cpu_seconds(execution: Execution) -> float | None:
    """How long a page kept a processor busy, all cores together; None where that is not known."""
    return _provenance(page_folder(execution)).get("cpu_seconds")


def _differences(before: Mapping, now: Mapping) -> list[str]:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return sorted(names)


def _listed(names: list[str], most: int = 4) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def stale_reasons(execution: Execution) -> list[str]:
    """Why a page has to be executed; empty if it is up to date.

    Returns
    -------
    list of str
        One entry for each part that changed, beginning with its name: "code: brainalign.plots".
    """
    folder = page_folder(execution)
    before = recorded(folder)
    if before is None:
        return [_never_executed(execution)]
    if not (folder / "figures").is_dir():
        return ["figures: not kept as files"]
    now = dependencies(execution, read_modules(folder), read_scores(folder))
    reasons = []
    for part in PARTS:
        if before.get(part) == now[part]:
            continue
        if part == "notebook":
            reasons.append(f"notebook: {execution.path.name}")
            continue
        names = _differences(before.get(part, {}), now[part])
        if part == "scores":
            # The settings make the names unique; without them they can be read.
            names = sorted({name.split(" {")[0] for name in names})
        if part == "versions":
            old, new = before.get(part, {}), now[part]
            names = [f"{n} {old.get(n, 'absent')} → {new.get(n, 'absent')}" for n in names]
        reasons.append(f"{part}: {_listed(names)}")
    return reasons


def _never_executed(execution: Execution) -> str:
    """Reason for a page that is not there: the parameters that set it apart from one that is."""
    kept = []
    for folder in (cache_folder() / "pages").glob(f"{execution.notebook}-*"):
        values = (recorded(folder) or {}).get("parameters")
        if values is not None:
            kept.append(_differences(values, execution.parameters))
    if not kept:
        return "never executed"
    return f"parameters: never executed with this {_listed(min(kept, key=len))}"


def refresh(execution: Execution, warm: bool = False) -> Path:
    """Execute a page and keep it in place of the one kept before.

    Parameters
    ----------
    execution, warm
        As for `run.execute`.

    Returns
    -------
    pathlib.Path
        Folder with NOTEBOOK.ipynb, figures and results.

    Raises
    ------
    WorkError
        If the notebook fails; the page kept before stays.
    """
    target = page_folder(execution)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=target.parent))
    try:
        execute(execution, folder, warm)
        (folder / "figures").mkdir(exist_ok=True)
        if target.exists():
            os.replace(target, folder.with_name(f"{folder.name}-old"))
        os.replace(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder.with_name(f"{folder.name}-old"), ignore_errors=True)
    return target
