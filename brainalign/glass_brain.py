"""Parts of figures that show maps: a transparent brain in four views, a bar of colours."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

VIEWS = {"l": "left", "y": "back", "r": "right", "z": "above"}


def glass_row(
    figure: Figure,
    mask,
    values: np.ndarray,
    box: tuple[float, float, float, float],
    colours: ScalarMappable,
    threshold: float | None = None,
) -> dict[str, Axes]:
    """Draw one map as a transparent brain from the left, the back, the right and above.

    Parameters
    ----------
    figure
        To draw on.
    mask : nibabel image
        Of the voxels.
    values
        Shape (voxel,). Along each line of sight the highest value shows.
    box
        Left, bottom, width and height, as parts of the figure.
    colours
        Colour map and range.
    threshold
        Values up to here are not drawn.

    Returns
    -------
    dict
        View -> matplotlib axes.
    """
    from nilearn.masking import unmask
    from nilearn.plotting import plot_glass_brain

    low, high = colours.get_clim()
    display = plot_glass_brain(
        unmask(np.asarray(values, dtype=np.float32), mask),
        display_mode="lyrz",
        figure=figure,
        axes=box,
        threshold=threshold,
        vmin=low,
        vmax=high,
        cmap=colours.get_cmap(),
        colorbar=False,
        annotate=False,
        plot_abs=False,
        resampling_interpolation="nearest",
    )
    display.annotate(size=12, positions=False)
    return {view: display.axes[view].ax for view in VIEWS}


def colour_bar(
    figure: Figure, colours: ScalarMappable, label: str, left: float, width: float, bottom: float
) -> None:
    """Draw a horizontal bar of colours.

    Parameters
    ----------
    figure
        To draw on.
    colours
        Colour map and range.
    label
        Below the bar.
    left, width
        As parts of the figure.
    bottom
        Of the bar, in inches.
    """
    height = figure.get_size_inches()[1]
    place = figure.add_axes((left, bottom / height, width, 0.1 / height))
    bar = figure.colorbar(colours, cax=place, orientation="horizontal")
    bar.ax.tick_params(labelsize=11)
    bar.ax.locator_params(nbins=5)
    bar.set_label(label, size=12)
