"""Figures of reliability: stamped, readable, and saying the same as their alt text."""

from io import BytesIO

import matplotlib
import numpy as np
import pytest
from tiny_reliability import STUDIES, summed_up

from brainalign import plots_reliability as plots
from brainalign.reliability_summary import differences, region_names, unit_means

STAMPS = {
    "voxels": ("SIMULATED LISTENERS", "Simulated listeners, not people."),
    "regions": ("5 measured listeners", "5 measured listeners."),
    "published": ("published map of reliability", "Published map of reliability."),
}


@pytest.fixture(scope="module", params=list(STUDIES))
def drawn(request, tmp_path_factory):
    """Name of the study, its summary, and name -> (figure, alt text)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINALIGN_CACHE", str(tmp_path_factory.mktemp("cache")))
        found = summed_up(request.param, n_splits=0)
    names = ["distribution", "regions"] + (["glass_brain"] if found.study.mask else [])
    figures = {
        name: (getattr(plots, f"{name}_figure")(found), getattr(plots, f"{name}_alt")(found))
        for name in names
    }
    return request.param, found, figures


def written(figure):
    return [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def test_figures_and_alt_texts_say_whose_responses_these_are(drawn):
    name, _, figures = drawn
    stamp, opening = STAMPS[name]
    for figure, alt in figures.values():
        assert [t.get_text() for t in figure.texts if t.get_gid() == "stamp"] == [stamp]
        assert alt.startswith(opening) and "nan" not in alt


def test_nothing_is_cut_off_or_overprinted(drawn):
    for name, (figure, _) in drawn[2].items():
        figure.draw_without_rendering()
        width, height = figure.get_size_inches() * figure.dpi
        for text in figure.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, name
            for axes in figure.axes:
                assert not box.overlaps(axes.get_tightbbox()), name


def test_the_same_numbers_give_the_same_picture(drawn):
    _, found, figures = drawn
    for name in figures:
        pictures = [BytesIO(), BytesIO()]
        for picture in pictures:
            getattr(plots, f"{name}_figure")(found).savefig(picture, format="rgba")
        assert pictures[0].getvalue() == pictures[1].getvalue(), name


def test_lettering_can_be_read_on_a_phone(drawn):
    for name, (figure, _) in drawn[2].items():
        across = 72 * figure.get_size_inches()[0]
        smallest = min(text.get_fontsize() for text in written(figure))
        assert 380 * smallest / across >= 8, name


def test_bars_and_marks_stand_at_the_means(drawn):
    name, found, figures = drawn
    figure = figures["regions"][0]
    figure.draw_without_rendering()
    assert figure.axes[0].get_xlim()[0] <= 0
    names = region_names(found)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [*names.values()]
    means = unit_means(found)
    marks = {
        (round(line.get_ydata()[0]), line.get_marker()): line.get_xdata()[0]
        for line in figure.axes[0].lines
        if len(line.get_xdata()) == 1
    }
    for place, region in enumerate(names):
        for side, marker in (("L", "o"), ("R", "s")):
            if (region, side) in means:
                assert marks[place, marker] == pytest.approx(means[region, side].mean())
            else:
                assert (place, marker) not in marks


def test_only_pairs_have_a_difference(drawn):
    name, found, figures = drawn
    difference = figures["regions"][0].axes[1]
    pairs = [region for region in region_names(found) if region in differences(found)]
    marks = [line.get_xdata()[0] for line in difference.lines if line.get_marker() == "D"]
    assert marks == pytest.approx([differences(found)[region].mean() for region in pairs])
    # Where all regions have both sides, the rows have their names in the left panel.
    labels = [label.get_text() for label in difference.get_yticklabels()]
    assert labels == (["ATL"] if name == "regions" else [""] * 8)


def test_the_glass_brain_names_its_views_and_colours(drawn):
    _, found, figures = drawn
    if "glass_brain" not in figures:
        return
    figure = figures["glass_brain"][0]
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["left", "back", "right", "above"]
    label = {"listener": "Leave-one-out ISC (r)", "split": "Prediction from the other half (r)"}
    assert figure.axes[-1].get_xlabel() == label[found.unit]


def test_alt_texts_have_the_numbers(drawn):
    name, found, figures = drawn
    alt = figures["distribution"][1]
    if name == "regions":
        mean = float(found.units.mean("unit")[0])
        assert f"LATL {mean:.3f}" in alt and "one dot per listener (5)" in alt
    else:
        assert f"threshold {found.threshold:.3f}" in alt
        assert f"{int(found.reliable.sum()):,} reliable voxels" in alt
        counts = figures["glass_brain"][1]
        assert f"{int(found.reliable.sum()):,} reliable voxels" in counts
    assert ("shifted" in alt) == (name != "published")
    assert figures["regions"][1].count("left minus right") == (1 if name == "regions" else 8)


def test_reliable_voxels_alone_are_shaded():
    found = summed_up("published")
    figure = plots.distribution_figure(found)
    (shade,) = figure.axes[0].collections
    edges = shade.get_paths()[0].vertices[:, 0]
    assert np.all(edges >= found.threshold - 1e-9)


def test_figures_leave_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    found = summed_up("published")
    for draw in (plots.distribution_figure, plots.glass_brain_figure, plots.regions_figure):
        draw(found)
    assert dict(matplotlib.rcParams) == before
