"""The website as an RO-Crate: which execution made which page and which files, from what.

`ro-crate-metadata.json` at the site's root follows RO-Crate 1.1 and the profile of Process Run
Crates 0.5: every execution is a `CreateAction` whose instrument is the notebook, whose objects are
studies, models and parameters, and whose results are the page and its files. What is written is
checked by `crate_checks` first.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from brainalign.companion import WorkError, cache
from brainalign.companion.bibliography import SOURCES, entries, entry, schema_work
from brainalign.companion.project import Project, read_project
from brainalign.companion.site import SITE
from brainalign.companion.site.crate_checks import METADATA, crate_faults
from brainalign.companion.site.records import (
    Book,
    Record,
    base_name,
    published_result,
    shown_study,
    versions,
    without_path,
)
from brainalign.files import atomic_path, file_sha256
from brainalign.studies import is_path

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
SPECIFICATION = "https://w3id.org/ro/crate/1.1"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_SHA256 = "http://schema.org/sha256"
_PROSE_LICENCE = "https://creativecommons.org/licenses/by/4.0/"
_CODE_LICENCE = "https://spdx.org/licenses/BSD-3-Clause"
_LICENCES = {_PROSE_LICENCE: "CC BY 4.0", _CODE_LICENCE: "BSD 3-Clause"}
_NOTEBOOKS = "notebooks"
_OWN_STUDY = "A study of the reader's own"
_TYPES = {
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".csv": "text/csv",
    ".json": "application/json",
    ".pdf": "application/pdf",
}
_IMAGES = {"image/png": ".png", "image/svg+xml": ".svg"}
# Packages that are named as what an execution ran with.
_SOFTWARE = ("python", "numpy", "torch", "transformers", "himalaya", "nilearn")


def is_there(root: Path) -> bool:
    """Whether the website below the book's folder has a crate; one that is built anew has none."""
    return (root / SITE / METADATA).is_file()


def write(root: Path, book: Book) -> Path | None:
    """Write the crate into the built website, with the notebooks that it speaks of.

    Parameters
    ----------
    root
        The book's folder; `_build/html` below it is the website.
    book
        From `records.read_book`.

    Returns
    -------
    pathlib.Path or None
        `ro-crate-metadata.json`; None where nothing has been executed.

    Raises
    ------
    WorkError
        If the crate is not what the specification asks for.
    """
    site = root / SITE
    if not book.records:
        return None
    for name in {record.execution.notebook for record in book.records}:
        target = site / _NOTEBOOKS / f"{name}.ipynb"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(root / "notebooks" / target.name, target)
    crate = crate_of(book, site, read_project(root), root)
    if faults := crate_faults(crate, site):
        raise WorkError(f"The RO-Crate is not valid: {'; '.join(faults[:3])}.")
    text = json.dumps(crate, indent=1, ensure_ascii=False) + "\n"
    target = site / METADATA
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        with atomic_path(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return target


def crate_of(book: Book, site: Path, project: Project, root: Path) -> dict[str, Any]:
    """Content of `ro-crate-metadata.json`.

    Parameters
    ----------
    book
        From `records.read_book`.
    site
        Folder of the website.
    project
        From `project.read_project`.
    root
        The book's folder.
    """
    graph: dict[str, dict] = {}
    actions = [_add_action(graph, record, book, site, project) for record in book.records]
    cited = _add_works(graph, book, root)
    people = [_add(graph, _agent(name)) for name in project.authors]
    for address, name in _LICENCES.items():
        _add(graph, {"@id": address, "@type": "CreativeWork", "name": name})
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    _add(graph, {"@id": PROFILE} | profile)
    main = {
        "@id": "./",
        "@type": "Dataset",
        "name": "brainalign: an executable companion for language models and brain responses",
        "description": "Website of the companion, with every execution that its pages show.",
        "datePublished": max(_ended(record) for record in book.records)[:10],
        "license": {"@id": _PROSE_LICENCE},
        "author": people if len(people) > 1 else people[0],
        "publisher": people[0],
        "version": project.version,
        "conformsTo": {"@id": PROFILE},
        "citation": cited,
        "mentions": actions,
        "hasPart": [{"@id": i} for i, e in graph.items() if _is_data(e)],
    }
    about = {"conformsTo": {"@id": SPECIFICATION}, "about": {"@id": "./"}}
    descriptor = {"@id": METADATA, "@type": "CreativeWork"} | about
    context = [CONTEXT, {"sha256": _SHA256}]
    return {"@context": context, "@graph": [descriptor, main, *graph.values()]}


def _add(graph: dict[str, dict], entity: dict) -> dict[str, str]:
    """Take an entity into the graph, once; a reference to it."""
    graph.setdefault(entity["@id"], entity)
    return {"@id": entity["@id"]}


def _is_data(entity: Mapping) -> bool:
    """Whether an entity is data of the crate: files, and data sets that are not works cited."""
    kinds = entity["@type"] if isinstance(entity["@type"], list) else [entity["@type"]]
    return "File" in kinds or ("Dataset" in kinds and "datePublished" not in entity)


def _agent(name: str) -> dict[str, str]:
    """An author: a person as "Family, Given", else a group."""
    family, comma, given = name.partition(",")
    shown = f"{given.strip()} {family.strip()}" if comma else name
    kind = "Person" if comma else "Organization"
    return {"@id": f"#{_slug(shown)}", "@type": kind, "name": shown}


def _slug(text: str) -> str:
    return "".join(sign if sign.isalnum() else "-" for sign in text.lower()).strip("-")


def _ended(record: Record) -> str:
    begun = datetime.fromisoformat(record.provenance["started"])
    seconds = timedelta(seconds=record.provenance["seconds"])
    return (begun + seconds).isoformat(timespec="seconds")


def _file(site: Path, path: str, name: str, **more: Any) -> dict[str, Any]:
    """A file of the website."""
    place = site / path
    return {
        "@id": path,
        "@type": "File",
        "name": name,
        "encodingFormat": _TYPES.get(place.suffix, "application/octet-stream"),
        "contentSize": str(place.stat().st_size),
        "sha256": file_sha256(place),
    } | more


def _add_action(
    graph: dict[str, dict], record: Record, book: Book, site: Path, project: Project
) -> dict[str, str]:
    """Take an execution into the graph, with what it ran, read and made."""
    provenance, notebook = record.provenance, record.execution.notebook
    machine = provenance["machine"]
    study = f", {shown_study(record.study)}" if record.study else ""
    read = [_add_study(graph, record.study, book)] if record.study else []
    read += [_add_model(graph, name, book) for name in dict.fromkeys(map(base_name, record.models))]
    read += [_add(graph, entity) for entity in _parameters(record)]
    return _add(
        graph,
        {
            "@id": f"#run-{record.execution.name}",
            "@type": "CreateAction",
            "name": f"{record.title} ({notebook}{study})",
            "description": f"{provenance['seconds']} s on {machine['system']}, "
            f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}; "
            f"{len(record.scores)} scores read{_changed_since(record, site)}",
            "instrument": _add_notebook(graph, record, book, site, project),
            "agent": _add(graph, _agent(project.authors[0])),
            "startTime": provenance["started"],
            "endTime": _ended(record),
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "object": read,
            "result": [_add(graph, made) for made in _results(record, site)],
        },
    )


def _changed_since(record: Record, site: Path) -> str:
    """Words for an execution whose notebook has been changed since: the website's copy is newer."""
    ran = record.provenance.get("notebook_sha256")
    copy = site / _NOTEBOOKS / f"{record.execution.notebook}.ipynb"
    if ran in (None, file_sha256(copy)):
        return ""
    return f"; the notebook that ran had the SHA-256 {ran}, the one here has been changed since"


def _add_notebook(
    graph: dict[str, dict], record: Record, book: Book, site: Path, project: Project
) -> dict[str, str]:
    """The notebook that ran, in the website's copy, and the software that it asks for."""
    notebook = record.execution.notebook
    found = versions(one for one in book.records if one.execution.notebook == notebook)
    software = []
    for name in (name for name in _SOFTWARE if name in found):
        for version in found[name]:
            about = {"name": name, "url": _home(name), "softwareVersion": version}
            entity = {"@id": f"#software-{_slug(name)}-{version}", "@type": "SoftwareApplication"}
            software.append(_add(graph, entity | about))
    path = f"{_NOTEBOOKS}/{record.execution.notebook}.ipynb"
    entity = _file(site, path, f"Notebook: {record.title}")
    if project.repository:
        entity["url"] = f"{project.repository}/blob/{project.branch}/{path}"
    return _add(
        graph,
        entity
        | {
            "@type": ["File", "SoftwareSourceCode"],
            "programmingLanguage": "Python",
            "version": project.version,
            "license": {"@id": _CODE_LICENCE},
            "softwareRequirements": software,
        },
    )


def _home(package: str) -> str:
    """Page of a package on the web, as it states it itself; its own name where it does not."""
    if package == "python":
        return "https://www.python.org/"
    told = metadata.metadata(package)
    links = dict(text.split(", ", 1) for text in told.get_all("Project-URL") or [])
    named = {label.lower(): link for label, link in links.items()}
    return named.get("homepage") or named.get("home") or told["Home-page"] or f"#package-{package}"


def _add_study(graph: dict[str, dict], study: str, book: Book) -> dict[str, str]:
    """The data of a study, with every file that was at hand and its checksum."""
    shown = shown_study(study)
    entity: dict[str, Any] = {"@id": f"#study-{_slug(shown)}", "@type": "Dataset", "name": shown}
    files = book.files.get(study, [])
    told = {
        "published": "Numbers digitised from the paper's figures, part of the package",
        "testbed": "Simulated listeners, generated by the package from seeds",
        "concepts-testbed": "Simulated listeners to concepts, generated by the package from seeds",
    }
    other = f"Public data, {len(files)} files at hand, held against their checksums"
    entity["description"] = told.get(study, _OWN_STUDY if is_path(study) else other)
    if not files:
        return _add(graph, entity)
    # The same file may serve several studies; an address names it.
    entity["license"] = "; ".join(dict.fromkeys(file.licence for file, _ in files))
    entity["hasPart"] = [
        _add(
            graph,
            {
                "@id": file.url,
                "@type": "File",
                "name": f"{file.collection}/{file.path}",
                "contentSize": str(path.stat().st_size),
                "sha256": file_sha256(path),
                "encodingFormat": _TYPES.get(path.suffix, "application/octet-stream"),
                "license": file.licence,
            },
        )
        for file, path in files
    ]
    return _add(graph, entity)


def _add_model(graph: dict[str, dict], name: str, book: Book) -> dict[str, str]:
    """A language model or baseline, by the checksum of its weights where it has a file."""
    entity = {"@id": f"#model-{_slug(name)}", "@type": "CreativeWork", "name": name}
    files = [one for one in book.weights if name in map(base_name, one.models)]
    if files:
        entity["description"] = "; ".join(f"{one.name}, SHA-256 {one.sha256}" for one in files)
    elif name in book.hub:
        entity["description"] = f"From the hub: {book.hub[name]}"
    else:
        entity["description"] = "Drawn at random from a seed, or computed from the words"
    return _add(graph, entity)


def _parameters(record: Record) -> Iterable[dict[str, str]]:
    """Resolved parameters, without paths of a local study."""
    for name, value in record.execution.parameters.items():
        shown = shown_study(str(value)) if name == "study" else json.dumps(value)
        shown = without_path(shown, record.study)
        yield {
            "@id": f"#parameter-{record.execution.name}-{name}",
            "@type": "PropertyValue",
            "name": name,
            "value": shown,
        }


def _results(record: Record, site: Path) -> list[dict[str, Any]]:
    """Files of the website that an execution made: its page, its figures, its downloads."""
    notebook = record.execution.notebook
    page = f"book/executed/{notebook}.html"
    found = [_file(site, page, f"Page: {record.title}", license={"@id": _PROSE_LICENCE})]
    for number, path in enumerate(_figures(record, site), start=1):
        found.append(
            _file(site, path, f"Figure {number} of {notebook} ({shown_study(record.study)})")
        )
    for name, path in _downloads(record, site).items():
        found.append(_file(site, path, f"{name} of {notebook} ({shown_study(record.study)})"))
    return found


def _figures(record: Record, site: Path) -> list[str]:
    """Images of an execution as the website has them: named by their content."""
    import base64

    import nbformat

    kept = cache.page_folder(record.execution) / f"{record.execution.notebook}.ipynb"
    found = []
    for cell in nbformat.read(kept, as_version=4).cells:
        for output in cell.get("outputs", []):
            for kind, ending in _IMAGES.items():
                content = output.get("data", {}).get(kind, "")
                raw = base64.b64decode(content) if kind == "image/png" else content.encode()
                path = f"_images/{hashlib.sha256(raw).hexdigest()}{ending}"
                if raw and (site / path).is_file():
                    found.append(path)
    return list(dict.fromkeys(found))


def _downloads(record: Record, site: Path) -> dict[str, str]:
    """Results of an execution that the website offers, found by their content."""
    kept = cache.page_folder(record.execution)
    wanted = {
        hashlib.sha256(published_result(kept / name, record.study)).hexdigest(): name
        for name in ("table.csv", "numbers.json", "provenance.json")
        if (kept / name).is_file()
    }
    found = {}
    for path in sorted((site / "_downloads").rglob("*")) if (site / "_downloads").is_dir() else []:
        if path.is_file() and (name := wanted.get(file_sha256(path))):
            found.setdefault(name, path.relative_to(site).as_posix())
    return found


def _add_works(graph: dict[str, dict], book: Book, root: Path) -> list[dict[str, str]]:
    """Papers and data sets behind the studies, as works that the crate cites."""
    collections = ["published"] + [
        file.collection for files in book.files.values() for file, _ in files
    ]
    keys = dict.fromkeys(key for name in collections for key in SOURCES.get(name, ()))
    known = entries(root)
    return [_add(graph, schema_work(entry(key, root))) for key in keys if key in known]
