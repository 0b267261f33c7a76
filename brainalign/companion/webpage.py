"""An executed notebook as one HTML file that asks the network for nothing."""

import html
import re
from functools import cache
from pathlib import Path

from brainalign.companion.compose import source_text, split_once
from brainalign.companion.notebooks import has_tag, title
from brainalign.files import atomic_path, project_root

_STYLE = """
body { font: 1rem/1.55 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 0; }
main { max-width: 52rem; margin: 0 auto; padding: 1rem; }
img, svg { max-width: 100%; height: auto; }
pre { overflow-x: auto; background: #f6f7f8; padding: .7rem; border-radius: 4px; }
pre, code { font: .875rem/1.45 ui-monospace, monospace; }
.cell { margin: 1rem 0; }
.prompt, .anchor-link { display: none; }
.brainalign-table { overflow-x: auto; container-type: inline-size; }
table { border-collapse: collapse; margin: .5rem 0; }
table { font-size: .875rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
caption span { position: sticky; left: 0; display: inline-block; }
caption span { width: max-content; max-width: 100cqw; margin-right: -100cqw; }
th, td { border-bottom: 1px solid #ccc; padding: .25rem .5rem; text-align: left; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.text { min-width: 8rem; }
td.number, td.short, th[scope="row"] { white-space: nowrap; }
th.text[scope="row"] { white-space: normal; min-width: 9rem; }
@media (max-width: 600px) {
  th[scope="row"] { white-space: normal; min-width: 6rem; }
  th.text[scope="row"] { min-width: 8rem; }
  th, td { padding: .25rem .45rem; }
}
thead th { border-bottom: 2px solid #666; }
.admonition { border-left: 4px solid #2b6cb0; background: #eef4fa; padding: .1rem 1rem; }
.admonition-title { font-weight: 600; }
"""
_FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w-]+)\}[ \t]*(?P<argument>.*)$")
_OPTION = re.compile(r"^:[\w-]+:.*$")
_ROLE = re.compile(r"\{(?P<name>[\w:-]+)\}`(?P<text>[^`]+)`")
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?![a-z]+:|#)[^)]+\)")
_LABEL = re.compile(r"^\([^\s()]+\)=[ \t]*\n?", re.MULTILINE)


def _role(match: re.Match) -> str:
    """Text of a role, without its target."""
    text = re.sub(r"\s*<[^<>]*>$", "", match["text"])
    if match["name"] == "math":
        return f"${text}$"
    if match["name"].startswith("cite"):
        return f"({'; '.join(_author_and_year(key.strip()) for key in text.split(','))})"
    return text


def _author_and_year(key: str) -> str:
    """A reference of the book as author and year; its key where the book does not have it."""
    entry = _references(project_root()).get(key)
    if entry is None:
        return key
    names = [" ".join(person.last_names) for person in entry.persons["author"]]
    shown = " & ".join(names) if len(names) < 3 else f"{names[0]} et al."
    return f"{shown} {entry.fields['year']}"


@cache
def _references(root: Path | None) -> dict:
    from pybtex.database import parse_file

    path = root / "book" / "references.bib" if root else None
    return dict(parse_file(path).entries) if path and path.is_file() else {}


def plain_markdown(source: str) -> str:
    """Markdown without the book's own syntax: directives become boxes, roles become text.

    Parameters
    ----------
    source
        A Markdown cell, as the book reads it.

    Returns
    -------
    str
        Markdown with a little HTML, for any other reader.
    """
    lines, closing = [], []
    in_options = False
    for line in _LABEL.sub("", source).splitlines():
        if match := _FENCE.match(line):
            name, argument = match["name"], match["argument"].strip()
            closing.append((match["fence"], name))
            in_options = True
            if name == "math":
                lines += ["$$"]
            elif name == "code-block":
                lines += [f"```{argument}"]
            else:
                heading = argument or name.split("-")[0].capitalize()
                heading = f"Exercise: {argument}" if name == "exercise" else heading
                lines += [f'<div class="admonition {name}">', ""]
                lines += [f'<p class="admonition-title">{html.escape(heading)}</p>', ""]
        elif closing and line.strip() == closing[-1][0]:
            name = closing.pop()[1]
            lines += {"math": ["$$"], "code-block": ["```"]}.get(name, ["", "</div>", ""])
            in_options = False
        elif not (in_options and _OPTION.match(line)):
            in_options = False
            # Other pages are not beside this one: links to them become text.
            lines.append(_LINK.sub(r"\g<text>", _ROLE.sub(_role, line)))
    return "\n".join(lines)


def _has_formula(notebook) -> bool:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return bool(re.search(r"\$[^$\n]+\$|\$\$|\\begin\{|\{math\}", text))


def _mathjax() -> str:
    """MathJax inside the page, from the copy that the book ships."""
    root = project_root()
    path = root / "book" / "_static" / "mathjax" / "tex-svg-full.js" if root else None
    if path is None or not path.is_file():
        return ""
    settings = 'window.MathJax = {tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]]}};'
    script = path.read_text(encoding="utf-8").replace("</script", "<\\/script")
    return f"<script>{settings}</script>\n<script>{script}</script>"


def _markdown(source: str):
    import nbformat

    return nbformat.v4.new_markdown_cell(source)


def _folded(cell) -> list:
    """A cell that the book folds away, folded away here too."""
    return [
        _markdown("<details><summary>Show the solution</summary>"),
        cell,
        _markdown("</details>"),
    ]


def _page_cells(notebook) -> list:
    """Cells of the page: the source of the data said plainly, Markdown made plain."""
    leading, body, trailing = split_once(notebook.cells)
    parameters = notebook.metadata.get("brainalign", {}).get("parameters", {})
    box = source_text(parameters)[1]
    cells = []
    for cell in [*leading, *([_markdown(box)] if box else []), *body, *trailing]:
        if has_tag(cell, "remove-cell"):
            continue
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(cell.source)
        cells += _folded(cell) if has_tag(cell, "hide-cell") else [cell]
    return cells


def to_html(notebook) -> str:
    """One page of HTML with everything inside.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Executed and cleaned.

    Returns
    -------
    str
        The page: no scripts but MathJax, and that only where there is a formula.
    """
    import nbformat
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    notebook = nbformat.from_dict(notebook)
    notebook.cells = _page_cells(notebook)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
    exporter = HTMLExporter(template_name="basic", exclude_anchor_links=True)
    body, _ = exporter.from_notebook_node(notebook)
    colours = HtmlFormatter(style="default").get_style_defs(".highlight")
    heading = html.escape(title(notebook) or "brainalign")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}{colours}</style>\n"
        f"{_mathjax() if _has_formula(notebook) else ''}</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def write_webpage(path: Path) -> Path:
    """Write the HTML of an executed notebook beside it.

    Returns
    -------
    pathlib.Path
        The HTML file.
    """
    import nbformat

    page = to_html(nbformat.read(path, as_version=4))
    target = path.with_suffix(".html")
    with atomic_path(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target
