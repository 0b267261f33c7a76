"""Figures of which words carry attribution, each with a function that says the same in words."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from brainalign.look import INK, STYLE, free_margins, new_figure, stamp
from brainalign.look_attribution import (
    EDGE,
    LOOKS,
    Look,
    finish,
    looks,
    offsets,
    rows_with,
    spoken,
    spoken_each,
)
from brainalign.wording import number, opening

SIGNIFICANT = 0.05
_CLASSES = ("class", "task", "log_odds", "low", "high", "base_rate", "share", "p_adjusted")
_AREAS = ("target", "cue", "area", "low", "high")
_CUES = {"scene": "Scene cues", "goal": "Goal cues", "both": "Both"}


@mpl.rc_context(STYLE)
def classes_figure(classes: pd.DataFrame, source: str, note: str) -> Figure:
    """Log odds that a word of a class is among the important ones, by task.

    Parameters
    ----------
    classes
        Columns class, task, log_odds, low, high, base_rate (part of all words), share (part of the
        class that is important), p_adjusted.
    source
        Whose responses these are, for the stamp.
    note
        One line for the small print.

    Returns
    -------
    matplotlib.figure.Figure
        A row per class, tasks beside each other; filled where p_adjusted is below `SIGNIFICANT`.
    """
    rows = rows_with(classes, _CLASSES, "log_odds")
    names, styles = list(dict.fromkeys(rows["class"])), looks(rows["task"])
    figure = new_figure(2.1 + (0.28 + 0.13 * len(styles)) * len(names))
    axes = figure.subplots()
    axes.axvline(0, color=INK, lw=1)
    for shift, (task, look) in zip(offsets(len(styles), 0.22), styles.items(), strict=True):
        part = rows[rows["task"] == task]
        y = part["class"].map({name: place for place, name in enumerate(names)}) + shift
        axes.hlines(y, part["low"], part["high"], color=look.colour, lw=2.2)
        found = part["p_adjusted"] < SIGNIFICANT
        style = {"color": look.colour, "ms": 8, "mew": 1.5}
        axes.plot(part["log_odds"][found], y[found], look.marker, **style)
        axes.plot(part["log_odds"][~found], y[~found], look.marker, mfc="white", **style)
        axes.plot([], [], look.marker, ls="-", lw=2.2, label=task, **style)
    rates = rows.groupby("class")["base_rate"].first()
    labels = [f"{name}\n{number(100 * rates[name], 1)} % of words" for name in names]
    axes.set_yticks(range(len(names)), labels)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("Log odds of being important")
    text = f"filled: p < {SIGNIFICANT:g}, corrected for the number of classes"
    finish(figure, source, f"{note}\n{text}", *axes.get_legend_handles_labels())
    return figure


def classes_alt(classes: pd.DataFrame, source: str) -> str:
    """What `classes_figure` shows, in sentences with its numbers."""
    rows = rows_with(classes, _CLASSES, "log_odds")
    parts = []
    for task, own in rows.groupby("task", sort=False):
        found = own.loc[own["p_adjusted"] < SIGNIFICANT, "class"]
        clear = f"apart from 0: {', '.join(found)}" if len(found) else "none apart from 0"
        values = [
            f"{row['class']} {spoken(row, 'log_odds')}, {number(100 * row['share'], 1)} % important"
            for _, row in own.iterrows()
        ]
        parts.append(f"{task.capitalize()}: {'; '.join(values)} ({clear}).")
    rates = rows.groupby("class", sort=False)["base_rate"].first()
    bases = ", ".join(f"{name} {number(100 * rate, 1)} %" for name, rate in rates.items())
    return (
        f"{opening(source)} Log odds that a word of a class is among the important ones, a row per "
        f"class ({bases} of all words), a mark per task; intervals in brackets. {' '.join(parts)}"
    )


def _target_looks(targets: pd.Series) -> dict[str, Look]:
    """Look of every target: one of a task ("brain, A1") looks like the task ("brain")."""
    tasks = {
        name: name if name in LOOKS else name.partition(",")[0] for name in dict.fromkeys(targets)
    }
    styles = looks(list(tasks.values()))
    return {name: styles[task] for name, task in tasks.items()}


@mpl.rc_context(STYLE)
def cues_figure(areas: pd.DataFrame, source: str, note: str) -> Figure:
    """How well attribution finds the words that set scene and goal of the story.

    Parameters
    ----------
    areas
        Columns target (such as "brain, A1" or "next word"), cue ("scene", "goal", "both"), area
        (under the ROC curve), low, high.
    source, note
        As for `classes_figure`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per kind of cue, a row per target, a line at chance.
    """
    rows = rows_with(areas, _AREAS, "area")
    styles, cues = _target_looks(rows["target"]), list(dict.fromkeys(rows["cue"]))
    place = {name: i for i, name in enumerate(styles)}
    figure = new_figure(1.9 + 0.42 * len(styles))
    panels = figure.subplots(1, len(cues), sharex=True, sharey=True, squeeze=False)[0]
    for axes, cue in zip(panels, cues, strict=True):
        axes.axvline(0.5, color=INK, lw=1)
        for _, row in rows[rows["cue"] == cue].iterrows():
            look, y = styles[row["target"]], place[row["target"]]
            axes.hlines(y, row["low"], row["high"], color=look.colour, lw=2.5)
            axes.plot(row["area"], y, look.marker, color=look.colour, ms=9, **EDGE)
        axes.set_title(_CUES.get(cue, cue.capitalize()), size=12)
        axes.set(xlim=(-0.05, 1.05), xticks=(0, 0.5, 1))
    panels[0].set_yticks(range(len(styles)), list(styles))
    panels[0].set_ylim(len(styles) - 0.5, -0.5)
    panels[len(cues) // 2].set_xlabel("Area under the ROC curve")
    stamp(figure, source, f"{note}\nline: chance, 0.5")
    free_margins(figure)
    return figure


def cues_alt(areas: pd.DataFrame, source: str) -> str:
    """What `cues_figure` shows, in sentences with its numbers."""
    rows = rows_with(areas, _AREAS, "area")
    parts = [
        f"{_CUES.get(cue, cue.capitalize())}: {spoken_each(own, 'target', 'area')}."
        for cue, own in rows.groupby("cue", sort=False)
    ]
    best = rows.loc[rows["area"].idxmax()]
    return (
        f"{opening(source)} Dots of the area under the ROC curve for finding the words that set scene "
        f"and goal of the story, a panel per kind of cue; 0.5 is chance, intervals in brackets. "
        f"{' '.join(parts)} The highest is {spoken(best, 'area')}, {best['target']}."
    )
