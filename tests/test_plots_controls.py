"""Figures of one model: stamped, readable, and saying the same as their alt text."""

import matplotlib
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from synthetic_controls import control_scores, simulated_controls

from brainalign import control_tables, plots_controls
from brainalign.study import SIMULATED


@pytest.fixture(scope="module", params=[control_scores, simulated_controls])
def drawn(request):
    found = request.param()
    table = control_tables.score_table(found, 100, np.random.default_rng(0))
    differences = control_tables.difference_table(found)
    return found, {
        "features": (
            plots_controls.features_figure(found, table),
            plots_controls.features_alt(found, table),
        ),
        "differences": (
            plots_controls.differences_figure(found, differences),
            plots_controls.differences_alt(found, differences),
        ),
    }


def test_figures_are_stamped_with_their_source(drawn):
    found, figures = drawn
    source = found.attrs["source"]
    opening = "Simulated listeners, not people." if source == SIMULATED else "9 measured listeners."
    for name, (figure, alt) in figures.items():
        stamps = [text.get_text() for text in figure.texts if text.get_gid() == "stamp"]
        assert stamps == [source], name
        assert alt.startswith(opening), name
        assert "nan" not in alt.lower().replace("nano", ""), name


def test_nothing_is_cut_off_or_overprinted(drawn):
    for name, (figure, _) in drawn[1].items():
        figure.draw_without_rendering()
        width, height = figure.get_size_inches() * figure.dpi
        (legend,), (axes,) = figure.legends, figure.axes
        boxes = [text.get_window_extent() for text in figure.texts]
        boxes += [legend.get_window_extent(), axes.get_tightbbox()]
        for number, box in enumerate(boxes):
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, name
            assert not any(box.overlaps(other) for other in boxes[:number]), name


def test_lettering_can_be_read_on_a_phone(drawn):
    for name, (figure, _) in drawn[1].items():
        across = 72 * figure.get_size_inches()[0]
        texts = figure.findobj(matplotlib.text.Text)
        smallest = min(text.get_fontsize() for text in texts if text.get_text())
        assert 380 * smallest / across >= 8, name


def test_dots_and_lines_stand_at_the_scores(drawn):
    found, figures = drawn
    axes = figures["features"][0].axes[0]
    *scored, ceilings = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
    np.testing.assert_allclose([dots.get_xdata(False) for dots, *_ in scored], found["score"])
    bars = [patch.get_width() for patch in axes.patches]
    np.testing.assert_allclose(bars, np.quantile(found["shift"], 0.95, axis=0))
    lines = [segment[:, 0] for segment in ceilings[2][0].get_segments()]
    np.testing.assert_allclose(lines, np.stack([found["ceiling"]] * 2, axis=1))
    assert [t.get_text() for t in axes.get_yticklabels()] == found["region"].values.tolist()
    low, high = axes.get_ylim()
    assert low > high  # the first region is on top


def test_alt_text_has_every_region_and_its_score(drawn):
    found, figures = drawn
    alt = figures["features"][1]
    for region in found["region"].values:
        value = found["score"].sel(features="model", region=region).item()
        assert f"{region} {value:.2f} (" in alt
        assert (
            f"{region} {found['ceiling'].sel(region=region).item():.2f}" in alt.split("ceiling")[1]
        )
    assert f"for {found.sizes['region']} regions" in alt


def test_figures_leave_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    found = control_scores()
    plots_controls.differences_figure(found, control_tables.difference_table(found))
    assert dict(matplotlib.rcParams) == before
