"""The page of two runs: one HTML file with everything inside, see `compare`."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

from brainalign.companion.compare import (
    DIGITS,
    Change,
    Run,
    changes,
    pixels_that_differ,
    score_changes,
    split_names,
    table_changes,
)
from brainalign.companion.parameters import to_source

# Longer lists of table cells say how many there are.
_MOST_ROWS = 200
_LARGEST_SVG = 1_000_000
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #ccc; --rule: #666;
  --mark: #fff3c4; --note: #eef4fa; --edge: #2b6cb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181c; --line: #454a52;
  --rule: #9aa0a8; --mark: #4a3f10; --note: #1d2a38; --edge: #7db3e8; } }
body { font: 1rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 0; overflow-wrap: anywhere; }
main { max-width: 68rem; margin: 0 auto; padding: 1rem; }
.scroll { overflow-x: auto; margin: .75rem 0; }
.scroll:focus-visible, summary:focus-visible { outline: 3px solid var(--edge); }
table { border-collapse: collapse; font-size: .875rem; overflow-wrap: normal; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
caption span { position: sticky; left: 0; display: inline-block; max-width: 88vw; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem .25rem 0; text-align: left;
  vertical-align: top; }
td { max-width: 24rem; overflow-wrap: anywhere; min-width: 4rem; }
td.number, th.number { text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
thead th { border-bottom: 2px solid var(--rule); }
tr.differs th, tr.differs td { background: var(--mark); }
tr.differs th { padding-left: .4rem; }
.note { border-left: 4px solid var(--edge); background: var(--note); padding: .4rem 1rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
figure { margin: 0; }
figcaption { font-size: .875rem; padding: .3rem 0; }
img { width: 100%; height: auto; background: #fff; }
details { margin: .75rem 0; }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 600px) { .pair { grid-template-columns: 1fr; } }
"""


def _shown(value: object) -> str:
    """A value as text; numbers with seven digits."""
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return (f"{value:.7g}" if isinstance(value, float) else f"{value}").replace("-", "−")
    return str(value)


def _table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    marked: Sequence[bool] = (),
) -> str:
    """Accessible HTML table: row headers in the first column, marked rows in another colour."""
    rows = [list(row) for row in rows]

    def kind(value: object) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return ' class="number"' if number or value is None else ""

    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in head]
    heads = [
        f'<th scope="col"{kind(None) if column and all(map(kind, column)) else ""}>'
        f"{html.escape(name)}</th>"
        for name, column in zip(head, columns, strict=True)
    ]
    body = []
    for number, (first, *others) in enumerate(rows):
        cells = "".join(f"<td{kind(v)}>{html.escape(_shown(v))}</td>" for v in others)
        opening = '<tr class="differs">' if number < len(marked) and marked[number] else "<tr>"
        body.append(f'{opening}<th scope="row">{html.escape(_shown(first))}</th>{cells}</tr>')
    shown = html.escape(caption)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{shown}"><table>'
        f"<caption><span>{shown}</span></caption><thead><tr>{''.join(heads)}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{html.escape(summary)}</summary>{content}</details>"


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _git(state: Mapping | None) -> str:
    if not state:
        return "outside git"
    return f"{state.get('commit')}{' with changed files' if state.get('dirty') else ''}"


def _run_section(runs: Sequence[Run]) -> str:
    """What was run, where and when, and versions, data and code that differ."""
    records = [run.provenance for run in runs]
    machines = [record.get("machine") or {} for record in records]
    rows = [
        ("folder", *(run.folder for run in runs)),
        ("notebook", *(run.notebook for run in runs)),
        ("started", *(str(record.get("started", "–")) for record in records)),
        ("seconds", *(record.get("seconds") for record in records)),
        *(
            (name, *(str(machine.get(name, "–")) for machine in machines))
            for name in ("system", "processor", "cores")
        ),
        ("git commit", *(_git(record.get("git")) for record in records)),
    ]
    # Where and when tells two runs apart in any case.
    marked = [a != b and name not in ("folder", "started", "seconds") for name, a, b in rows]
    text = _table("What was run.", ["what", "A", "B"], rows, marked)
    versions = [record.get("versions") or {} for record in records]
    rows = [(n, *(v.get(n, "not used") for v in versions)) for n in {**versions[0], **versions[1]}]
    rows = [row for row in rows if row[1] != row[2]]
    if rows:
        text += _table("Versions that differ.", ["package", "A", "B"], rows)
    else:
        text += _paragraph("Both used the same versions of all packages.")
    for part, what in {
        "notebook": "the notebook's file",
        "code": "modules of brainalign",
        "data": "data",
    }.items():
        text += _dependency(part, what, records)
    return text + _scores(records)


def _dependency(part: str, what: str, records: Sequence[Mapping]) -> str:
    """One paragraph on code or data that are not the same in both runs."""
    found = [(record.get("dependencies") or {}).get(part) for record in records]
    if found[0] == found[1]:
        return ""
    if not all(isinstance(one, dict) for one in found):
        return _paragraph(f"Not the same in both: {what}.")
    shared, first, second = split_names(*found)
    changed = [name for name in shared if found[0][name] != found[1][name]]
    lists = [(changed, "Changed"), (first, "Used by A only"), (second, "Used by B only")]
    said = [f"{how}, {what}: {_some(sorted(names))}." for names, how in lists if names]
    return _paragraph(" ".join(said)) if said else ""


def _some(names: Sequence[str]) -> str:
    """The first dozen of a list, and how many there are beyond."""
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _scores(records: Sequence[Mapping]) -> str:
    """One paragraph on brain scores that are not the same in both runs."""
    found = [(record.get("dependencies") or {}).get("scores") or {} for record in records]
    if found[0] == found[1]:
        return ""
    if not all(isinstance(one, dict) for one in found):
        return _paragraph("Not the same in both: brain scores that were read.")
    apart = score_changes(*found)
    same = (
        "one and the same brain score"
        if apart.n_same == 1
        else f"the same {apart.n_same} brain scores"
    )
    said = [f"Both read {same}."] if apart.n_same else []
    for study, models in apart.refitted.items():
        which = f"{len(models)} models" if len(models) > 1 else f"model {models[0]}"
        how = [f"{name} ({a} in A, {b} in B)" for name, (a, b) in apart.settings[study].items()]
        what = f"with other settings: {', '.join(how)}" if how else "to other data or by other code"
        said.append(f"The same {which} on {study}, fitted {what}.")
    for names, letter in ((apart.only_first, "A"), (apart.only_second, "B")):
        if names:
            said.append(f"Used by {letter} only, brain scores that were read: {_some(names)}.")
    return _paragraph(" ".join(said)) if said else ""


def _value(value: object) -> str:
    """A parameter's value as in its notebook, texts without quotes."""
    return value if isinstance(value, str) and value else to_source(value)


def _parameters_section(runs: Sequence[Run]) -> tuple[str, str]:
    values = [run.provenance["parameters"] for run in runs]
    shared, first, second = split_names(*values)
    differ = [name for name in shared if values[0][name] != values[1][name]]
    rows = [
        (n, values[0][n], values[1][n], "differs" if n in differ else "same")
        for n in [*differ, *(n for n in shared if n not in differ)]
    ]
    rows += [(name, values[0][name], "–", "only in A") for name in first]
    rows += [(name, "–", values[1][name], "only in B") for name in second]
    head = ["parameter", "A", "B", "how"]
    # Lists, numbers and texts alike are read as text here.
    rows = [(name, _value(a), _value(b), how) for name, a, b, how in rows]
    text = _table("Parameters.", head, rows, [row[3] != "same" for row in rows])
    return text, f"{len(differ)} of {_counted(len(shared), 'shared parameter')} differ"


def _numbers_section(runs: Sequence[Run]) -> tuple[str, str]:
    found = changes(runs[0].numbers, runs[1].numbers)
    differ = [change for change in found if not change.equal]
    equal = [change for change in found if change.equal]
    text = ""
    if differ:
        head = ["number", "A", "B", "B − A", "B ÷ A"]
        rows = [(c.name, c.first, c.second, c.difference, c.ratio) for c in differ]
        text += _table("Numbers that differ, the largest relative change first.", head, rows)
    if equal:
        rows = [(change.name, change.first) for change in equal]
        table = _table(f"Equal to {DIGITS} digits.", ["number", "A and B"], rows)
        text += _folded(f"{_counted(len(equal), 'equal number')}", table)
    _, *single = split_names(runs[0].numbers, runs[1].numbers)
    for names, run, letter in zip(single, runs, "AB", strict=True):
        if names:
            rows = [(name, run.numbers[name]) for name in names]
            table = _table(f"Only in {letter}.", ["number", letter], rows)
            text += _folded(f"{_counted(len(names), 'number')} only in {letter}", table)
    if not found:
        text += _paragraph("The runs have no number of the same name.")
    return text, f"{len(differ)} of {_counted(len(found), 'shared number')} differ"


def _table_section(runs: Sequence[Run]) -> tuple[str, str]:
    found = table_changes(runs[0].table, runs[1].table)
    if found.why_not:
        return _paragraph(f"The tables cannot be compared. {found.why_not}"), ""
    n_keys = len(found.keys)
    # No relative change of numbers is larger than 2; where a text changed, all of it did.
    sizes = [Change("", *r[-2:]).relative if _are_numbers(r[-2:]) else 2.0 for r in found.rows]
    ordered = [found.rows[i] for i in sorted(range(len(sizes)), key=lambda i: -sizes[i])]
    text = ""
    if ordered:
        head = [*map(str, found.keys), "column", "A", "B", "B − A"]
        rows = [
            (*map(_shown, row[: n_keys + 1]), *row[-2:], row[-1] - row[-2])
            if _are_numbers(row[-2:])
            else (*map(_shown, row), "–")
            for row in ordered[:_MOST_ROWS]
        ]
        caption = "Cells of table.csv that differ, the largest relative change first."
        text += _table(caption, head, rows)
        if len(ordered) > _MOST_ROWS:
            text += _paragraph(f"And {len(ordered) - _MOST_ROWS} more cells.")
    elif found.n_shared:
        text += _paragraph(f"All {_counted(found.n_shared, 'shared row')} of table.csv agree.")
    else:
        text += _paragraph("The tables have no row in common.")
    for keys, letter in ((found.only_first, "A"), (found.only_second, "B")):
        if keys:
            table = _table(f"Rows only in {letter}.", [*map(str, found.keys)], keys)
            text += _folded(f"{_counted(len(keys), 'row')} only in {letter}", table)
    if not found.n_shared:
        return text, ""
    rows = len({row[:n_keys] for row in ordered})
    return text, f"{rows} of {_counted(found.n_shared, 'shared table row')} differ"


def _are_numbers(values: Sequence[object]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) and v == v for v in values)


def _image(files: Mapping[str, bytes], caption: str) -> str:
    alt = " ".join(files.get("txt", b"No description was left.").decode("utf-8").split())
    svg = files.get("svg", b"")
    vector = svg and (len(svg) <= _LARGEST_SVG or "png" not in files)
    kind, content = ("svg+xml", svg) if vector else ("png", files.get("png", b""))
    data = base64.b64encode(content).decode()
    return (
        f'<figure><img src="data:image/{kind};base64,{data}" alt="{html.escape(alt)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _figures_section(runs: Sequence[Run]) -> tuple[str, str]:
    figures = [
        {n: files for n, files in run.figures.items() if files.keys() & {"png", "svg"}}
        for run in runs
    ]
    shared, *single = split_names(*figures)
    text, n_differ = "", 0
    for name in shared:
        pair = [one[name] for one in figures]
        sentence, same = _difference(pair)
        n_differ += not same
        shown = [_image(pair[0], "A and B")] if same else map(_image, pair, "AB")
        text += f"<h3>{html.escape(name)}</h3>{_paragraph(sentence)}"
        text += f'<div class="pair">{"".join(shown)}</div>'
    for names, one, letter in zip(single, figures, "AB", strict=True):
        for name in names:
            text += f"<h3>{html.escape(name)}</h3>{_paragraph(f'Only in {letter}.')}"
            text += f'<div class="pair">{_image(one[name], letter)}</div>'
    if not shared:
        text = _paragraph("The runs have no figure of the same name.") + text
    return text, f"{n_differ} of {_counted(len(shared), 'shared figure')} differ"


def _difference(pair: Sequence[Mapping[str, bytes]]) -> tuple[str, bool]:
    """One sentence on how two pictures differ, and whether they are identical."""
    if not all("png" in files for files in pair):
        same = pair[0].get("svg") == pair[1].get("svg")
        return ("Identical files." if same else "Not identical."), same
    part = pixels_that_differ(pair[0]["png"], pair[1]["png"])
    if part == 0:
        return "Identical: every pixel is the same.", True
    if part is None:
        return "The pictures differ in size.", False
    share = f"{100 * part:.1f} %" if part >= 0.0005 else "less than 0.1 %"
    return f"{share} of the pixels differ.", False


def page(first: Run, second: Run) -> str:
    """The page of two runs.

    Parameters
    ----------
    first, second
        From `compare.read_run`; called A and B on the page.

    Returns
    -------
    str
        HTML without scripts, with pictures inside; the same for the same runs.
    """
    runs = (first, second)
    heading = f"{first.notebook}: two runs compared"
    note = ""
    if first.notebook != second.notebook:
        heading = f"{first.notebook} and {second.notebook} compared"
        note = (
            '<p class="note">These are runs of <strong>different notebooks</strong>. Parameters, '
            "numbers and figures that share a name stand side by side; they need not mean the same."
            "</p>"
        )
    made = {
        "Parameters": _parameters_section(runs),
        "Numbers": _numbers_section(runs),
        "Table": _table_section(runs),
        "Figures": _figures_section(runs),
    }
    summary = "".join(f"<li>{html.escape(said)}</li>" for _, said in made.values() if said)
    sections = "".join(f"<h2>{name}</h2>{text}" for name, (text, _) in made.items())
    title = html.escape(heading)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n{note}<p>A is <code>{html.escape(first.folder)}</code>, B is "
        f"<code>{html.escape(second.folder)}</code>.</p>\n<ul>{summary}</ul>\n"
        f"<h2>What was run</h2>{_run_section(runs)}\n{sections}\n</main>\n</body>\n</html>\n"
    )
