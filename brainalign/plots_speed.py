"""How the time of a fit grows with its sizes: figure and alt text."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from brainalign.look import COLOURS, INK, MARKERS, STYLE, WIDTH
from brainalign.wording import format_count, number


def growth_table(rows: Sequence[dict]) -> pd.DataFrame:
    """Times relative to those of the smallest size.

    Parameters
    ----------
    rows
        Of benchmarks; those with `part` "growth" count.

    Returns
    -------
    pandas.DataFrame
        Columns `grows` (what), `size`, `seconds`, `factor` of the size and `times` of the time.
    """
    table = pd.DataFrame([row for row in rows if row["part"] == "growth"])
    table = table[["grows", "size", "seconds"]].sort_values(["grows", "size"], kind="stable")
    first = table.groupby("grows").transform("first")
    relative = {
        "factor": table["size"] / first["size"],
        "times": table["seconds"] / first["seconds"],
    }
    return table.assign(**relative).reset_index(drop=True)


def exponent(rows: pd.DataFrame) -> float:
    """Power of the size by which the time grows, by least squares on logarithms."""
    return float(np.polyfit(np.log(rows["factor"]), np.log(rows["times"]), 1)[0])


@mpl.rc_context(STYLE)
def growth_figure(table: pd.DataFrame) -> Figure:
    """Time against size, one line for everything that grows, on logarithmic axes.

    Parameters
    ----------
    table
        From `growth_table`.
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    ends = np.array([1, table["factor"].max()])
    axes.plot(ends, ends, color=INK, lw=1, ls=":", label="in proportion")
    for k, (name, rows) in enumerate(table.groupby("grows")):
        label = f"{name}, from {format_count(rows['size'].iloc[0])}"
        style = {"color": COLOURS[k], "marker": MARKERS[k], "ms": 8, "mec": "white", "lw": 2}
        axes.plot(rows["factor"], rows["times"], label=label, **style)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    plain = FuncFormatter(lambda value, _: f"{value:g} ×")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plain)
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("Size")
    axes.set_ylabel("Time of a nested fit")
    axes.legend()
    return figure


def growth_alt(table: pd.DataFrame) -> str:
    """What the figure shows, with its numbers."""
    parts = []
    for name, rows in table.groupby("grows"):
        last = rows.iloc[-1]
        parts.append(
            f"{name} from {rows['size'].iloc[0]:,} to {last['size']:,}: "
            f"{number(last['times'], 1)} times as long, exponent {number(exponent(rows), 1)}"
        )
    return (
        "Time of a nested fit against its size, both relative to the smallest size, on logarithmic "
        f"axes; a dotted line marks growth in proportion. {'; '.join(parts)}."
    )
