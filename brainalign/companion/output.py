"""What a notebook leaves behind: figures with alt text, recorded numbers, tables, commands.

On a page everything is displayed; `brainalign run` and `brainalign book` also name a folder
(`BRAINALIGN_OUTPUT`) where figures, numbers and tables are kept as files.
"""

import base64
import html
import io
import json
import math
import os
import re
import shlex
import sys
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path

import numpy as np

from brainalign.errors import InputError
from brainalign.files import atomic_path, output_folder

CHANGED_VARIABLE = "BRAINALIGN_CHANGED"
LEFT_OUT = "left_out.json"
_NO_NETWORK = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'\">"
)
_DPI = 192
_PAGE_DPI = 96
# p values are never zero.
_LEAST_P = "< 0.001"
# Parameters that fit one study only.
_OF_A_STUDY = ("study_options", "models")


def show(fig, name: str, alt: str) -> None:
    """Display a figure with its alt text, keep it as files where they are asked for, and close it.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        The figure.
    name
        File name without ending; letters, digits, "-" and "_".
    alt
        What the figure shows, with the numbers of this very run.

    Raises
    ------
    InputError
        For another kind of name, or without an alt text.
    """
    _check_shown(name, alt)
    alt = " ".join(alt.split())
    from IPython.display import display

    png = _image(fig, "png")
    width = int.from_bytes(png[16:20], "big") * _PAGE_DPI // _DPI
    display(
        {"image/png": base64.b64encode(png).decode(), "text/plain": alt},
        metadata={"image/png": {"alt": alt, "width": width}},
        raw=True,
    )
    if folder := output_folder():
        _write(folder / "figures" / f"{name}.png", png)
        _write(folder / "figures" / f"{name}.svg", _image(fig, "svg"))
        _write(folder / "figures" / f"{name}.txt", f"{alt}\n".encode())
    _close(fig)


def show_page(page: str, name: str, title: str, ratio: float) -> None:
    """Display a whole page of HTML that can be clicked through; keep it as a file where asked for.

    Parameters
    ----------
    page
        Self-contained HTML. It gets a frame of its own, loaded when a reader comes to it, whose
        scripts can reach neither the page around it nor the network.
    name
        File name without ending; letters, digits, "-" and "_".
    title
        What the frame shows, for those who cannot see it.
    ratio
        Width of the frame over its height; it is as wide as the text.

    Raises
    ------
    InputError
        For another kind of name, or without a title.
    """
    _check_shown(name, title)
    from IPython.display import display

    page = page.replace("<head>", f"<head>{_NO_NETWORK}", 1)
    frame = (
        f'<iframe title="{html.escape(title)}" srcdoc="{html.escape(page)}" '
        'sandbox="allow-scripts" loading="lazy" '
        f'style="width: 100%; aspect-ratio: {ratio:g}; border: 0"></iframe>'
    )
    display({"text/html": frame, "text/plain": title}, raw=True)
    if folder := output_folder():
        _write(folder / "figures" / f"{name}.html", page.encode())


def _check_shown(name: str, alt: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise InputError(f"The figure name {name!r} must be letters, digits, '-' and '_' only.")
    if not alt.strip():
        raise InputError(f"Figure {name!r} has no alt text.")


def _image(fig, kind: str) -> bytes:
    """Bytes of a figure, the same from run to run: no dates, no random identifiers."""
    import matplotlib

    stream = io.BytesIO()
    metadata = {"svg": {"Date": None}, "png": {"Software": None}}[kind]
    with matplotlib.rc_context({"svg.hashsalt": "brainalign", "svg.fonttype": "path"}):
        fig.savefig(stream, format=kind, dpi=_DPI, bbox_inches="tight", metadata=metadata)
    return stream.getvalue()


def _close(fig) -> None:
    # Without pyplot nothing holds the figure; importing it only to close would be a waste.
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close(fig)


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def _identifier(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", name)


def _number(name: str, value: object) -> int | float | None:
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    raise InputError(f"Number {name!r} is {value!r}; a number is expected.")


def record(numbers: Mapping[str, object]) -> None:
    """Add results to the run's `numbers.json`; nothing appears on the page.

    Parameters
    ----------
    numbers
        Names to numbers. In names, all but letters, digits and "_" becomes "_"; numbers that are
        not finite are kept as null.

    Raises
    ------
    InputError
        For a value that is not a number, or two names that become the same.
    """
    checked = {}
    for name, value in numbers.items():
        identifier = _identifier(name)
        if identifier in checked:
            raise InputError(f"Two recorded numbers have the name {identifier!r}.")
        checked[identifier] = _number(name, value)
    if folder := output_folder():
        path = folder / "numbers.json"
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        _write(path, (json.dumps(earlier | checked, indent=1) + "\n").encode())


def _decimals(values: list) -> int:
    """Decimals for the floats of a column: three significant digits of the largest.

    Below .01 four decimals do, as in the intervals beside them, or two significant digits.
    """
    finite = [abs(v) for v in values if _is_float(v) and math.isfinite(v) and v]
    if not finite:
        return 0
    three = 2 - math.floor(math.log10(max(finite)))
    return max(0, min(three, max(4, three - 1)))


def _is_float(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, Integral)


def _is_p_value(name: object) -> bool:
    """Whether a column holds p values or false discovery rates: "p", "q (blocks)"."""
    return bool(re.match(r"[pq](?![a-zA-Z0-9])", str(name)))


def _cell(value: object, decimals: int, p_value: bool = False) -> tuple[str, bool]:
    """Text of a table cell, and whether it is a number."""
    if value is None or (_is_float(value) and math.isnan(value)):
        return "–", True
    if p_value and _is_float(value):
        return html.escape(_LEAST_P) if value < 0.001 else f"{value:.3f}", True
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no", False
    if isinstance(value, Real):
        form = ",d" if isinstance(value, Integral) else f",.{decimals}f"
        text = format(value, form).replace("-", "−")
        # What is rounded to zero has no sign.
        return text if re.search("[1-9]", text) else text.lstrip("−"), True
    return html.escape(str(value)), False


def _heading(name: object) -> str:
    """Name of a column, which may be broken, but not within a difference such as "L − R"."""
    return html.escape(str(name)).replace(" − ", "\N{NO-BREAK SPACE}−\N{NO-BREAK SPACE}")


def html_table(df, caption: str) -> str:
    """A table that can be read by ear: caption, header cells with their scope.

    Parameters
    ----------
    df : pandas.DataFrame
        Its index is shown where it has a name, as row headers; otherwise the first column is.
    caption
        What the table shows.

    Returns
    -------
    str
        HTML; in every column the largest number has three significant digits, or two where it is
        small. p values have three decimals, or are "< 0.001".
    """
    if any(df.index.names):
        df = df.reset_index()
    columns = [df[name].tolist() for name in df.columns]
    cells = [
        [_cell(value, _decimals(values), _is_p_value(name)) for value in values]
        for name, values in zip(df.columns, columns, strict=True)
    ]
    numeric = [bool(column) and all(number for _, number in column) for column in cells]
    # Short texts ("0.0016 to 0.0030", "left − right") stay on one line, long ones get room.
    short = [max((len(html.unescape(text)) for text, _ in c), default=0) <= 20 for c in cells]
    kinds = [
        "number" if n else "short" if s else "text" for n, s in zip(numeric, short, strict=True)
    ]
    classes = [f'class="{kind}"' for kind in kinds]
    names = zip(df.columns, classes, strict=True)
    head = "".join(f'<th scope="col" {kind}>{_heading(name)}</th>' for name, kind in names)
    rows = []
    for row in zip(*cells, strict=True):
        first, *others = [f"{kind}>{text}" for (text, _), kind in zip(row, classes, strict=True)]
        rest = "".join(f"<td {cell}</td>" for cell in others)
        rows.append(f'<tr><th scope="row" {first}</th>{rest}</tr>')
    shown = html.escape(caption)
    return (
        f'<div class="brainalign-table" role="region" tabindex="0" aria-label="{shown}">'
        f"<table><caption><span>{shown}</span></caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def table(df, name: str, caption: str) -> None:
    """Display a table; the one named "table" is also kept as `table.csv`, all digits.

    Parameters
    ----------
    df : pandas.DataFrame
        The table.
    name
        "table" for the notebook's main table.
    caption
        Shown above it.
    """
    from IPython.display import display

    display({"text/html": html_table(df, caption), "text/plain": caption}, raw=True)
    if name == "table" and (folder := output_folder()):
        _write(folder / "table.csv", df.to_csv(index=any(df.index.names)).encode())


def _yaml_value(value: object) -> str:
    """A JSON value as one argument for `-p`; JSON is YAML."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def command(notebook: str, **changes) -> str:
    """The shell command that runs a notebook with this run's parameters and some changes.

    Parameters
    ----------
    notebook
        Its name.
    **changes
        Parameters that shall differ from this run's.

    Returns
    -------
    str
        "brainalign run asymmetry -p n_boot=200 -o asymmetry-2".

    Raises
    ------
    InputError
        For a change that the notebook would refuse.
    """
    from brainalign.companion.parameters import read_schema, resolve
    from brainalign.files import project_root

    own = json.loads(os.environ.get(CHANGED_VARIABLE, "{}"))
    if own.get("study") not in (None, changes.get("study", own.get("study"))):
        # Another study has other options, and its words are known to other language models.
        own = {name: value for name, value in own.items() if name not in _OF_A_STUDY}
    values = own | changes
    root = project_root()
    if root and (root / "notebooks" / f"{notebook}.ipynb").is_file():
        resolve(read_schema(notebook), values, notebook)
    assignments = [f"{name}={_yaml_value(value)}" for name, value in values.items()]
    given = [part for text in assignments for part in ("-p", text)]
    return shlex.join(["brainalign", "run", notebook, *given, "-o", f"my-{notebook}"])


def rerun_command(notebook: str, **changes):
    """The command of `command` as a block to copy from the page.

    Returns
    -------
    IPython.display.Markdown
        Shown where it is the last expression of a cell.
    """
    from IPython.display import Markdown

    return Markdown(f"```bash\n{command(notebook, **changes)}\n```")


def leave_out(*tags: str) -> None:
    """Keep the cells with these tags off the page: they do not fit what was asked for.

    The cells run all the same, so that their code has to do nothing then.
    """
    if folder := output_folder():
        _write(folder / LEFT_OUT, json.dumps(tags).encode())


def write_modules() -> None:
    """Note what this process used: modules of brainalign, seconds of the processor.

    The runner calls it last. The seconds are those of all cores, with finished helper processes.
    """
    if folder := output_folder():
        names = sorted(n for n in sys.modules if n == "brainalign" or n.startswith("brainalign."))
        _write(folder / "modules.json", json.dumps(names).encode())
        used = {"cpu_seconds": round(sum(os.times()[:4]), 2)}
        _write(folder / "usage.json", json.dumps(used).encode())
