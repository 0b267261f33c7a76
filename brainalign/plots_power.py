"""Figures of power, each with a function that says the same in words with its numbers."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from brainalign.look import COLOURS, INK, MARKERS, STYLE, WIDTH, free_margins, legend_below, stamp
from brainalign.power import POWER
from brainalign.study import SIMULATED
from brainalign.wording import number, opening


def _listeners(n: int) -> str:
    return f"{n} listener{'' if n == 1 else 's'}"


@mpl.rc_context(STYLE)
def power_figure(predicted: pd.DataFrame, designs: pd.DataFrame, regions: list[str]) -> Figure:
    """Power against the number of runs, a line for every number of listeners.

    Parameters
    ----------
    predicted
        From `power.predicted_power`.
    designs
        From `power.simulate_designs`: dots, the part of brains in which the slope was found.
    regions
        One panel each, at most four.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(WIDTH, 2.6 + 2.3 * ((len(regions) + 1) // 2)), layout="constrained")
    panels = figure.subplots((len(regions) + 1) // 2, 2, sharex=True, sharey=True, squeeze=False)
    handles = {}
    for axes, region in zip(panels.flat, regions, strict=False):
        lines, dots = (part[part["region"] == region] for part in (predicted, designs))
        for place, (n, line) in enumerate(lines.groupby("listeners")):
            colour = COLOURS[place]
            drawn = axes.plot(line["runs"], line["power"], color=colour, lw=2)
            known = dots[dots["listeners"] == n]
            # Side by side, so that none hides another one.
            drawn += axes.plot(
                known["runs"] * 1.05 ** (place - 1),
                known["found"],
                MARKERS[place],
                color=colour,
                ms=8,
                mec="white",
                clip_on=False,
                zorder=4,
            )
            handles[_listeners(n)] = tuple(drawn)
        axes.axhline(POWER, color=INK, lw=1, ls="--")
        axes.set(title=region, ylim=(0, 1.02), xscale="log")
        ticks = [runs for runs in (3, 5, 9, 18, 36, 72) if runs in set(lines["runs"])]
        axes.set_xticks(ticks, ticks)
        axes.minorticks_off()
    for axes in panels.flat[len(regions) :]:
        axes.remove()
    for axes in panels[:, 0]:
        axes.set_ylabel("Power")
    for axes in panels[-1]:
        axes.set_xlabel("Runs (log scale)")
    n_brains = int(designs["brains"].iloc[0])
    note = f"lines: formula; dots: part of {n_brains} simulated brains\ndashed: {100 * POWER:.0f} %"
    stamp(figure, SIMULATED, note)
    free_margins(figure, legend_rows=1)
    legend_below(figure, [*handles.values()], [*handles], len(handles))
    return figure


def power_alt(predicted: pd.DataFrame, designs: pd.DataFrame, regions: list[str]) -> str:
    """What `power_figure` shows, in sentences with its numbers."""
    parts = []
    for region in regions:
        rows = designs[designs["region"] == region]
        known = predicted.set_index(["region", "listeners", "runs"])["power"]
        cells = [
            f"{_listeners(row['listeners'])} and {row['runs']} runs "
            f"{number(known[region, row['listeners'], row['runs']], 2)} (found in "
            f"{number(row['found'], 2)})"
            for row in rows.to_dict("records")
        ]
        parts.append(f"{region}: {', '.join(cells)}")
    return (
        f"{opening(SIMULATED)} {len(regions)} panels: the power to find the slope of left minus right "
        "rises with the number of runs, a line for each number of listeners, and the part of simulated "
        f"brains in which it was found in brackets. {'; '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def designs_figure(designs: pd.DataFrame, region: str) -> Figure:
    """Slope of L − R in the simulated brains of every design, and how much it varies.

    Parameters
    ----------
    designs
        From `power.simulate_designs`.
    region
        One of its regions.

    Returns
    -------
    matplotlib.figure.Figure
        Dots: means over brains; bars: one standard deviation over brains to either side.
    """
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    axes = figure.subplots()
    rows = designs[designs["region"] == region]
    for place, (runs, part) in enumerate(rows.groupby("runs")):
        part = part.sort_values("listeners")
        axes.errorbar(
            part["listeners"] * (1 + 0.06 * (place - 0.5)),
            part["slope"],
            part["spread"],
            fmt=f"{MARKERS[place]}-",
            color=COLOURS[place],
            ms=8,
            mec="white",
            elinewidth=2,
            label=f"{runs} runs",
        )
    axes.axhline(0, color=INK, lw=1)
    axes.set_xscale("log", base=2)
    listeners = sorted(rows["listeners"].unique())
    axes.set_xticks(listeners, listeners)
    axes.minorticks_off()
    axes.set(xlabel="Listeners (log scale)", ylabel="Slope of left − right\nper factor of ten")
    axes.locator_params(axis="y", nbins=5)
    axes.set_title(region)
    axes.legend(loc="upper left")
    note = f"dots: mean of {int(rows['brains'].iloc[0])} simulated brains; bars: ± 1 SD over them"
    stamp(figure, SIMULATED, note)
    free_margins(figure)
    return figure


def designs_alt(designs: pd.DataFrame, region: str) -> str:
    """What `designs_figure` shows, in sentences with its numbers."""
    rows = designs[designs["region"] == region]
    cells = [
        f"{_listeners(row['listeners'])} and {row['runs']} runs {number(row['slope'], 4)} "
        f"(± {number(row['spread'], 4)})"
        for row in rows.to_dict("records")
    ]
    return (
        f"{opening(SIMULATED)} Slope of left minus right, {region}, against the number of listeners; "
        f"means and standard deviations over simulated brains: {'; '.join(cells)}."
    )
