"""Pictures of the website that are drawn at build: front page, favicon, logo, social card.

Everything that shows a number is drawn from the paper's published values, and its alt text is made
from them; nothing drawn here is kept in the repository.
"""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainalign import published
from brainalign.files import atomic_path, digest, source_digest
from brainalign.lateralization import hemisphere_fits, measure_rows
from brainalign.look import BLUE, INK, SIDES, STYLE, draw_line, free_margins, size_axis, stamp
from brainalign.statistics import LineFit
from brainalign.wording import format_count, interval, number

#: Below the book's folder: files that go to the site as they are, and those that pages take in.
STATIC, LANDING = Path("book/executed/artwork"), Path("book/executed/landing.md")
CARD = (1200, 630)
_CARD_TEXT = (
    "Larger language models",
    "predict the brain better, and",
    "the left hemisphere gains more",
)
_MEASURE, _SAMPLES = "reliable voxels", 1000
_DPI = 192
_NAVY = "#16324F"
_DRAWN_BY = ("companion/site/artwork", "look", "lateralization", "scaling")
_DRAWN_BY += ("published", "statistics", "wording")
# A brain from above, in a square of 64: the outline of its left half; the right mirrors it.
_HALF = "M30 8C18 8 9 18 9 33C9 47 18 56 30 56Z"


def favicon_svg() -> str:
    """The site's sign: two hemispheres from above, each with a rising line, the left one steeper."""
    halves = "".join(
        f'<path d="{_HALF}" fill="{fill}"{turn}/>'
        for fill, turn in [("#7FC4F5", ""), ("#F2A65A", ' transform="matrix(-1 0 0 1 64 0)"')]
    )
    lines = f'<path d="M14 45L27 19" stroke="{_NAVY}"/><path d="M37 42L50 31" stroke="{_NAVY}"/>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">'
        f'<rect width="64" height="64" rx="13" fill="{_NAVY}"/>{halves}'
        f'<g fill="none" stroke-width="5" stroke-linecap="round">{lines}</g></svg>\n'
    )


def _sign(figure: Figure, place: tuple[float, float, float, float]) -> None:
    """The favicon in matplotlib, in a part of a figure."""
    from matplotlib.patches import FancyBboxPatch, PathPatch
    from matplotlib.path import Path as Outline

    axes = figure.add_axes(place, xlim=(0, 64), ylim=(64, 0), aspect="equal")
    axes.set_axis_off()
    box = FancyBboxPatch(
        (0, 0), 64, 64, boxstyle="round,pad=0,rounding_size=13", fc=_NAVY, ec="none"
    )
    axes.add_patch(box)
    corners = [(30, 8), (18, 8), (9, 18), (9, 33), (9, 47), (18, 56), (30, 56), (30, 8)]
    codes = [Outline.MOVETO, *[Outline.CURVE4] * 6, Outline.CLOSEPOLY]
    for colour, mirrored in [("#7FC4F5", False), ("#F2A65A", True)]:
        points = [(64 - x, y) for x, y in corners] if mirrored else corners
        axes.add_patch(PathPatch(Outline(points, codes), fc=colour, ec="none"))
    # Points of 1/72 inch in a unit of the square: the width of the strokes.
    unit = figure.get_size_inches()[0] * place[2] * 72 / 64
    for xs, ys in [((14, 27), (45, 19)), ((37, 50), (42, 31))]:
        axes.plot(xs, ys, color=_NAVY, lw=5 * unit, solid_capstyle="round")


def _png(figure: Figure, dpi: float, **how) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None}, **how)
    return stream.getvalue()


def favicon_png(size: int = 180) -> bytes:
    """The favicon as an image of `size` × `size` pixels, for browsers and telephones."""
    figure = Figure(figsize=(1.8, 1.8))
    _sign(figure, (0, 0, 1, 1))
    return _png(figure, size / 1.8, transparent=True)


def published_fits() -> tuple:
    """The paper's scores and their lines: left, right and left minus right; and both together.

    Returns
    -------
    table : pandas.DataFrame
        A score table.
    fits : dict of str to LineFit
        "both", "L", "R", "L-R", in reliable voxels.
    """
    from brainalign.scaling import fit_scaling

    table = published.score_table()
    both = fit_scaling(table, "reliable", _SAMPLES, np.random.default_rng(0))
    sides = hemisphere_fits(table, _MEASURE, _SAMPLES, np.random.default_rng(0))
    return table, {"both": both, **sides}


def _panel(title: str, note: str) -> tuple[Figure, Axes]:
    """A small figure with the stamp of published values; lettering for half a page's width."""
    figure = Figure(figsize=(4.7, 3.3), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, size=13)
    stamp(figure, published.SOURCE, note)
    for text in figure.texts:
        text.set_size(10)
    free_margins(figure)
    figure.get_layout_engine().set(rect=(0, 0.1, 1, 0.76))  # one line below, a small stamp above
    return figure, axes


def _dots(axes: Axes, rows, colour: str, marker: str = "o") -> None:
    axes.scatter(
        *(rows["n_parameters"], rows["score"]),
        **{"s": 36, "color": colour, "marker": marker, "ec": "white", "lw": 0.6, "zorder": 3},
    )


@mpl.rc_context(STYLE)
def landing_panels() -> dict[str, tuple[Figure, str]]:
    """The front page's figure: the scaling law, and left minus right, with their alt texts.

    Returns
    -------
    dict
        "scaling" and "difference": figure and what it shows, with its numbers.
    """
    table, fits = published_fits()
    panels = {}
    for name, side, colour, title, label in [
        ("scaling", "both", BLUE, "Larger models predict better", "Brain score (mean r)"),
        ("difference", "L-R", INK, "… and the left gains more", "Left − right brain score"),
    ]:
        fit = fits[side]
        rows = measure_rows(table, _MEASURE, side)
        figure, axes = _panel(title, f"{fit.n} models, {_MEASURE}; band: 95 % over models")
        draw_line(axes, fit, rows["n_parameters"], colour)
        _dots(axes, rows, colour, "o" if side == "both" else "D")
        size_axis(axes, rows["n_parameters"], labels=3)
        axes.set_ylabel(label)
        axes.text(0.04, 0.95, f"r = {number(fit.r, 2)}", transform=axes.transAxes, va="top")
        if side == "L-R":
            axes.axhline(0, color=INK, lw=1)
        panels[name] = figure, _panel_alt(rows, fit, label)
    return panels


def _panel_alt(rows, fit: LineFit, label: str) -> str:
    sizes = rows["n_parameters"]
    return (
        f"Published values (digitised). {label} of {fit.n} language models in {_MEASURE} against "
        f"their number of parameters, {format_count(sizes.min())} to {format_count(sizes.max())} on "
        f"a logarithmic axis: from {number(rows['score'].iloc[0], 4)} for the smallest to "
        f"{number(rows['score'].iloc[-1], 4)} for the largest. The line has r = "
        f"{number(fit.r, 2)} and rises by {number(fit.slope, 4)} per factor of ten (95 % interval "
        f"{interval(fit.slope_interval)})."
    )


@mpl.rc_context(STYLE)
def social_card() -> bytes:
    """The picture that other sites show beside a link: 1200 × 630 pixels, published values."""
    table, fits = published_fits()
    figure = Figure(figsize=(12, 6.3), facecolor="white")
    _sign(figure, (0.05, 0.70, 0.095, 0.095 * 12 / 6.3))
    figure.text(0.165, 0.79, "brainalign", size=44, weight="bold", color=_NAVY, va="center")
    figure.text(0.05, 0.59, "\n".join(_CARD_TEXT), size=24, color=INK, va="top", linespacing=1.35)
    figure.text(
        *(
            0.05,
            0.2,
            "An executable companion: every figure is a\nnotebook that you can run again.",
        ),
        **{"size": 18, "color": "#444444", "va": "top", "linespacing": 1.4},
    )
    axes = figure.add_axes((0.60, 0.19, 0.36, 0.62))
    for side, (name, colour, marker, dashes) in SIDES.items():
        rows = measure_rows(table, _MEASURE, side)
        draw_line(axes, fits[side], rows["n_parameters"], colour, dashes)
        _dots(axes, rows, colour, marker)
        last = rows.iloc[-1]["n_parameters"]
        height = fits[side].predict(np.log10(last)) + (0.007 if side == "L" else -0.022)
        axes.text(last, height, name, color=colour, size=18, weight="bold", ha="right")
    size_axis(axes, rows["n_parameters"], labels=3)
    axes.tick_params(labelsize=15)
    axes.set_xlabel("Parameters of the model", size=17)
    axes.set_ylabel("Brain score", size=17)
    axes.spines[["top", "right"]].set_visible(False)
    stamp(figure, published.SOURCE, "")
    figure.texts[-2].set_position((0.96, 0.93))
    return _png(figure, 100)


def _landing_text(alts: dict[str, str]) -> str:
    """Markdown of the front page's figure; addresses are relative to the folder `book`."""
    images = "\n\n".join(
        f":::{{image}} executed/landing_{name}.png\n:alt: {alt}\n:class: panel\n:::"
        for name, alt in alts.items()
    )
    return f"::::{{container}} landing-figure\n{images}\n::::\n"


def write_artwork(root: Path) -> list[Path]:
    """Draw what is not there, or was drawn from other numbers or by other code.

    Parameters
    ----------
    root
        The book's folder.

    Returns
    -------
    list of pathlib.Path
        All files of the artwork.
    """
    static, page = root / STATIC, root / LANDING
    names = ("scaling", "difference")
    images = {name: page.with_name(f"landing_{name}.png") for name in names}
    files = [static / name for name in ("favicon.svg", "favicon.png", "social-card.png")]
    files += [page, *images.values()]
    scores = published.brain_scores().to_csv()
    mark = f"% {digest([source_digest(_DRAWN_BY), scores, mpl.__version__])}\n"
    if all(file.is_file() for file in files) and page.read_text("utf-8").startswith(mark):
        return files
    panels = landing_panels()
    content = {
        files[0]: favicon_svg().encode(),
        files[1]: favicon_png(),
        files[2]: social_card(),
        **{
            images[name]: _png(figure, _DPI, bbox_inches="tight")
            for name, (figure, _) in panels.items()
        },
        page: (mark + _landing_text({n: alt for n, (_, alt) in panels.items()})).encode(),
    }
    for file, data in content.items():
        with atomic_path(file) as temporary:
            temporary.write_bytes(data)
    return files
