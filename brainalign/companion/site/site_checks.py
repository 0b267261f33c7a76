"""Checks of a built website that need no browser: links, anchors, what it would fetch, its size.

`brainalign book` applies them to what it has built. Whether scripts run and pages can be read by
all is for a browser: tests/test_browser.py.
"""

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

#: Bytes: of the whole site, of one page with the images it shows, of the book as one file.
SITE_BUDGET, PAGE_BUDGET, ONE_FILE_BUDGET = 60_000_000, 4_000_000, 40_000_000

_LINKS = {("a", "href"), ("area", "href"), ("form", "action")}
_SOURCES = {
    *((tag, "src") for tag in "audio embed iframe img input script source track video".split()),
    *((tag, "srcset") for tag in ("img", "source")),
    *((tag, "href") for tag in ("image", "use")),
    ("object", "data"),
    ("video", "poster"),
}
# Of <link>: what a browser fetches, not what it only knows of (license, canonical).
_FETCHED = {"stylesheet", "icon", "apple-touch-icon", "preload", "prefetch", "preconnect"}
_FETCHED |= {"dns-prefetch", "modulepreload", "manifest"}
_CSS_URL = re.compile(r"""(?:url\(\s*|@import\s+)['"]?([^'")\s;]+)""")
_CSS_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_IN_PLACE = ("data:", "blob:", "about:", "javascript:", "mailto:")


class Reference(NamedTuple):
    """Something that a page names.

    Attributes
    ----------
    tag : str
        Element that names it.
    address : str
        As written.
    fetched : bool
        Whether a browser asks for it when the page is opened.
    """

    tag: str
    address: str
    fetched: bool


class _Reader(HTMLParser):
    """Collects the identifiers and references of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.identifiers: list[str] = []
        self.references: list[Reference] = []
        self._style = False

    def handle_starttag(self, tag, attrs) -> None:
        values = {name: value or "" for name, value in attrs}
        self._style = tag == "style"
        self.identifiers += [values[key] for key in ("id",) if key in values]
        if tag == "a" and "name" in values:
            self.identifiers.append(values["name"])
        self.references += _references(tag, values)

    def handle_endtag(self, tag) -> None:
        self._style = False

    def handle_data(self, data) -> None:
        if self._style:
            self.references += [Reference("style", url, True) for url in css_addresses(data)]


def _references(tag: str, values: dict[str, str]) -> Iterator[Reference]:
    """What one element names."""
    for name, value in values.items():
        if (tag, name) in _LINKS:
            yield Reference(tag, value, False)
        elif (tag, name) in _SOURCES and name == "srcset":
            yield from (Reference(tag, part.split()[0], True) for part in _candidates(value))
        elif (tag, name.removeprefix("xlink:")) in _SOURCES:
            yield Reference(tag, value, True)
        elif name == "style":
            yield from (Reference(tag, url, True) for url in css_addresses(value))
        elif name == "srcdoc":
            yield from (one for one in parse(value).references if one.fetched)
    if tag == "link" and "href" in values:
        yield Reference(tag, values["href"], bool(_FETCHED & set(values.get("rel", "").split())))
    refresh = values.get("http-equiv", "").lower() == "refresh"
    if tag == "meta" and refresh and "=" in values.get("content", ""):
        yield Reference(tag, values["content"].partition("=")[2].strip(" '\""), True)


def _candidates(srcset: str) -> list[str]:
    return [part for part in re.split(r",\s+", srcset.strip()) if part]


def css_addresses(text: str) -> list[str]:
    """Addresses that a style sheet names."""
    return _CSS_URL.findall(_CSS_COMMENT.sub("", text))


class Page(NamedTuple):
    """What a page has and names.

    Attributes
    ----------
    identifiers : tuple of str
        That links can go to, in order, repeated ones too.
    references : tuple of Reference
        In order.
    """

    identifiers: tuple[str, ...]
    references: tuple[Reference, ...]


def parse(text: str) -> Page:
    """Read a page's HTML."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return Page(tuple(reader.identifiers), tuple(reader.references))


def read_site(root: Path) -> dict[Path, Page]:
    """Read all pages of a site.

    Parameters
    ----------
    root
        Its folder.

    Returns
    -------
    dict
        Path -> content, in the order of paths.
    """
    return {path: parse(path.read_text("utf-8")) for path in sorted(root.rglob("*.html"))}


def is_elsewhere(address: str) -> bool:
    """Whether an address is on the web, not in the site."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ftp", "ws", "wss")


def dead_links(root: Path, pages: dict[Path, Page]) -> list[str]:
    """Links, images and anchors inside the site that lead to nothing.

    Parameters
    ----------
    root
        Folder of the site.
    pages
        From `read_site`.

    Returns
    -------
    list of str
        "book/index.html: <a> testbed.html#nowhere: there is no such anchor".
    """
    identifiers = {path.resolve(): set(page.identifiers) for path, page in pages.items()}
    exists = cache(Path.exists)
    found = []
    for path, page in pages.items():
        for reference in dict.fromkeys(page.references):
            address = reference.address.strip()
            if address.startswith(_IN_PLACE) or is_elsewhere(address):
                continue
            why = _why_dead(root, path, address, identifiers, exists)
            if why:
                found.append(f"{path.relative_to(root)}: <{reference.tag}> {address}: {why}")
    return found


def _why_dead(root: Path, path: Path, address: str, identifiers: dict, exists) -> str:
    """Why an address inside the site leads to nothing; empty where it does not."""
    parts = urlsplit(address)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
    if target.is_dir():
        target /= "index.html"
    if parts.scheme or parts.path.startswith("/") or not target.is_relative_to(root.resolve()):
        return "it leaves the site's folder"
    if not exists(target):
        return "there is no such file"
    anchor = unquote(parts.fragment)
    if anchor in ("", "top") or target not in identifiers or anchor in identifiers[target]:
        return ""
    return "there is no such anchor"


def repeated_identifiers(root: Path, pages: dict[Path, Page]) -> list[str]:
    """Identifiers that a page has more than once, so that links may go to the wrong place."""
    found = []
    for path, page in pages.items():
        seen: set[str] = set()
        for identifier in page.identifiers:
            if identifier in seen and not identifier.startswith("MJX"):
                found.append(f"{path.relative_to(root)}: the identifier {identifier!r} is repeated")
            seen.add(identifier)
    return list(dict.fromkeys(found))


def requests_elsewhere(root: Path, pages: dict[Path, Page]) -> list[str]:
    """What pages and style sheets would ask the web for when they are opened.

    Returns
    -------
    list of str
        "book/index.html: <img> https://example.org/x.png".
    """
    found = [
        f"{path.relative_to(root)}: <{one.tag}> {one.address}"
        for path, page in pages.items()
        for one in page.references
        if one.fetched and is_elsewhere(one.address)
    ]
    for path in sorted(root.rglob("*.css")):
        addresses = css_addresses(path.read_text("utf-8"))
        found += [f"{path.relative_to(root)}: {url}" for url in addresses if is_elsewhere(url)]
    return found


def page_bytes(path: Path, page: Page) -> int:
    """Bytes of a page and of the images it shows."""
    shown = {one.address for one in page.references if one.fetched and one.tag in ("img", "source")}
    files = {(path.parent / unquote(urlsplit(address).path)).resolve()
             for address in shown if not address.startswith(_IN_PLACE)}  # fmt: skip
    return path.stat().st_size + sum(file.stat().st_size for file in files if file.is_file())


def over_budget(
    root: Path,
    pages: dict[Path, Page],
    site_budget: int = SITE_BUDGET,
    page_budget: int = PAGE_BUDGET,
) -> list[str]:
    """Pages, and the site, that have more bytes than they may.

    Parameters
    ----------
    root
        Folder of the site.
    pages
        From `read_site`.
    site_budget, page_budget
        Bytes: of all files, of one page's HTML with the images it shows.

    Returns
    -------
    list of str
        Sentences.
    """
    found = []
    for path, page in pages.items():
        if (size := page_bytes(path, page)) > page_budget:
            found.append(_too_large(str(path.relative_to(root)), size, page_budget))
    total = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    if total > site_budget:
        found.append(_too_large("the site", total, site_budget))
    return found


def _too_large(what: str, size: int, budget: int) -> str:
    return f"{what}: {size / 1e6:.1f} MB, of at most {budget / 1e6:g}"


def site_problems(root: Path) -> list[str]:
    """All that is wrong with a built site and can be seen without a browser.

    Parameters
    ----------
    root
        Folder with its index.html.

    Returns
    -------
    list of str
        Dead links and anchors, repeated identifiers, requests that leave the site, sizes beyond
        the budgets; empty where all is well.
    """
    pages = read_site(root)
    return [
        *dead_links(root, pages),
        *repeated_identifiers(root, pages),
        *requests_elsewhere(root, pages),
        *over_budget(root, pages),
    ]
