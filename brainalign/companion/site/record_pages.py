"""Pages of the book that are filled from the records of its executions.

`book/runs.md` and the checklists include a generated part each. It is written again only when the
records behind it say something else, so that the website is not built again for nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brainalign.companion.availability import in_words
from brainalign.companion.output import html_table
from brainalign.companion.site.records import (
    Book,
    Record,
    commit_text,
    distinct,
    shown_study,
    versions,
    without_path,
)
from brainalign.files import atomic_path
from brainalign.studies.registry import DataFile

_MINUTE = 60
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def write_pages(root: Path, book: Book) -> list[Path]:
    """Write the generated part of every page of records that the book has.

    Parameters
    ----------
    root
        The book's folder.
    book
        From `records.read_book`.

    Returns
    -------
    list of pathlib.Path
        The parts; those that say the same as before are not written again.
    """
    from brainalign.companion.site.checklists import CHECKLISTS, checklist_text

    texts: dict[str, Callable[[Book], str]] = {"runs": runs_text}
    for name in CHECKLISTS:
        texts[name] = lambda book, name=name: checklist_text(book, name)
    return [
        _write(root / "book/executed" / f"{name}.md", text(book))
        for name, text in texts.items()
        if (root / "book" / f"{name}.md").is_file()
    ]


def _write(target: Path, text: str) -> Path:
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        with atomic_path(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return target


def in_bytes(size: float) -> str:
    """A size with its unit: "3.5 MB"."""
    for one, unit in _UNITS:
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size:.0f} bytes"


def in_minutes(seconds: float) -> str:
    """A time in minutes, or in seconds where it is short."""
    return (
        f"{seconds / _MINUTE:.0f} minutes" if seconds >= 2 * _MINUTE else f"{seconds:.0f} seconds"
    )


def started(record: Record) -> str:
    """When an execution began, to the minute, UTC."""
    return record.provenance["started"][:16].replace("T", " ")


def runs_text(book: Book) -> str:
    """Markdown of the page about executions: when, how long, on what, from which files.

    Parameters
    ----------
    book
        From `records.read_book`.
    """
    if not book.records:
        return "Nothing has been executed yet.\n\n" + _left_out(book)
    parts = [
        _summary(book),
        "## Executions",
        _linked(
            html_table(
                _runs_table(book.records), "Every execution that the pages of this book show."
            )
        ),
        "## Machine",
        html_table(_machines_table(book.records), "What the executions ran on."),
        "## Versions",
        _versions_text(book.records),
        "## Data",
        _data_text(book),
        "## Language models",
        _weights_text(book),
        _left_out(book),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _summary(book: Book) -> str:
    records = book.records
    total = sum(record.provenance["seconds"] for record in records)
    begun = sorted(map(started, records))
    pages = len({record.execution.notebook for record in records})
    longest = max(records, key=lambda record: record.provenance["seconds"])
    commits = distinct(record.provenance["git"] for record in records)
    return (
        f"{len(records)} executions make the {pages} pages of figures in this book. The first began "
        f"on {begun[0]}, the last on {begun[-1]} (UTC). Their times add up to {in_minutes(total)}; "
        f"executions run side by side, so the wait was shorter. The longest, "
        f"*{longest.title}* ({shown_study(longest.study)}), took {in_minutes(longest.provenance['seconds'])}. "
        "Scores and activations that were kept from an earlier execution are read, not made again; "
        "times count what was left to do.\n\n"
        f"Source code: {'; '.join(map(commit_text, commits))}."
    )


def _runs_table(records: Sequence[Record]) -> pd.DataFrame:
    rows = [
        {
            "notebook": record.execution.notebook,
            "brain responses": shown_study(record.study) or "–",
            "began (UTC)": started(record),
            "seconds": record.provenance["seconds"],
            "models": len(record.models),
            "scores read": len(record.scores),
            "changed parameters": _changed(record.provenance["changed_parameters"]),
            "commit": commit_text(record.provenance["git"]),
        }
        for record in records
    ]
    # The summary names the commit; where there are several, each row says its own.
    several = len({row["commit"] for row in rows}) > 1
    return pd.DataFrame(rows).drop(columns=[] if several else "commit")


def _linked(table: str) -> str:
    """A table of HTML whose rows begin with notebooks, each a link to its page."""
    return re.sub(
        r'(<th scope="row"[^>]*>)(\w+)(</th>)',
        r'\1<a href="executed/\2.html">\2</a>\3',
        table,
    )


def _changed(parameters: Mapping[str, Any]) -> str:
    """Parameters that are not the notebook's defaults, the study apart, which has its column."""
    shown = {name: value for name, value in parameters.items() if name != "study"}
    return ", ".join(f"{name}={value}" for name, value in shown.items()) or "none"


def _machines_table(records: Sequence[Record]) -> pd.DataFrame:
    names = {"system": "system", "processor": "processor", "cores": "cores", "python": "Python"}
    machines = distinct(record.provenance["machine"] for record in records)
    table = pd.DataFrame(machines).reindex(columns=list(names)).rename(columns=names)
    used = [[r for r in records if r.provenance["machine"] == machine] for machine in machines]
    return table.assign(executions=list(map(len, used)))


def _versions_text(records: Sequence[Record]) -> str:
    found = [f"{name} {' and '.join(kept)}" for name, kept in versions(records).items()]
    return (
        "Packages that the notebooks, and the scores they read, were made with: "
        f"{', '.join(found)}."
    )


def _data_text(book: Book) -> str:
    if not book.files:
        return "No page rests on downloaded data; the testbed is generated from seeds."
    parts = [
        "Files of public data on the machine that built this book. The checksums are those that "
        "every file was held against when it was read; the testbed is generated from seeds and has "
        "no files.",
        *(_data_entry(study, files) for study, files in book.files.items()),
    ]
    for study, files in book.files.items():
        table = pd.DataFrame([_file_row(file, path) for file, path in files])
        caption = f"Files of {study} at hand."
        parts.append(_folded(f"Files of {study} with their checksums", html_table(table, caption)))
    return "\n\n".join(parts)


def _data_entry(study: str, files: Sequence[tuple[DataFile, Path]]) -> str:
    """Entry of a study in a list: how much there is, its licences and where it comes from."""
    size = in_bytes(sum(path.stat().st_size for _, path in files))
    licences = "; ".join(dict.fromkeys(file.licence for file, _ in files))
    sources = dict.fromkeys(file.citation for file, _ in files)
    lines = [f"`{study}`", f": {len(files)} files, {size}. Licence: {licences}."]
    return "\n".join([*lines, *(f": {source}" for source in sources)])


def _file_row(file: DataFile, path: Path) -> dict[str, str]:
    return {
        "file": f"{file.collection}/{file.path}",
        "bytes": f"{path.stat().st_size:,}",
        "checksum": file.checksum,
    }


def _weights_text(book: Book) -> str:
    trained = [one for one in book.weights if one.size]
    n_models = len({name for record in book.records for name in record.models})
    parts = [
        f"{n_models} language models and baselines were used, untrained copies and steps of "
        f"training counted one by one. The weights come from {len(trained)} files; untrained "
        "copies and random features are drawn from the seed in their names."
    ]
    if trained:
        rows = [
            {"file": one.name, "bytes": f"{one.size:,}", "SHA-256": one.sha256} for one in trained
        ]
        table = html_table(pd.DataFrame(rows), "Files of weights.")
        parts.append(_folded("Weights with their checksums", table))
    if book.hub:
        hub = [{"model": name, "from the hub": address} for name, address in book.hub.items()]
        parts.append(html_table(pd.DataFrame(hub), "Models from the hub."))
    return "\n\n".join(parts)


def _folded(heading: str, text: str) -> str:
    return f":::{{admonition}} {heading}\n:class: dropdown\n{text}\n:::"


def _left_out(book: Book) -> str:
    if not book.left_out:
        return ""
    lines = [
        without_path(
            f"- {execution.notebook} ({execution.parameters.get('study')}): {in_words(missing)}",
            execution.parameters.get("study"),
        )
        for execution, missing in book.left_out
    ]
    return "\n".join(["## Left out here\n", *lines])
