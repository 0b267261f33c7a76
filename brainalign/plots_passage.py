"""Figure of one passage with what its words carry, and the same in words."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch, Rectangle
from matplotlib.textpath import text_to_path

from brainalign.errors import InputError
from brainalign.look import (
    FOOTER,
    HEADER,
    INK,
    LEGEND_ROW,
    STYLE,
    WIDTH,
    new_figure,
)
from brainalign.look_attribution import (
    BRAIN,
    LOOKS,
    NEXT_WORD,
    POOLED_SHADE,
    finish,
    legend_columns,
    rows_with,
)
from brainalign.wording import number, opening

COLUMNS = ("word", "brain", "next_word", "cue", "pooled")
TASKS = {"brain": BRAIN, "next_word": NEXT_WORD}
#: Words of which the alt text gives the number that both tasks rank highest.
HIGHEST = 10
# Points, and inches: between words, of the highest bar, of a bar's width, of a line of text, of
# the space between lines, of the margins.
_SIZE = 11
_GAP, _BAR, _BAR_WIDTH, _TEXT, _LEADING, _MARGIN = 0.1, 0.5, 0.17, 0.29, 0.12, 0.05
# Without colour they differ by place, and by what fills them.
_BARS = {
    "brain": {"fc": LOOKS[BRAIN].colour, "ec": LOOKS[BRAIN].colour},
    "next_word": {"fc": "white", "ec": LOOKS[NEXT_WORD].colour, "hatch": "//////"},
}
# Left out around words that the alt text quotes.
_MARKS = ".,:;!?()“”\"'"
_BOXES = {
    "scene": {"boxstyle": "square,pad=0.12", "ls": "-"},
    "goal": {"boxstyle": "round,pad=0.12", "ls": (0, (2, 1.2))},
}


def _checked(words: pd.DataFrame) -> pd.DataFrame:
    """The words, when there are shares and all of them can be drawn."""
    rows_with(words, COLUMNS, "brain")
    given = words[list(TASKS)].to_numpy(float)
    low, high = np.nanmin(given), np.nanmax(given)
    if low < 0 or not 0 < high <= 1:
        raise InputError(
            f"Shares run from {low:g} to {high:g}; parts of a context's attribution, 0 to 1 and not "
            "all 0, are expected."
        )
    if unknown := set(words["cue"]) - {"", *_BOXES}:
        raise InputError(
            f"cue is {sorted(map(repr, unknown))}; one of {['', *_BOXES]} is expected."
        )
    return words.reset_index(drop=True)


def _tasks(words: pd.DataFrame) -> dict[str, str]:
    """Columns with shares, and their names: encoders predict no next word."""
    return {column: name for column, name in TASKS.items() if words[column].notna().any()}


def _width(word: str) -> float:
    """Inches that a word takes, at least those of its bars."""
    points = text_to_path.get_text_width_height_descent(word, FontProperties(size=_SIZE), False)[0]
    return max(points / 72, _BAR_WIDTH)


def _wrapped(words: pd.Series) -> pd.DataFrame:
    """Line of every word, and where in it the word begins and how wide it is, in inches."""
    placed, line, left = [], 0, _MARGIN + _GAP / 2
    for word in words:
        width = _width(word)
        if left + width > WIDTH - _MARGIN and left > _MARGIN + _GAP / 2:
            line, left = line + 1, _MARGIN + _GAP / 2
        placed.append((line, left, width))
        left += width + _GAP
    return pd.DataFrame(placed, columns=["line", "left", "width"], index=words.index)


def _layout(words: pd.DataFrame) -> pd.DataFrame:
    """Place of every word, and height of its bars: one scale, lines as high as their bars need.

    Returns
    -------
    pandas.DataFrame
        Columns line, left, width; brain and next_word, the bars; top of the line, text (top of its
        lettering), bottom of the line, all in inches from the top left corner.
    """
    bars = words[list(TASKS)] * (_BAR / words[list(TASKS)].max(axis=None))
    place = pd.concat([_wrapped(words["word"]), bars], axis=1)
    above, below = (bars[column].fillna(0).groupby(place["line"]).max() for column in TASKS)
    bottom = (above + below + _TEXT + _LEADING).cumsum()
    top = bottom.shift(fill_value=0)
    edges = {"top": top, "text": top + _LEADING / 2 + above, "bottom": bottom}
    return place.assign(**{name: place["line"].map(edge) for name, edge in edges.items()})


def _draw_words(axes: Axes, words: pd.DataFrame, place: pd.DataFrame) -> None:
    """Every word with its shade and its box."""
    for word, at in zip(words.itertuples(), place.itertuples(), strict=True):
        if word.pooled:
            size = (at.width + _GAP, at.bottom - at.top)
            shade = {"fc": POOLED_SHADE, "lw": 0, "zorder": 0}
            axes.add_patch(Rectangle((at.left - _GAP / 2, at.top), *size, **shade))
        axes.text(
            at.left + at.width / 2,
            at.text + _TEXT * 0.68,
            word.word,
            ha="center",
            va="baseline",
            size=_SIZE,
            color=INK,
            parse_math=False,
            bbox={"fc": "white", "ec": INK, "lw": 1.3} | _BOXES[word.cue] if word.cue else None,
        )


def _draw_bars(axes: Axes, place: pd.DataFrame) -> None:
    """Bars above (brain) and below (next word) of every word that has a share."""
    middle = place["left"] + place["width"] / 2
    for column, start, way in [
        ("brain", place["text"], -1),
        ("next_word", place["text"] + _TEXT, 1),
    ]:
        there = place[column].notna()
        style = {"lw": 0.8, "width": _BAR_WIDTH} | _BARS[column]
        axes.bar(middle[there], way * place.loc[there, column], bottom=start[there], **style)


def _legend(words: pd.DataFrame) -> dict[str, Patch]:
    """What the passage has, bars first."""
    names = {"brain": "brain alignment (above)", "next_word": "next word (below)"}
    handles = {names[column]: Patch(**_BARS[column]) for column in _tasks(words)}
    if words["pooled"].any():
        handles["pooled by the readout"] = Patch(color=POOLED_SHADE)
    for cue in [cue for cue in _BOXES if cue in set(words["cue"])]:
        handles[f"sets the {cue}"] = Patch(fc="white", ec=INK, lw=1.3, ls=_BOXES[cue]["ls"])
    return handles


@mpl.rc_context(STYLE | {"hatch.linewidth": 1.1})
def passage_figure(words: pd.DataFrame, source: str, note: str) -> Figure:
    """A passage with the share of attribution of each word: brain above it, next word below.

    Parameters
    ----------
    words
        One row per word, in order. Columns word; brain and next_word (its share of |attribution|, 0
        to 1, NaN for none, or for all of a model that predicts no next word); cue ("", "scene" or "goal"); pooled (whether it is among the words of
        the scans that the readout pools).
    source
        Whose responses these are, for the stamp.
    note
        One line for the small print.

    Returns
    -------
    matplotlib.figure.Figure
        All bars have one scale. Words without attribution have no bar, not even one of height 0.

    Raises
    ------
    InputError
        For a table without these columns or without shares, shares outside 0 to 1, and other cues.
    """
    words = _checked(words)
    place, handles = _layout(words), _legend(words)
    rows = -(-len(handles) // legend_columns(list(handles)))
    body = place["bottom"].max()
    figure = new_figure(HEADER + body + _LEADING + rows * LEGEND_ROW + FOOTER)
    axes = figure.subplots()
    axes.set(xlim=(0, WIDTH), ylim=(body + _LEADING, 0))
    axes.set_axis_off()
    _draw_words(axes, words, place)
    _draw_bars(axes, place)
    highest = number(100 * words[list(TASKS)].max(axis=None), 1)
    text = f"{note}\nbars: share of the attribution; the highest is {highest} %"
    finish(figure, source, text, list(handles.values()), list(handles))
    # Without padding the unit of the axes is an inch, as the words' places are.
    figure.get_layout_engine().set(w_pad=0, h_pad=0)
    return figure


def _together(words: pd.DataFrame, which: pd.Series) -> str:
    """What some of the words carry for both tasks: "46.0 % for the brain and 80.0 % for …"."""
    sums = {name: words.loc[which, column].sum() for column, name in _tasks(words).items()}
    return " and ".join(f"{number(100 * part, 1)} % for the {name}" for name, part in sums.items())


def _named(words: pd.DataFrame, column: str) -> str:
    """The first three words with their shares: "“garden” (8.3 %), …"."""
    pairs = zip(words["word"][:3].str.strip(_MARKS), words[column][:3], strict=True)
    return ", ".join(f"“{word}” ({number(100 * share, 1)} %)" for word, share in pairs)


def passage_alt(words: pd.DataFrame, source: str) -> str:
    """What `passage_figure` shows, in sentences with its numbers."""
    words = _checked(words)
    tasks = _tasks(words)
    ranked = {column: words.dropna(subset=column).nlargest(HIGHEST, column) for column in tasks}
    most = [f"{name} {_named(ranked[column], column)}" for column, name in tasks.items()]
    bars, both = "a bar above each for brain alignment", ""
    if "next_word" in tasks:
        shared = len(ranked["brain"].index.intersection(ranked["next_word"].index))
        bars += " and one below for next-word prediction"
        both = f"; the {HIGHEST} highest for each have {shared} in common"
    pooled, cues = words["pooled"].astype(bool), words["cue"] != ""
    parts = [
        f"The {which.sum()} words that {do} carry {_together(words, which)}."
        for which, do in [(pooled, "the readout pools"), (cues, "set scene or goal")]
        if which.any()
    ]
    highest = f"Highest for the {'; for the '.join(most)}{both}."
    passage = f"A passage of {len(words)} words, {bars}."
    return " ".join([opening(source), passage, highest, *parts])
