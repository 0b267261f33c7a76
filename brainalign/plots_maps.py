"""Maps of the brain: transparent, on the cortical surface, and as slices to click through.

All maps of a figure share one colour range, so that they can be compared by eye.
"""

import re
import warnings
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from brainalign.brain_maps import BrainMaps, map_table
from brainalign.glass_brain import colour_bar, glass_row
from brainalign.look import FOOTER, HEADER, STYLE, WIDTH, stamp
from brainalign.scaling import EMBEDDINGS
from brainalign.wording import number, opening, short_name

COLOURS, TRUTH_COLOURS = "viridis", "cividis"
SURFACES = {
    "left, lateral": ("left", "lateral"),
    "left, medial": ("left", "medial"),
    "right, medial": ("right", "medial"),
    "right, lateral": ("right", "lateral"),
}
PLANTED = "discourse"
#: Bytes that the slices to click through may add to a page.
PAGE_BUDGET = 400_000
# Inches: a row of a map, with the line above that names it, and a bar of colours with its label.
ROW, NAME, BAR = 1.55, 0.3, 0.75
# Part of the colour range that is left transparent, so that noise does not cover the anatomy.
HIDDEN = 0.2


def _rows(maps: BrainMaps) -> list[tuple[str, np.ndarray, ScalarMappable]]:
    """Name, values and colours of every map: both models above their baseline, and the truth."""
    above = maps.above.to_numpy()
    colours = ScalarMappable(Normalize(0, float(above.max())), COLOURS)
    rows = [
        (f"{size} model: {short_name(name)}", values, colours)
        for size, name, values in zip(("Smallest", "Largest"), maps.models, above, strict=True)
    ]
    if maps.planted is not None:
        weight = maps.planted.sel(family=PLANTED).to_numpy()
        colours = ScalarMappable(Normalize(0, float(weight.max()) or 1), TRUTH_COLOURS)
        rows.append((f"Planted: weight of {PLANTED}", weight, colours))
    return rows


def _layout(n_rows: int) -> tuple[Figure, list[float]]:
    """Figure for so many rows of maps, and the bottom of each in inches, first row on top."""
    base = FOOTER + BAR
    figure = Figure(figsize=(WIDTH, HEADER + n_rows * (ROW + NAME) + base))
    return figure, [base + (n_rows - 1 - k) * (ROW + NAME) for k in range(n_rows)]


def _drawn(maps: BrainMaps, draw: Callable[..., None]) -> Figure:
    """Figure with a row for every map; `draw` takes figure, values, colours and a row's bottom."""
    rows = _rows(maps)
    figure, bottoms = _layout(len(rows))
    for (_, values, colours), bottom in zip(rows, bottoms, strict=True):
        draw(figure, values, colours, bottom)
    _finish(figure, maps, rows, bottoms)
    return figure


def _finish(figure: Figure, maps: BrainMaps, rows: list, bottoms: list[float]) -> None:
    """Names of the rows, bars of colours, the stamp and the small print."""
    height = figure.get_size_inches()[1]
    for (name, _, _), bottom in zip(rows, bottoms, strict=True):
        figure.text(0.01, (bottom + ROW + 0.04) / height, name, size=12, weight="bold")
    scores, *truth = dict.fromkeys(colours for _, _, colours in rows)
    label = f"Score above {EMBEDDINGS} (r)"
    width, bottom = (0.42 if truth else 0.5), FOOTER + 0.5
    colour_bar(figure, scores, label, 0.05 if truth else 0.25, width, bottom)
    for colours in truth:
        colour_bar(figure, colours, f"Planted weight of {PLANTED}", 0.54, width, bottom)
    text = (
        f"not drawn: values below {100 * HIDDEN:.0f} % of the colour range\n"
        f"layers: {maps.scores.attrs['layer_rule']} rule"
    )
    stamp(figure, maps.study.source, text)


@mpl.rc_context(STYLE)
def glass_brain_figure(maps: BrainMaps) -> Figure:
    """Both models' maps above random embeddings, and the planted map, seen through the brain.

    Parameters
    ----------
    maps
        From `brain_maps.brain_maps`.

    Returns
    -------
    matplotlib.figure.Figure
        One row per map, four views each; along a line of sight the highest value shows.
    """

    def draw(figure: Figure, values: np.ndarray, colours: ScalarMappable, bottom: float) -> None:
        height = figure.get_size_inches()[1]
        box = (0, bottom / height, 1, ROW / height)
        hidden = HIDDEN * colours.get_clim()[1]
        glass_row(figure, maps.study.mask, values, box, colours, hidden)

    return _drawn(maps, draw)


def surface_values(values: np.ndarray, mask) -> dict[str, np.ndarray]:
    """Values of a map on the cortical surface fsaverage5, which nilearn brings along.

    Parameters
    ----------
    values
        Shape (voxel,).
    mask : nibabel image
        Of the voxels.

    Returns
    -------
    dict
        "left", "right" -> shape (vertex,): mean along the line from the white matter to the pial
        surface; NaN where that line meets no voxel.
    """
    from nilearn.datasets import fetch_surf_fsaverage
    from nilearn.masking import unmask
    from nilearn.surface import vol_to_surf

    mesh = fetch_surf_fsaverage("fsaverage5")
    images = [unmask(part.astype(np.float32), mask) for part in (values, np.ones(len(values)))]
    result = {}
    for side in ("left", "right"):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Mean of empty slice")
            value, inside = (
                vol_to_surf(
                    image, mesh[f"pial_{side}"], inner_mesh=mesh[f"white_{side}"], mask_img=mask
                )
                for image in images
            )
        # At the edge of the mask, points between voxels lie partly outside, where images are zero.
        result[side] = value / inside
    return result


@mpl.rc_context(STYLE)
def surface_figure(maps: BrainMaps) -> Figure:
    """The same maps on the inflated cortex, lateral and medial views of both hemispheres.

    Parameters
    ----------
    maps
        From `brain_maps.brain_maps`.

    Returns
    -------
    matplotlib.figure.Figure
        One row per map, four views each.
    """

    def draw(figure: Figure, values: np.ndarray, colours: ScalarMappable, bottom: float) -> None:
        surface_row(figure, maps.study.mask, values, colours, bottom)

    return _drawn(maps, draw)


def surface_row(
    figure: Figure, mask, values: np.ndarray, colours: ScalarMappable, bottom: float
) -> None:
    """Draw one map on the cortex, four views side by side; below a fifth of the range it is grey.

    Parameters
    ----------
    figure
        To draw on.
    mask : nibabel image
        Of the voxels.
    values
        Shape (voxel,).
    colours
        Colour map and range.
    bottom
        Of the row, in inches; it is `ROW` high.
    """
    height = figure.get_size_inches()[1]
    on_surface = surface_values(np.clip(values, *colours.get_clim()), mask)
    for place, (name, (side, view)) in enumerate(SURFACES.items()):
        box = (place / 4, bottom / height, 0.25, (ROW - 0.2) / height)
        axes = figure.add_axes(box, projection="3d")
        _draw_surface(axes, on_surface[side], side, view, colours)
        figure.text(box[0] + 0.125, (bottom + ROW - 0.2) / height, name, size=11, ha="center")


def _draw_surface(
    axes: Axes, values: np.ndarray, side: str, view: str, colours: ScalarMappable
) -> None:
    """One hemisphere's map, shape (vertex,), on its inflated surface."""
    from nilearn.datasets import fetch_surf_fsaverage
    from nilearn.plotting import plot_surf

    mesh = fetch_surf_fsaverage("fsaverage5")
    low, high = colours.get_clim()
    plot_surf(
        mesh[f"infl_{side}"],
        values,
        bg_map=mesh[f"sulc_{side}"],
        hemi=side,
        view=view,
        cmap=colours.get_cmap(),
        vmin=low,
        vmax=high,
        threshold=HIDDEN * high,
        colorbar=False,
        axes=axes,
        figure=axes.figure,
    )
    axes.set_box_aspect(None, zoom=1.45)
    # Twenty thousand triangles each: as shapes, the file would take minutes to open.
    for triangles in axes.collections:
        triangles.set_rasterized(True)


def maps_text(maps: BrainMaps) -> str:
    """What the maps show, in sentences with their numbers."""
    table = map_table(maps)
    parts = []
    for (_, row), values in zip(table.iloc[-2:].iterrows(), maps.above.to_numpy(), strict=True):
        top = maps.study.voxels.iloc[int(values.argmax())]
        parts.append(
            f"{row['map']}: mean {number(row['left'])} in reliable voxels of the left and "
            f"{number(row['right'])} of the right, at most {number(row['highest voxel'])} at "
            f"x = {number(top['x'], 0)}, y = {number(top['y'], 0)}, z = {number(top['z'], 0)} mm"
        )
    text = f"Colours run from 0 to {number(float(maps.above.max()))} in all of them. {'; '.join(parts)}."
    if maps.planted is not None:
        weight = maps.planted.sel(family=PLANTED).to_numpy()
        top = maps.study.voxels.iloc[int(weight.argmax())]
        text += (
            f" The planted weight of {PLANTED} is highest, {number(float(weight.max()), 2)}, at "
            f"x = {number(top['x'], 0)}, y = {number(top['y'], 0)}, z = {number(top['z'], 0)} mm."
        )
    return text


def glass_brain_alt(maps: BrainMaps) -> str:
    """What `glass_brain_figure` shows, in sentences with its numbers."""
    return (
        f"{opening(maps.study.source)} {len(_rows(maps))} rows of transparent brains from the left, "
        f"the back, the right and above. {maps_text(maps)}"
    )


def surface_alt(maps: BrainMaps) -> str:
    """What `surface_figure` shows, in sentences with its numbers."""
    return (
        f"{opening(maps.study.source)} {len(_rows(maps))} rows of inflated cortex: lateral and "
        f"medial view of the left, medial and lateral view of the right. {maps_text(maps)}"
    )


def slices_page(maps: BrainMaps) -> str:
    """The largest model's map as slices to click through, on an anatomy of the same grid.

    Parameters
    ----------
    maps
        From `brain_maps.brain_maps`.

    Returns
    -------
    str
        A whole page of HTML with its scripts inside, that asks the network for nothing; the same
        from call to call.
    """
    from nilearn.datasets import load_mni152_template
    from nilearn.image import resample_to_img
    from nilearn.masking import unmask
    from nilearn.plotting import view_img

    values, mask = maps.above[1].clip(min=0).to_numpy(), maps.study.mask
    # On the grid of the voxels the page has a quarter of the bytes, and no voxel is smoothed.
    anatomy = resample_to_img(
        load_mni152_template(resolution=2), mask, force_resample=True, copy_header=True
    )
    top = maps.study.voxels.iloc[int(values.argmax())]
    page = view_img(
        unmask(values.astype(np.float32), mask),
        bg_img=anatomy,
        cut_coords=tuple(float(top[axis]) for axis in "xyz"),
        threshold=HIDDEN * float(values.max()),
        vmin=0,
        vmax=float(values.max()),
        symmetric_cmap=False,
        cmap=COLOURS,
        black_bg=False,
        resampling_interpolation="nearest",
        title=maps.study.source,
    ).html
    page = re.sub(r'<link rel="icon".*?/>', "", page, flags=re.DOTALL)
    return re.sub(r"(?<=-)[0-9a-f]{32}", "maps", page)
