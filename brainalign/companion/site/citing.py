"""How to cite: the end of every page of figures, and the book's own page about it."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from brainalign.companion.bibliography import SOURCES, bibtex, entries, entry, reference, sentence
from brainalign.companion.compose import Part
from brainalign.companion.notebooks import book_root, title
from brainalign.companion.project import Project, read_project
from brainalign.files import atomic_path

HEADING = "## How to cite this page"
PAGE, GENERATED = Path("book/citing.md"), Path("book/executed/citing.md")
_TITLE = "An executable companion for language models and brain responses"
_CITED = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
# Works that simulated studies have no files of.
_OWN = {"testbed": "the simulated testbed", "concepts-testbed": "simulated listeners to concepts"}
# What a collection of files is called among people.
_NAMES = {
    "alice": "responses of 27 listeners to *Alice in Wonderland*",
    "petitprince": "average listeners and maps of *Le Petit Prince*, published with the paper",
    "petitprince-annotation": "words of *Le Petit Prince* with their times",
    "ds003643": "the corpus *Le Petit Prince*, OpenNeuro ds003643",
    "concepts": "maps of the responses of 17 people to 180 concepts",
    "harvard-oxford": "the Harvard–Oxford atlas of the cortex",
}


class DataSource(NamedTuple):
    """Data that a part of a page rests on: a name, a licence, and keys of works to cite."""

    name: str
    licence: str
    keys: tuple[str, ...]


def cited_keys(texts: Iterable[str]) -> list[str]:
    """Keys of the works that Markdown texts cite, each once."""
    found = [key.strip() for text in texts for m in _CITED.findall(text) for key in m.split(",")]
    return list(dict.fromkeys(found))


def data_sources(study: str) -> list[DataSource]:
    """Data behind a study, with their licences, as the registry of files names them.

    Parameters
    ----------
    study
        Value of a page's `study`.
    """
    from brainalign.studies import is_path, registry, study_names

    if not study:
        return []
    if study == "published":
        name = "numbers digitised from the paper's figures"
        return [DataSource(name, "that of its public notebooks, GPL-3.0", SOURCES["published"])]
    if study in _OWN:
        return [DataSource(_OWN[study], "BSD 3-Clause, part of this companion", ())]
    if is_path(study):
        return [_own_study(study)]
    if study not in study_names():
        return []
    found = {}
    for file in registry.data_files(study):
        name = _NAMES.get(file.collection, f"files of `{file.collection}`")
        found[file.collection] = DataSource(name, file.licence, SOURCES[file.collection])
    return list(found.values())


def _own_study(study: str) -> DataSource:
    from brainalign.studies.folder_files import read_description

    told = read_description(study)
    cited = f"{told.name}{f': {told.citation}' if told.citation else ''}"
    return DataSource(cited, told.licence or "not stated", ())


def year(root: Path) -> str:
    """Year of the book, which its settings state once."""
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return str(settings.get("copyright", "")).strip()


def own_bibtex(project: Project, title: str, key: str, root: Path) -> str:
    """BibTeX entry of this companion, or of one of its pages."""
    people = " and ".join(n if "," in n else f"{{{n}}}" for n in project.authors)
    fields = {
        "author": people,
        "title": title,
        "note": f"brainalign, version {project.version}",
        "year": year(root),
        "url": project.homepage or project.repository,
    }
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}"


def own_reference(project: Project, title: str, root: Path) -> str:
    """Reference of this companion, or of one of its pages, in Markdown."""
    people = "; ".join(project.authors)
    url = project.homepage or project.repository
    when = f" ({year(root)})" if year(root) else ""
    where = f" <{url}>" if url else ""
    return f"{people}{when}. {sentence(title)} *brainalign*, version {project.version}.{where}"


def _block(text: str) -> str:
    """BibTeX to be copied, folded away."""
    return f":::{{admonition}} BibTeX\n:class: dropdown\n```bibtex\n{text}\n```\n:::"


def section(
    heading: str, name: str, parts: Sequence[Part], texts: Iterable[str], root: Path
) -> str:
    """Markdown of "How to cite this page".

    Parameters
    ----------
    heading, name
        Of the page, as it says and as its file is called.
    parts
        Of the page; those with a note show no data and count for nothing.
    texts
        Markdown of the whole page, in which works are cited.
    root
        The book's folder.

    Raises
    ------
    InputError
        For a work that is cited and not in the bibliography.
    """
    project = read_project(root)
    shown = [part for part in parts if not part.note]
    studies = dict.fromkeys(str(part.parameters.get("study", "")) for part in shown)
    sources = [source for study in studies for source in data_sources(study)]
    known = entries(root)
    wanted = [*(k for source in sources for k in source.keys if k in known), *cited_keys(texts)]
    keys = list(dict.fromkeys(wanted))
    lines = [HEADING, "", f"- This page: {own_reference(project, heading, root)}"]
    lines += [f"- {_source_text(source)}" for source in sources]
    lines += [f"- {reference(entry(key, root))}" for key in keys]
    own = own_bibtex(project, heading, f"brainalign-{name.replace('_', '-')}", root)
    text = "\n\n".join(filter(None, [own, bibtex(keys, root) if keys else ""]))
    return "\n".join([*lines, "", _block(text)])


def _source_text(source: DataSource) -> str:
    return f"{_capital(source.name)}. Licence: {source.licence}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def add_section(page, name: str, parts: Sequence[Part], root: Path) -> None:
    """Put "How to cite this page" at the end of a composed page.

    Parameters
    ----------
    page : nbformat.NotebookNode
        From `compose.compose`; changed in place.
    name, parts, root
        As for `section`.
    """
    import nbformat

    texts = [cell.source for cell in page.cells if cell.cell_type == "markdown"]
    text = section(title(page), name, parts, texts, root)
    cell = {"cell_type": "markdown", "metadata": {}, "source": text}
    page.cells.append(nbformat.from_dict(cell | {"id": f"cell-{len(page.cells):03d}"}))


def write_page(root: Path | None = None) -> Path | None:
    """Write the generated part of the page "How to cite"; None for a book without that page."""
    root = root or book_root()
    if not (root / PAGE).is_file():
        return None
    target, text = root / GENERATED, page_text(root)
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        with atomic_path(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return target


def page_text(root: Path) -> str:
    """Markdown of the page "How to cite": the companion, then each source of data with its works."""
    project = read_project(root)
    parts = [
        "## This companion",
        own_reference(project, _TITLE, root),
        _block(own_bibtex(project, _TITLE, "brainalign", root)),
        "## The data",
    ]
    keys: list[str] = []
    for name, (files, licence, studies, works) in _collections().items():
        used = ", ".join(f"`{study}`" for study in studies)
        lines = [name, f": {files} Read by {used}. Licence: {licence}."]
        keys += works
        parts.append("\n".join([*lines, *(f": {reference(entry(key, root))}" for key in works)]))
    parts.append(_block(bibtex(dict.fromkeys(keys), root)))
    return "\n\n".join(parts) + "\n"


def _collections() -> dict[str, tuple[str, str, list[str], tuple[str, ...]]]:
    """Sources of data by name: files, licence, the studies that read them, works to cite."""
    from brainalign.studies import registry, study_names

    digitised = data_sources("published")[0]
    package = "Tables of the package."
    found = {"Published numbers": (package, digitised.licence, ["published"], digitised.keys)}
    for study in study_names():
        for file in registry.data_files(study) + registry.optional_files(study):
            name = _NAMES.get(file.collection, file.collection)
            files, keys = f"Files of `{file.collection}`.", SOURCES[file.collection]
            known = found.setdefault(_capital(name), (files, file.licence, [], keys))
            if study not in known[2]:
                known[2].append(study)
    return found
