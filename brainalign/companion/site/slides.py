"""Slides of a chapter, from its executed notebook: reveal.js on disk, nothing from the network.

Which cells make slides is said in the notebook by Jupyter's own metadata: `slideshow.slide_type`.
A `slide` is text that begins a thought, a `subslide` shows a result, a cell with `-` belongs to
the slide before it, and a cell without the metadata is on no slide. Where a page has several
parts (published, simulated), the first is shown whole and the others with their results only.
"""

import copy
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from brainalign.companion.compose import Part, source_text, split_once
from brainalign.companion.notebooks import title
from brainalign.companion.webpage import plain_markdown
from brainalign.files import atomic_path

#: Where slides are written below the book's folder; Sphinx copies what lies there to the site.
FOLDER = Path("book/executed/slideshows")
#: Their list, which a page of the book includes.
LIST = Path("book/executed/slides_list.md")
_STARTS = ("slide", "subslide")
# Characters of text from which letters are smaller: beside a figure, and alone.
_LONG = {True: (560, 800), False: (900, 1200)}
_LINE = 65
_MATHJAX = 'window.MathJax = {tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]]}};'
_START = (
    "Reveal.initialize({width: 1280, height: 720, margin: 0.02, center: false, hash: true, "
    'slideNumber: "c/t", transition: "none", controlsTutorial: false, pdfSeparateFragments: false});'
)

# nbconvert's own template asks five servers for scripts and style sheets. Of it, the marks that
# begin and end slides are taken.
_TEMPLATE = """{%- extends 'reveal/base.html.j2' -%}
{%- block header -%}{%- endblock header -%}
{%- block body_header -%}{%- endblock body_header -%}
{%- block body_footer -%}{%- endblock body_footer -%}
{%- block footer -%}{%- endblock footer -%}
{%- block data_png scoped -%}
<img src="data:image/png;base64,{{ output.data['image/png'] }}" alt="{{
output | get_metadata('alt', 'image/png') | escape_html }}">
{%- endblock data_png -%}
"""


def has_slides(notebook) -> bool:
    """Whether any cell of a notebook begins a slide."""
    return any(slide_type(cell) in _STARTS for cell in notebook.cells)


def slide_type(cell) -> str:
    """Part of a cell in the slides: "slide", "subslide", "-", or "skip"."""
    return cell.get("metadata", {}).get("slideshow", {}).get("slide_type", "skip")


def _cell(source: str, kind: str):
    import nbformat

    metadata = {"slideshow": {"slide_type": kind}}
    return nbformat.v4.new_markdown_cell(source, metadata=metadata)


def _opening(source: str, chapter: str) -> list:
    """Slides of a title cell: title and question; what is learnt. The rest is for readers."""
    before, _, after = source.partition("**What you will learn**")
    learn = after.partition("\n**")[0].strip()
    note = f'<p class="credit">Slides of the chapter <a href="../book/executed/{chapter}.html">'
    note += "in the book</a>, which has the code, the tables and the sources.</p>"
    cells = [_cell(f"{plain_markdown(before).strip()}\n\n{note}", "slide")]
    if learn:
        cells.append(_cell(f"## What you will learn\n\n{plain_markdown(learn)}", "slide"))
    return cells


def slide_cells(parts: Sequence[Part], chapter: str) -> list:
    """Cells of all slides of a chapter, in order.

    Parameters
    ----------
    parts
        Of its page; those that were not executed have no slides.
    chapter
        Name of the notebook.

    Returns
    -------
    list of nbformat.NotebookNode
        Empty where nothing was executed, or no cell begins a slide.
    """
    shown = [part for part in parts if not part.note and has_slides(part.notebook)]
    cells, closing = [], []
    for number, part in enumerate(shown):
        first, body, last = split_once(part.notebook.cells)
        if not any(slide_type(cell) == "subslide" for cell in body):
            continue
        opening = [cell for cell in first if slide_type(cell) != "skip"]
        if not cells and opening:
            cells += _opening(opening[0].source, chapter)
            closing = _body(last)
        heading, box = source_text(part.parameters, brief=True)
        if heading:
            cells.append(_cell(f"## {heading}\n\n{plain_markdown(box)}", "slide"))
        cells += _body(body, results_only=number > 0)
    return cells + closing


def _body(cells: Sequence, results_only: bool = False) -> list:
    """Slides of one part; every result below the heading of the thought that it belongs to."""
    found, heading, shown = [], "", False
    for cell in cells:
        kind = slide_type(cell)
        if cell.cell_type == "markdown":
            if match := re.search(r"^#{2,3} (.+)$", cell.source, re.MULTILINE):
                heading = match[1]
        if kind in _STARTS:
            shown = _says_something(cell) if kind == "subslide" else not results_only
        if kind == "skip" or not shown:
            continue
        cell = copy.deepcopy(cell)
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source)
        begins = re.match(r"#{2,3} ", cell.source) and cell.cell_type == "markdown"
        if kind in _STARTS and heading and not begins:
            found.append(_cell(f"## {heading}", kind))
            cell.metadata.slideshow.slide_type = "-"
        found.append(cell)
    return found


def _marked(cells: Sequence) -> list:
    """Cells whose slides are told apart by kind and length, for the style sheet."""
    starts = [i for i, cell in enumerate(cells) if slide_type(cell) in _STARTS]
    for first, last in zip(starts, [*starts[1:], len(cells)], strict=True):
        group = cells[first:last]
        pictured = any(_has_picture(cell) for cell in group)
        length = sum(map(_length, group))
        long, longer = _LONG[pictured]
        data = {"length": "longer" if length > longer else "long" if length > long else "short"}
        titled = group[0].source.startswith("# ")
        data["kind"] = "figure" if pictured else "title" if titled else "text"
        group[0].metadata.slideshow["data"] = data
    return list(cells)


def _length(cell) -> int:
    """Characters of a cell's text; a row of a table counts as a line."""
    if cell.cell_type == "markdown":
        return len(re.sub(r"<[^>]+>", "", cell.source))
    tables = [output.get("data", {}).get("text/html", "") for output in cell.get("outputs", [])]
    return _LINE * sum(table.count("<tr>") for table in tables)


def _has_picture(cell) -> bool:
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def _says_something(cell) -> bool:
    """Whether a result has a figure or a table; a part may have nothing to show there."""
    if cell.cell_type != "code":
        return True
    shown = [output.get("data", {}) for output in cell.get("outputs", [])]
    return any(data.keys() & {"image/png", "text/html"} for data in shown)


def to_slides(cells: Sequence, heading: str, static: str = "../_static") -> str:
    """Slides as one page of HTML; scripts and style sheets lie in the book's static folder.

    Parameters
    ----------
    cells
        From `slide_cells`.
    heading
        Title of the page.
    static
        Address of that folder from the page.

    Returns
    -------
    str
        The page. Pictures are inside.
    """
    import nbformat
    from nbconvert import SlidesExporter

    cells = _marked(cells)
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:03d}"
    notebook = nbformat.v4.new_notebook(cells=cells)
    exporter = SlidesExporter(
        raw_template=_TEMPLATE,
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    body, _ = exporter.from_notebook_node(notebook)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(heading)} – slides</title>\n"
        f'<link rel="stylesheet" href="{static}/reveal/reveal.css">\n'
        f'<link rel="stylesheet" href="{static}/slides.css">\n'
        f'<script>{_MATHJAX}</script>\n<script src="{static}/mathjax/tex-svg-full.js"></script>\n'
        '</head>\n<body>\n<main class="reveal">\n<div class="slides">\n'
        f'{body}\n</div>\n</main>\n<script src="{static}/reveal/reveal.js"></script>\n'
        f"<script>{_START}</script>\n</body>\n</html>\n"
    )


def write_slides(root: Path, chapter: str, parts: Sequence[Part]) -> str:
    """Write the slides of a chapter; those of a chapter that has none any more are removed.

    Parameters
    ----------
    root
        The book's folder.
    chapter
        Name of the notebook.
    parts
        Of its page.

    Returns
    -------
    str
        Link to them, for the chapter's introduction; empty where there are none.
    """
    path = root / FOLDER / "slides" / f"{chapter}.html"
    cells = slide_cells(parts, chapter)
    if not cells:
        path.unlink(missing_ok=True)
        return ""
    _write(path, to_slides(cells, next(title(part.notebook) for part in parts if not part.note)))
    return f'<a href="../../slides/{chapter}.html">Slides of this chapter</a>'


def write_list(root: Path, titles: Mapping[str, str]) -> Path:
    """List of all slides that were written, for a page of the book to include.

    Parameters
    ----------
    root
        The book's folder.
    titles
        Chapter -> its title, in the order of the book; those without slides are left out, and
        slides of chapters that left the book are removed.

    Returns
    -------
    pathlib.Path
        A fragment of Markdown, for a page in the folder `book`.
    """
    folder = root / FOLDER / "slides"
    for path in folder.glob("*.html"):
        if path.stem not in titles:
            path.unlink()
    there = [name for name in titles if (folder / f"{name}.html").is_file()]
    lines = [f'- <a href="../slides/{name}.html">{html.escape(titles[name])}</a>' for name in there]
    text = "\n".join(lines) or "No chapter with slides was executed."
    return _write(root / LIST, f"{text}\n")


def _write(path: Path, text: str) -> Path:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return path


def with_slides(settings: dict, root: Path) -> dict:
    """Jupyter Book's settings, in which the folder of slides is copied to the site.

    Parameters
    ----------
    settings
        From `project.book_settings`.
    root
        The book's folder.
    """
    if not any((root / FOLDER).glob("slides/*.html")):
        return settings
    sphinx = settings.get("sphinx", {})
    config = sphinx.get("config", {})
    folders = [*config.get("html_extra_path", []), FOLDER.as_posix()]
    return settings | {"sphinx": sphinx | {"config": config | {"html_extra_path": folders}}}
