"""Small repairs of the pages that theme and extensions write, so that all readers can use them.

Each mends a finding of axe-core or of Chromium's console; book/accessibility.md lists them. They
work on the finished HTML, because the templates behind it belong to several packages.
"""

import re
from collections.abc import Callable
from pathlib import Path

from brainalign.files import atomic_path

# Templates that the theme copies among the static files, though no page uses them.
_LEFT_BEHIND = ("webpack-macros.html", "sbt-webpack-macros.html")
_DESCRIPTION = '<details class="brainalign-description"'
_ARROW = '<span class="toctree-toggle"'
_SIGNATURE = re.compile(r'(<span class="sig-paren">\(</span>)\s*<dl>(.*?)</dl>', re.DOTALL)
_SHARED = re.compile(r' id="(?:exercise|solution)-content"')
_FONT_PRELOAD = re.compile(r'<link rel="preload" as="font"[^>]*>\s*')
_NAMED_BY_CONTENT = re.compile(r"<(?:summary|button)\b[^>]*>")


def drop_font_preloads(text: str) -> str:
    """Fonts are asked for by the style sheet alone: from disk, asking earlier is refused."""
    return _FONT_PRELOAD.sub("", text)


def name_the_mode(text: str) -> str:
    """Readers who chose no theme get that of their system, without a warning."""
    return text.replace(
        'localStorage.getItem("mode") || ""', 'localStorage.getItem("mode") || "auto"'
    )


def name_by_content(text: str) -> str:
    """Buttons with words on them are called by these words, so that they can be spoken."""

    def repaired(match: re.Match) -> str:
        tag = match[0]
        if tag.startswith("<summary"):
            return tag.replace(' aria-label="Toggle hidden content"', "")
        if "search-button-field" in tag:
            return tag.replace(' aria-label="Search"', "")
        return tag

    return _NAMED_BY_CONTENT.sub(repaired, text)


def list_the_references(text: str) -> str:
    """Entries of a bibliography are items of its list, as screen readers expect."""
    return text.replace('role="doc-biblioentry"', 'role="listitem"')


def name_search_fields_apart(text: str) -> str:
    """The page of search results has two search fields; an identifier is for one of them."""
    first = text.find('id="search-input"')
    if first < 0:
        return text
    head, rest = text[: first + 1], text[first + 1 :]
    return head + rest.replace('id="search-input"', 'id="search-input-of-page"')


def reach_wide_tables(text: str) -> str:
    """Tables of the prose that scroll sideways can be reached, and so scrolled, by keyboard."""
    box = 'class="pst-scrollable-table-container"'
    return text.replace(f"{box}>", f'{box} tabindex="0">')


def drop_shared_identifiers(text: str) -> str:
    """Texts of exercises all have the same identifier, which nothing refers to."""
    return _SHARED.sub("", text)


def name_the_folds_of_the_menu(text: str) -> str:
    """Arrows in the list of pages are drawn; who does not see them hears what they do."""
    label = '<summary aria-label="Show or hide the pages below">'
    return text.replace(f"<summary>{_ARROW}", f"{label}{_ARROW}")


def set_signatures_in_lines(text: str) -> str:
    """Parameters of a long signature are lines of it, not a list of terms without terms."""

    def lines(match: re.Match) -> str:
        inner = match[2].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")
        return f'{match[1]}<span class="sig-lines">{inner}</span>'

    return _SIGNATURE.sub(lines, text)


def tie_descriptions(text: str) -> str:
    """The long description of a map belongs to the picture, or frame, before it."""
    before, *after = text.split(_DESCRIPTION)
    pieces = [before]
    for number, part in enumerate(after, start=1):
        start = max(pieces[-1].rfind("<img "), pieces[-1].rfind("<iframe "))
        if start >= 0:
            end = pieces[-1].index(" ", start)
            tie = f' aria-details="description-{number}"'
            pieces[-1] = pieces[-1][:end] + tie + pieces[-1][end:]
        pieces += [f'<details id="description-{number}"{_DESCRIPTION[8:]}', part]
    return "".join(pieces)


REPAIRS: tuple[Callable[[str], str], ...] = (
    drop_font_preloads,
    name_the_mode,
    name_by_content,
    list_the_references,
    name_search_fields_apart,
    reach_wide_tables,
    drop_shared_identifiers,
    name_the_folds_of_the_menu,
    set_signatures_in_lines,
    tie_descriptions,
)


def repair(text: str) -> str:
    """A page with all repairs."""
    for change in REPAIRS:
        text = change(text)
    return text


def repair_site(folder: Path) -> None:
    """Repair all pages of a built site, and take away files that no page uses.

    Parameters
    ----------
    folder
        Of the site.
    """
    for name in _LEFT_BEHIND:
        (folder / "_static" / name).unlink(missing_ok=True)
    for path in sorted(folder.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        if (repaired := repair(text)) != text:
            with atomic_path(path) as temporary:
                temporary.write_text(repaired, encoding="utf-8")
