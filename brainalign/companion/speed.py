"""The book's page about speed: what the last benchmark on this machine measured.

`book/speed.md` includes a generated part. It is written again when there is a newer benchmark, not
at every build; where none has run, the quick one is run first.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brainalign.companion import WorkError
from brainalign.companion.output import html_table
from brainalign.files import atomic_path, cache_folder, digest, file_sha256, source_digest

PAGE, GENERATED = Path("book/speed.md"), Path("book/executed/speed.md")
_FIGURE = "speed_growth.png"
_SCRIPT = Path("benchmarks/run.py")
_MEASURED = ("activations", "attribution", "loading", "regressors", "ridge", "states")
_DRAWN_BY = ("companion/output", "companion/speed", "look", "plots_speed", "wording")
_SAMPLED, _EXACT = "brainalign, sampled search", "brainalign, exact"
_NOT_MEASURED = (
    "## Measured here\n\nNo benchmark has run on this machine yet. The quick one takes a minute:\n\n"
    "```bash\npython benchmarks/run.py --quick\nbrainalign book\n```\n"
)
_PEERS = ("himalaya", "scikit-learn", "authors' loop")
# Whose seconds are divided by whose.
_RATIOS = {"himalaya ÷ sampled": ("himalaya", _SAMPLED)} | {
    f"{peer} ÷ exact": (peer, _EXACT) for peer in _PEERS
}
_DETAILS = {
    "case": "case",
    "who": "who",
    "seconds": "seconds",
    "how": "measured of it",
    "measured_s": "measured, s",
    "other_cpu_s": "others' CPU, s",
    "of_sgemm": "of sgemm",
    "peak_gb": "peak GB",
    "before_gb": "before it, GB",
    "max_difference": "difference",
}


def results_path(quick: bool) -> Path:
    """File of the last benchmark; the quick one has its own."""
    return cache_folder() / "benchmarks" / ("quick.json" if quick else "full.json")


def code_digest() -> str:
    """Digest of the modules that the benchmarks measure."""
    return source_digest(_MEASURED)


def write_page(root: Path, say=print, measure: bool = True) -> Path | None:
    """Write the generated part of the page, unless that of the same benchmark is there.

    Parameters
    ----------
    root
        The book's folder.
    say
        Takes one line when a benchmark is run.
    measure
        Whether the quick benchmark is run where none has been; without, the page says so.

    Returns
    -------
    pathlib.Path or None
        The generated part; None for a book without this page.

    Raises
    ------
    WorkError
        If the quick benchmark has to be run and fails.
    """
    if not (root / PAGE).is_file():
        return None
    path = results_path(quick=False)
    if not path.is_file():
        path = results_path(quick=True)
    target = root / GENERATED
    if not path.is_file():
        if not measure:
            with atomic_path(target) as temporary:
                temporary.write_text(_NOT_MEASURED, encoding="utf-8")
            return target
        say("speed: no benchmark has run here; the quick one takes a minute")
        _run_quick(root)
    mark = f"% {digest([file_sha256(path), source_digest(_DRAWN_BY), code_digest()])}\n"
    if target.is_file() and target.read_text(encoding="utf-8").startswith(mark):
        return target
    results = json.loads(path.read_text(encoding="utf-8"))
    picture = _draw(results["rows"], target.with_name(_FIGURE))
    with atomic_path(target) as temporary:
        temporary.write_text(mark + page_text(results, picture), encoding="utf-8")
    return target


def _run_quick(root: Path) -> None:
    log = cache_folder() / "logs" / "benchmark.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(root / _SCRIPT), "--quick"]
    with open(log, "w", encoding="utf-8") as stream:
        done = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, cwd=root)
    if done.returncode or not results_path(quick=True).is_file():
        raise WorkError("The quick benchmark for the page about speed failed.", log)


def _draw(rows: Sequence[dict], path: Path) -> str:
    """Draw the growth of the times; Markdown that shows it."""
    from brainalign.plots_speed import growth_alt, growth_figure, growth_table

    table = growth_table(rows)
    with atomic_path(path) as temporary:
        growth_figure(table).savefig(temporary, dpi=192, metadata={"Software": None})
    alt = " ".join(growth_alt(table).split())
    return f"```{{image}} executed/{_FIGURE}\n:alt: {alt}\n:width: 100%\n```"


def page_text(results: dict[str, Any], picture: str) -> str:
    """Markdown of the generated part: where it was measured, tables, figure.

    Parameters
    ----------
    results
        Of a benchmark, as `benchmarks/run.py` keeps it.
    picture
        Markdown of the figure.
    """
    rows = results["rows"]
    ridge = [row for row in rows if row["part"] == "ridge"]
    others = [row for row in rows if row["part"] not in ("ridge", "growth")]
    parts = [
        _about(results),
        "## The fit of one layer",
        html_table(ratio_table(rows), "How many of our fits take as long as one of the others."),
        html_table(seconds_table(rows), "Seconds."),
        "## The other steps",
        html_table(_others_table(others), "Seconds, and how many times as long as brainalign."),
        "## How the time of a fit grows",
        picture,
        html_table(_growth_table(rows), "Time and memory of nested fits of several sizes."),
        "## Everything measured of the fit",
        ":::{admonition} All rows\n:class: dropdown",
        html_table(_details(ridge), "Every measurement, with what other processes took meanwhile."),
        ":::",
    ]
    return "\n\n".join(parts) + "\n"


def _about(results: dict[str, Any]) -> str:
    machine, rows = results["machine"], results["rows"]
    speeds = [row["sgemm_gflops"] for row in rows]
    share = results["other_cpu_s"] / results["seconds"] / machine["cores"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"Measured on {results['date'][:10]}, in {results['seconds'] / 60:.0f} minutes, with "
        f"{machine['cores']} cores of {machine['processor']}, {machine['memory_gb']:.0f} GB of "
        f"memory, {machine['system']}; {versions}. Other processes took {100 * share:.0f} % of the "
        f"cores' time meanwhile. A product of two matrices of single precision (*sgemm*) ran at "
        f"{min(speeds):.0f} to {max(speeds):.0f} GFLOP/s."
    ]
    if results["quick"]:
        lines.append(
            ":::{admonition} The quick version\n:class: warning\nThese are small sizes, measured "
            "when the book was built; there overheads count for more. Those of the paper take some "
            "forty minutes:\n\n```bash\npython benchmarks/run.py\nbrainalign book\n```\n:::"
        )
    if results["code"] != code_digest():
        lines.append("The code has changed since then.")
    return "\n\n".join(lines)


def seconds_table(rows: Sequence[dict]) -> pd.DataFrame:
    """Seconds of the fit of one layer by everybody, one row per case.

    Parameters
    ----------
    rows
        Of all benchmarks; those with `part` "ridge" count. Of himalaya's classes the faster one is
        shown.
    """
    cases: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["part"] == "ridge":
            who = "himalaya" if row["who"].startswith("himalaya") else row["who"]
            seconds = cases.setdefault(row["case"], {})
            seconds[who] = min(row["seconds"], seconds.get(who, row["seconds"]))
    table = pd.DataFrame.from_dict(cases, orient="index", dtype=float)
    return table.reindex(columns=[_SAMPLED, _EXACT, *_PEERS]).rename_axis("fit of one layer")


def ratio_table(rows: Sequence[dict]) -> pd.DataFrame:
    """How many of our fits take as long as one of the others; one row per case."""
    seconds = seconds_table(rows)
    return pd.DataFrame({name: seconds[a] / seconds[b] for name, (a, b) in _RATIOS.items()})


def _scientific(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.0e}"


def _details(rows: Sequence[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows).reindex(columns=list(_DETAILS)).rename(columns=_DETAILS)
    table["difference"] = table["difference"].map(_scientific)
    return table


def _others_table(rows: Sequence[dict]) -> pd.DataFrame:
    names = {"part": "step", "case": "case", "who": "who", "seconds": "seconds"}
    names |= {"ratio": "times as long", "how": "measured of it", "max_difference": "difference"}
    table = pd.DataFrame(rows).reindex(columns=list(names)).rename(columns=names)
    # Steps differ so much that a common number of decimals would show zeros.
    for name in ("seconds", "times as long"):
        table[name] = [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in table[name]]
    table["difference"] = table["difference"].map(_scientific)
    return table


def _growth_table(rows: Sequence[dict]) -> pd.DataFrame:
    names = {
        "who": "size",
        "seconds": "seconds",
        "peak_gb": "peak GB",
        "before_gb": "before it, GB",
    }
    found = pd.DataFrame([row for row in rows if row["part"] == "growth"])
    found["who"] = found["who"].str.removeprefix("brainalign, ")
    found["who"] = found["who"].str.replace(r"^1 (\w+)s$", r"1 \1", regex=True)
    return found.reindex(columns=list(names)).rename(columns=names)
