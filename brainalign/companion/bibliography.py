"""The works that the book cites, read from `book/references.bib`, in the forms that others want."""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainalign.companion.notebooks import book_root
from brainalign.errors import InputError

if TYPE_CHECKING:
    from pybtex.database import Entry

FILE = Path("book/references.bib")
# More authors than this are "and others" in a short reference.
_MOST_AUTHORS = 6
#: Kinds of works in CITATION.cff and schema.org, by their kind in BibTeX.
_CFF_TYPES = {"inproceedings": "conference-paper", "article": "article", "book": "book"}
_SCHEMA_TYPES = {"inproceedings": "ScholarlyArticle", "article": "ScholarlyArticle", "book": "Book"}
#: Collections of the file registry and the digitised numbers: the works to cite for them.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "published": ("bonnassegahot2024",),
    "alice": ("brennan2016",),
    "petitprince": ("bonnassegahot2024",),
    "petitprince-annotation": ("li2022",),
    "ds003643": ("li2022", "ds003643"),
    "concepts": ("ryskina2025", "pereira2018"),
    "harvard-oxford": ("desikan2006", "lawrence2021"),
    "glove": ("pennington2014",),
}


@cache
def _read(path: Path, written: int) -> Mapping[str, "Entry"]:
    from pybtex.database import parse_file

    return parse_file(str(path)).entries


def entries(root: Path | None = None) -> Mapping[str, "Entry"]:
    """Every work, by its key; `root` is the book's folder. Empty for a book without the file."""
    path = (root or book_root()) / FILE
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else {}


def entry(key: str, root: Path | None = None) -> "Entry":
    """One work.

    Raises
    ------
    InputError
        For a key that the file does not have.
    """
    known = entries(root)
    if key not in known:
        raise InputError(f"{FILE} has no entry {key!r}; known are {', '.join(known)}.")
    return known[key]


def plain(text: str) -> str:
    """A field without the braces and commands of LaTeX."""
    from pybtex.richtext import Text

    return str(Text.from_latex(text)).replace("--", "–").strip()


def address(work: "Entry") -> str:
    """Where a work is on the web: by its DOI, else its own address, else arXiv's; else empty."""
    fields = work.fields
    if "doi" in fields:
        return f"https://doi.org/{fields['doi']}"
    return fields.get("url") or (
        f"https://arxiv.org/abs/{fields['eprint']}" if "eprint" in fields else ""
    )


def authors(work: "Entry") -> list[tuple[str, str]]:
    """Family and given names."""
    people = work.persons.get("author", [])
    return [
        (
            plain(" ".join([*p.prelast_names, *p.last_names])),
            plain(" ".join([*p.first_names, *p.middle_names])),
        )
        for p in people
    ]


def reference(work: "Entry") -> str:
    """A short reference in Markdown: authors, year, title, where, link."""
    people = authors(work)
    names = [f"{family}, {_initials(given)}" for family, given in people[:_MOST_AUTHORS]]
    listed = "; ".join(names) + ("; and others" if len(people) > _MOST_AUTHORS else "")
    fields = work.fields
    where = next(
        (plain(fields[n]) for n in ("journal", "booktitle", "publisher") if n in fields), ""
    )
    numbers = ", ".join(plain(fields[name]) for name in ("volume", "pages") if name in fields)
    place = f" *{where}*{f' {numbers}' if numbers else ''}." if where else ""
    note = f" {plain(fields['note'])}." if "note" in fields else ""
    link = f" <{address(work)}>" if address(work) else ""
    return f"{listed} ({fields['year']}). {sentence(plain(fields['title']))}{place}{note}{link}"


def sentence(title: str) -> str:
    """A title with a full stop, unless it ends a sentence already."""
    return title if title.endswith(("?", "!", ".")) else f"{title}."


def _initials(given: str) -> str:
    return " ".join(f"{name[0]}." for name in given.replace("-", " ").split())


def bibtex(keys: Iterable[str], root: Path | None = None) -> str:
    """Works as BibTeX, as the file has them."""
    from pybtex.database import BibliographyData

    chosen = {key: entry(key, root) for key in keys}
    return BibliographyData(chosen).to_string("bibtex").strip()


def cff_reference(work: "Entry") -> dict[str, Any]:
    """A work in the form of CITATION.cff 1.2.0."""
    fields = work.fields
    kind = "data" if fields.get("note", "").startswith("Data set") else "generic"
    record: dict[str, Any] = {
        "type": _CFF_TYPES.get(work.type, kind),
        "title": plain(fields["title"]),
        "authors": [
            {"family-names": family, "given-names": given} if given else {"name": family}
            for family, given in authors(work)
        ],
        "year": int(fields["year"]),
    }
    if "journal" in fields:
        record["journal"] = plain(fields["journal"])
    if "booktitle" in fields:
        record["conference"] = {"name": plain(fields["booktitle"])}
    if "publisher" in fields:
        record["publisher"] = {"name": plain(fields["publisher"])}
    if "volume" in fields:
        record["volume"] = plain(fields["volume"])
    return record | ({"doi": fields["doi"]} if "doi" in fields else {})


def schema_work(work: "Entry") -> dict[str, Any]:
    """A work as an entity of schema.org, named by its address; its authors by name.

    Raises
    ------
    InputError
        For a work without an address.
    """
    if not address(work):
        raise InputError(f"{FILE}: {work.key!r} has no doi, url or eprint to be named by.")
    data = work.fields.get("note", "").startswith("Data set")
    return {
        "@id": address(work),
        "@type": "Dataset" if data else _SCHEMA_TYPES.get(work.type, "ScholarlyArticle"),
        "name": plain(work.fields["title"]),
        "author": [f"{family}, {given}".rstrip(", ") for family, given in authors(work)],
        "datePublished": work.fields["year"],
    }


if __name__ == "__main__":
    print("\n".join(filter(None, map(address, entries().values()))))
