"""Long descriptions of brain maps on a page: tables that can be opened below a figure."""

import html

from brainalign.companion.output import html_table
from brainalign.long_descriptions import MapDescription


def description_html(description: MapDescription) -> str:
    """A description as HTML that is folded until it is asked for.

    Parameters
    ----------
    description
        From `long_descriptions`.

    Returns
    -------
    str
        A `details` element; the website ties the picture before it to it (`page_repairs`).
    """
    tables = [
        (description.drawn, "How much is drawn."),
        (description.peaks, "Highest voxels (mm, MNI), at least 20 mm apart."),
        (description.regions, "Means over all voxels of every region of interest."),
    ]
    shown = "".join(html_table(table, caption) for table, caption in tables if len(table))
    return (
        '<details class="brainalign-description"><summary>The map in numbers</summary>'
        f"<p>{html.escape(description.text)}</p>{shown}</details>"
    )


def describe(description: MapDescription) -> None:
    """Display a long description below the figure that it belongs to."""
    from IPython.display import display

    text = {"text/html": description_html(description), "text/plain": description.text}
    display(text, raw=True)
