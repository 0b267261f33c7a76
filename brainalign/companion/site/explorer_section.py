"""The section of a page in which a reader chooses among variants, see `explorer`.

Every variant is there in full, as ordinary cells, under a line that names its parameter values: so
search, alt texts, the one-file HTML and readers without scripts have all of them.
`book/_static/explorer.js` reads the data that go before them, builds the choices and hides all
variants but one.
"""

import base64
import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from brainalign.companion import WorkError, cache
from brainalign.companion.availability import lacks
from brainalign.companion.compose import EXPLORED, source_text
from brainalign.companion.explorer import TAG, Explorer, Variant, choice, value_text
from brainalign.companion.notebooks import has_tag
from brainalign.companion.output import command
from brainalign.companion.parameters import read_schema, to_source

_HEADING = "## Explore"
_INTRODUCTION = (
    "The same page with other parameters. Each of the {n} variants below was executed when this "
    "book was built, so that nothing is computed while you choose: figure, caption, table and "
    "command change together. Where scripts are switched off, the variants follow one another."
)
# Longer than any fence inside.
_FENCE = ":" * 8
_LABEL = re.compile(r"^\([^\s()]+\)=[ \t]*\n?", re.MULTILINE)


def section(explorer: Explorer) -> list:
    """Cells of a page's section: introduction, data for the choices, and every variant.

    Parameters
    ----------
    explorer
        From `explorer.plan_explorer`. A variant that was not executed, because its data are not at
        hand or nobody asked for it yet, is left out; its choice is disabled.

    Returns
    -------
    list of nbformat.NotebookNode
        Empty where there are fewer than two variants: there is nothing to choose then.

    Raises
    ------
    WorkError
        Where a variant shows nothing, or all together are over their budget of bytes.
    """
    cells, tags = [], {}
    for variant in explorer.variants:
        if found := _tagged_cells(explorer, variant):
            tags[variant.execution.name] = f"{_identifier(explorer)}-{len(tags) + 1}"
            cells += _variant_cells(variant, found, tags[variant.execution.name])
    if len(tags) < 2:
        return []
    _check_bytes(explorer, cells)
    introduction = f"{_HEADING}\n\n{_INTRODUCTION.format(n=len(tags))}"
    return [_markdown(introduction), _markdown(_data_html(explorer, tags)), *cells]


def _identifier(explorer: Explorer) -> str:
    """Name that is unique in the book, for classes, identifiers and links."""
    return f"explore-{re.sub(r'[^a-z0-9]+', '-', explorer.notebook.lower())}"


def _markdown(source: str):
    import nbformat

    return nbformat.from_dict({"cell_type": "markdown", "metadata": {}, "source": source})


def _tagged_cells(explorer: Explorer, variant: Variant) -> list:
    """Cells that a variant shows; none where it was not executed since they were tagged."""
    import nbformat

    execution = variant.execution
    path = cache.page_folder(execution) / f"{execution.notebook}.ipynb"
    if lacks(execution) or not path.is_file():
        return []
    found = [c for c in nbformat.read(path, as_version=4).cells if has_tag(c, TAG)]
    if any(cell.get("outputs") for cell in found):
        return found
    if cache.stale_reasons(execution):
        return []
    raise WorkError(
        f"Page {explorer.notebook}: the variant {_assignments(variant)} shows nothing; a cell "
        f"tagged {TAG!r} with an output is expected for it."
    )


def _variant_cells(variant: Variant, found: Sequence[Any], tag: str) -> list:
    """A line that names the values, what the tagged cells show, and the command."""
    execution = variant.execution
    shown = [_shown(cell, variant, tag) for cell in found]
    heading = " · ".join(told(name, variant.values[name]) for name in variant.values)
    # What was chosen, be it the default, and what else sets the run apart from one without -p.
    rerun = command(execution.notebook, **(variant.values | execution.changed))
    last = f"This variant as a run of its own:\n\n```bash\n{rerun}\n```"
    first, last = _contained(f"**{heading}**", tag, "explore-heading"), _contained(last, tag)
    return [first, *shown, last]


def _contained(source: str, *classes: str):
    """Markdown in a container, because a Markdown cell has none that could carry a class."""
    source = f"{_FENCE}{{container}} {' '.join(classes)}\n{source}\n{_FENCE}"
    return _markdown(source)


def _shown(cell, variant: Variant, tag: str):
    """One tagged cell as it appears: outputs without their code, texts with the values used."""
    cell = copy.deepcopy(cell)
    if cell.cell_type == "code":
        # Without `hide-output`: what can be chosen is not folded away.
        cell.metadata["tags"] = ["remove-input", EXPLORED, tag]
        cell.metadata.get("mystnb", {}).pop("figure", None)
        return cell
    source = _LABEL.sub("", cell.source)
    if source.startswith("**Figure"):
        source += f" Shown with {_assignments(variant)}."
    return _contained(source, tag)


def _assignments(variant: Variant) -> str:
    """The values of a variant as they are written in the parameters cell."""
    texts = [f"`{name} = {to_source(value)}`" for name, value in variant.values.items()]
    return ", ".join(texts)


def told(name: str, value: object) -> str:
    """A parameter and its value in a line of text: "voxels: all"; a study is named in words."""
    if name == "study":
        return _value_label(name, value)
    return f"{name.replace('_', ' ')}: {_value_label(name, value)}"


def _value_label(name: str, value: object) -> str:
    if name == "study":
        words = source_text({"study": value})[0].removeprefix("In ")
        return words[:1].upper() + words[1:]
    words = {"true": "yes", "false": "no", "null": "none"}
    return words.get(json.dumps(value), value_text(value))


def _data_html(explorer: Explorer, tags: Mapping[str, str]) -> str:
    """Place of the choices, and what they are made from, as JSON."""
    # "<" would end the script where a value holds "</script>".
    content = json.dumps(data(explorer, tags), ensure_ascii=False).replace("<", "\\u003c")
    name = _identifier(explorer)
    return (
        f'<div class="brainalign-explorer" id="{name}"></div>\n'
        f'<script type="application/json" class="brainalign-explorer-data">{content}</script>'
    )


def data(explorer: Explorer, tags: Mapping[str, str]) -> dict:
    """What the script needs to know.

    Parameters
    ----------
    explorer
        The variants.
    tags
        Execution's name to the class of its variant; those not at hand have none.

    Returns
    -------
    dict
        `parameters`: name, label, meaning, values (value, label); `variants`: values in the order
        of the parameters, null where one does not apply, and the class, null where the variant was
        not executed.
    """
    first = explorer.variants[0].execution
    schema = read_schema(explorer.notebook, first.path)
    choices = [choice(variant, explorer.names) for variant in explorer.variants]
    return {
        "parameters": [
            {
                "name": name,
                "label": name.replace("_", " ").capitalize(),
                "meaning": schema[name].meaning,
                "values": _values(explorer, name),
            }
            for name in explorer.names
        ],
        "variants": [
            {"values": list(values), "tag": tags.get(variant.execution.name)}
            for values, variant in zip(choices, explorer.variants, strict=True)
        ],
    }


def _values(explorer: Explorer, name: str) -> list[dict[str, str]]:
    """Values of a parameter in the order of the grids, each once."""
    used = [variant.values[name] for variant in explorer.variants if name in variant.values]
    unique = {value_text(value): _value_label(name, value) for value in used}
    return [{"value": value, "label": label} for value, label in unique.items()]


def shown_bytes(cells: Sequence[Any]) -> int:
    """Bytes of the images and tables of cells; what is there twice is kept once in a website."""
    found = {}
    for cell in cells:
        for output in cell.get("outputs", []):
            for kind, content in output.get("data", {}).items():
                text = content if isinstance(content, str) else json.dumps(content)
                if kind.startswith("image/") and not kind.endswith("svg+xml"):
                    found[text] = len(base64.b64decode(text))
                elif kind.startswith("image/") or kind == "text/html":
                    found[text] = len(text.encode())
    return sum(found.values())


def _check_bytes(explorer: Explorer, cells: Sequence[Any]) -> None:
    found = shown_bytes(cells) / 1e6
    if found > explorer.megabytes:
        raise WorkError(
            f"Page {explorer.notebook}: the figures and tables of its explorer are {found:.2f} MB; "
            f"{explorer.megabytes:g} MB are allowed (brainalign.explore.megabytes)."
        )
