"""The whole book in one file: HTML that needs nothing beside it, and a PDF printed from it.

The file is put together from the built website, page after page in the order of reading: so it
shows what the website shows, and nothing is built twice. Pictures, style sheets, fonts and scripts
are inside; links between pages go to anchors; what the website offers for download is text.
"""

import base64
import mimetypes
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from brainalign.companion import WorkError
from brainalign.companion.site.site_checks import ONE_FILE_BUDGET, is_elsewhere
from brainalign.companion.targets import check_file
from brainalign.files import atomic_path

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# Scripts of the website that one page has no use for: menus, themes to choose, search, cells to run.
_LEFT_OUT = {
    "all.min.js", "bootstrap.js", "design-tabs.js", "doctools.js", "from_disk.js",
    "language_data.js", "pydata-sphinx-theme.js", "searchtools.js", "sphinx-book-theme.js",
    "sphinx-thebe.js", "sphinx_highlight.js",
}  # fmt: skip
_LEFT_OUT_INLINE = ("DOCUMENTATION_OPTIONS.pagename", "dataset.mode", "thebe")
# Attributes that name other elements by identifiers, separated by spaces.
_NAMING = ("for", "headers", "data-target", "data-button", "list")
_NAMING += tuple(
    f"aria-{one}" for one in ("labelledby", "describedby", "details", "controls", "owns")
)
_CSS_IMPORT = re.compile(r"""@import\s+(?:url\()?\s*['"]?([^'")\s;]+)['"]?\s*\)?\s*;""")
_CSS_URL = re.compile(r"""url\(\s*(['"]?)([^'")]+)\1\s*\)""")
_OLD_FONT = re.compile(r""",?\s*url\([^)]*\.ttf[^)]*\)\s*format\(["']truetype["']\)""")
_STYLE = """
.one-file.bd-main { display: block; width: 100%; max-width: 56rem; margin: 0 auto; padding: 1rem; }
.one-file.bd-main .bd-content, .one-file.bd-main .bd-content .bd-article-container {
  display: block; width: 100%; max-width: none; margin: 0; padding: 0;
}
.one-file .bd-article { padding: 0; }
.one-file nav, .one-file nav ~ .bd-article {
  margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--pst-color-border);
}
.one-file nav ul { list-style: none; padding-left: 1rem; }
.one-file nav .caption { font-weight: 600; margin: 0.75rem 0 0.25rem; }
@media print {
  .one-file.bd-main { max-width: none; padding: 0; }
  .one-file.bd-main .bd-content .bd-article h1:first-of-type { display: block; }
  .one-file nav, .one-file nav ~ .bd-article { break-before: page; border: 0; margin: 0; }
  .one-file div.highlight { break-inside: avoid; }
  .one-file .cell_output, .one-file .cell_output .output { overflow: visible !important; }
  .one-file .brainalign-table table { font-size: 7pt; }
  .one-file .brainalign-table :is(th, td) {
    min-width: 0 !important; padding: 1pt 3pt; white-space: normal !important;
  }
  @page { @bottom-center { content: counter(page); font: 9pt sans-serif; } }
}
"""
_THEME = """
(function () {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => {
    document.documentElement.dataset.theme = dark.matches ? "dark" : "light";
    document.documentElement.dataset.mode = "auto";
  };
  follow();
  dark.addEventListener("change", follow);
})();
"""


def read(path: Path) -> Any:
    """A page as a tree (BeautifulSoup)."""
    from bs4 import BeautifulSoup

    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def reading_order(site: Path) -> dict[Path, Any]:
    """Pages of a website from its first to its last.

    Parameters
    ----------
    site
        Folder with its index.html.

    Returns
    -------
    dict
        Path -> tree, in the order in which "next" leads through them.
    """
    path = (site / "index.html").resolve()
    soup = read(path)
    if refresh := soup.find("meta", attrs={"http-equiv": re.compile("refresh", re.IGNORECASE)}):
        path = (path.parent / refresh["content"].partition("=")[2].strip()).resolve()
        soup = read(path)
    pages: dict[Path, Any] = {}
    while path not in pages:
        pages[path] = soup
        following = soup.find("link", rel="next")
        if following is None:
            break
        path = (path.parent / unquote(following["href"])).resolve()
        soup = read(path)
    return pages


def _mime(path: Path) -> str:
    known = {".woff2": "font/woff2", ".svg": "image/svg+xml"}
    return known.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"


@cache
def data_address(path: Path) -> str:
    """A file as an address that holds its content."""
    return f"data:{_mime(path)};base64,{base64.b64encode(path.read_bytes()).decode()}"


def inline_css(path: Path) -> str:
    """A style sheet with what it imports, its pictures and its fonts inside."""
    text = _OLD_FONT.sub("", path.read_text(encoding="utf-8"))

    def imported(match: re.Match) -> str:
        other = path.parent / urlsplit(match[1]).path
        return inline_css(other) if other.is_file() else ""

    def inside(match: re.Match) -> str:
        other = path.parent / unquote(urlsplit(match[2]).path)
        if match[2].startswith(("data:", "#")) or not other.is_file():
            return match[0]
        return f"url({data_address(other.resolve())})"

    return _CSS_URL.sub(inside, _CSS_IMPORT.sub(imported, text))


def _beside(page: Path, address: str) -> Path:
    return (page.parent / unquote(urlsplit(address).path)).resolve()


def _styles(pages: dict[Path, Any]) -> str:
    """Style sheets of all pages, each once."""
    paths = dict.fromkeys(
        _beside(path, link["href"])
        for path, soup in pages.items()
        for link in soup.find_all("link", rel="stylesheet")
    )
    return "\n".join(inline_css(path) for path in paths if path.is_file())


def _scripts(pages: dict[Path, Any], formulas: bool) -> list[str]:
    """Scripts of all pages' heads that one page has a use for, each once."""
    found: dict[str, None] = {}
    for path, soup in pages.items():
        for script in soup.head.find_all("script"):
            source = script.get("src")
            if source is None:
                text = script.string or ""
                if not any(word in text for word in _LEFT_OUT_INLINE):
                    found[text] = None
                continue
            file = _beside(path, source)
            wanted = formulas or file.parent.name != "mathjax"
            if file.name not in _LEFT_OUT and file.is_file() and wanted:
                found[file.read_text(encoding="utf-8")] = None
    return [text.replace("</script", "<\\/script") for text in found]


def slug(site: Path, page: Path) -> str:
    """Identifier of a page in the one file."""
    return re.sub(r"[^\w-]+", "-", page.relative_to(site.resolve()).with_suffix("").as_posix())


def _new_names(site: Path, articles: dict[Path, Any]) -> dict[tuple[Path, str], str]:
    """Identifiers of all pages; one that several pages have gets the page's name before it."""
    own = {path: [tag["id"] for tag in a.find_all(id=True)] for path, a in articles.items()}
    counts = Counter(name for names in own.values() for name in set(names))
    counts += Counter(slug(site, path) for path in articles)
    return {
        (path, name): name if counts[name] == 1 else f"{slug(site, path)}--{name}"
        for path, names in own.items()
        for name in names
    }


def _rename(page: Path, article, names: dict[tuple[Path, str], str]) -> None:
    """Give identifiers, and what names them, their names in the one file."""
    for tag in article.find_all(True):
        if "id" in tag.attrs:
            tag["id"] = names[page, tag["id"]]
        for attribute in _NAMING:
            if attribute in tag.attrs:
                value = tag[attribute]
                words = value if isinstance(value, list) else value.split()
                tag[attribute] = " ".join(names.get((page, word), word) for word in words)


def _relink(site: Path, page: Path, tree, names: dict[tuple[Path, str], str]) -> None:
    """Let links between pages go to anchors; a link to any other file becomes text."""
    pages = {path for path, _ in names}
    for link in tree.find_all("a", href=True):
        address = link["href"]
        if is_elsewhere(address) or address.startswith(("mailto:", "data:")):
            continue
        target = page if address.startswith("#") else _beside(page, address)
        anchor = unquote(urlsplit(address).fragment)
        if target not in pages:
            link.unwrap()
        elif anchor and (target, anchor) in names:
            link["href"] = f"#{names[target, anchor]}"
        else:
            link["href"] = address if target == page and anchor else f"#{slug(site, target)}"


def _embed_pictures(page: Path, article) -> None:
    for image in article.find_all("img", src=True):
        if not image["src"].startswith("data:"):
            image["src"] = data_address(_beside(page, image["src"]))
            image.attrs.pop("srcset", None)
    for source in article.find_all("source"):
        source.decompose()


def _article(soup, first: bool) -> Any:
    """A page's own part: no scripts but data, headings below the book's title."""
    article = soup.select_one("article.bd-article")
    for tag in article.select("a.headerlink"):
        tag.decompose()
    for script in article.find_all("script"):
        if script.get("type") != "application/json":
            script.decompose()
    if not first:
        for level in range(5, 0, -1):
            for heading in article.find_all(f"h{level}"):
                heading.name = f"h{level + 1}"
    # The website's script would make long lines of code reachable by keyboard.
    for block in article.select("div.highlight pre"):
        block["tabindex"] = "0"
    return article


def _contents(soup) -> Any:
    """The website's list of pages."""
    nav = soup.select_one("nav.bd-docs-nav")
    for tag in nav.select("details, summary, label, input, i, svg"):
        tag.unwrap() if tag.name == "details" else tag.decompose()
    for tag in nav.find_all(True):
        tag.attrs = {k: v for k, v in tag.attrs.items() if k == "href" or "caption" in v}
    nav.attrs = {"aria-label": "Contents"}
    heading = soup.new_tag("h2")
    heading.string = "Contents"
    nav.insert(0, heading)
    return nav


def one_file(site: Path) -> str:
    """A website as one page of HTML.

    Parameters
    ----------
    site
        Folder of the built website.

    Returns
    -------
    str
        HTML that asks for no other file.
    """
    site = site.resolve()
    pages = reading_order(site)
    first = next(iter(pages))
    title = pages[first].title.get_text(strip=True)
    icon = pages[first].find("link", rel="icon")
    articles = {path: _article(soup, path == first) for path, soup in pages.items()}
    names = _new_names(site, articles)
    names |= {(path, ""): slug(site, path) for path in pages}
    contents = _contents(pages[first])
    _relink(site, first, contents, names)
    body = []
    for path, article in articles.items():
        _relink(site, path, article, names)
        _rename(path, article, names)
        _embed_pictures(path, article)
        article["id"] = slug(site, path)
        body.append(str(article))
    formulas = any(article.select_one(".math") for article in articles.values())
    scripts = "\n".join(f"<script>{text}</script>" for text in _scripts(pages, formulas))
    shown = f'<link rel="icon" href="{data_address(_beside(first, icon["href"]))}">' if icon else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n{shown}\n<script>{_THEME}</script>\n"
        f"<style>{_styles(pages)}{_STYLE}</style>\n</head>\n<body>\n"
        '<main class="bd-main one-file"><div class="bd-content"><div class="bd-article-container">\n'
        f"{body[0]}\n{contents}\n{''.join(body[1:])}\n"
        f"</div></div></main>\n{scripts}\n</body>\n</html>\n"
    )


def print_pdf(page: Path, target: Path) -> None:
    """Print a page with Chromium: tagged, with an outline of its headings.

    Parameters
    ----------
    page
        HTML file.
    target
        The PDF.

    Raises
    ------
    WorkError
        Without Chromium, or where it wrote nothing.
    """
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if chromium is None:
        raise WorkError(
            "Chromium prints the PDF, and it is not installed here; install it, or open the file of "
            "`brainalign export html` in any browser and print it from there."
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [chromium, "--headless", "--disable-gpu", f"--user-data-dir={folder}/profile"]
        command += ["--no-pdf-header-footer", "--generate-pdf-document-outline"]
        command += ["--virtual-time-budget=120000", f"--print-to-pdf={folder}/book.pdf"]
        written = Path(folder, "book.pdf")
        # Containers and some systems have no user namespaces for the sandbox; the page is our own.
        for way in ([], ["--no-sandbox"]):
            call = [*command, *way, page.resolve().as_uri()]
            done = subprocess.run(call, capture_output=True, text=True)
            if written.is_file():
                break
        else:
            said = done.stderr.strip().splitlines() or ["it said nothing"]
            raise WorkError(f"Chromium wrote no PDF: {said[-1]}")
        with atomic_path(target) as temporary:
            shutil.copyfile(written, temporary)


def export(
    kind: str,
    target: Path | None = None,
    root: Path | None = None,
    say: Callable[[str], object] | None = None,
) -> Path:
    """Write the whole book into one file.

    Parameters
    ----------
    kind
        "html" or "pdf".
    target
        The file; by default my-book.html or my-book.pdf.
    root
        The project's folder.
    say
        Takes one line where the website has to be built first.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    InputError
        For a target that cannot be written, or that is there and is of another kind.
    WorkError
        Before the book has been built, where the HTML is over its budget, or as `print_pdf`.
    """
    from brainalign.companion.notebooks import book_root
    from brainalign.companion.site.website import INDEX, build

    root, target = root or book_root(), target or Path(f"my-book.{kind}")
    check_file(target, f".{kind}")
    if not (root / INDEX).is_file():
        raise WorkError("The book has not been built yet; `brainalign book` builds it.")
    text = one_file(build(root, say).parent)
    if (size := len(text.encode())) > ONE_FILE_BUDGET:
        raise WorkError(
            f"The book in one file has {size / 1e6:.1f} MB, of at most {ONE_FILE_BUDGET / 1e6:g}."
        )
    if kind == "html":
        with atomic_path(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return target
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "book.html")
        page.write_text(text, encoding="utf-8")
        print_pdf(page, target)
    return target
