"""Figures: stamped, readable, and saying the same as their alt text."""

import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from synthetic_scores import simulated_scores

from brainalign import alt_text, lateralization, look, plots, published, scaling
from brainalign.errors import InputError
from brainalign.wording import format_count, interval, number, short_name


def all_figures(table):
    """Name -> (figure, alt text) of every kind of figure."""
    rng = np.random.default_rng(0)
    law = scaling.fit_scaling(table, "reliable", 100, rng)
    fits = lateralization.all_fits(table, 100, rng)
    side = fits["reliable voxels"]
    return {
        "scaling": (plots.scaling_figure(table, law), alt_text.scaling_alt(table, law)),
        "control": (
            plots.control_figure(table, "reliable"),
            alt_text.control_alt(table, "reliable"),
        ),
        "control L-R": (
            plots.control_figure(table, "reliable", hemisphere="L-R"),
            alt_text.control_alt(table, "reliable", hemisphere="L-R"),
        ),
        "asymmetry": (plots.asymmetry_figure(table, side), alt_text.asymmetry_alt(table, side)),
        "measures": (plots.measures_figure(table, fits), alt_text.measures_alt(table, fits)),
    }


TABLES = {
    "published values (digitised)": published.score_table,
    "SIMULATED LISTENERS": lambda: simulated_scores().table,
}


@pytest.fixture(scope="module", params=list(TABLES))
def drawn(request):
    table = TABLES[request.param]()
    return request.param, table, all_figures(table)


def texts(figure):
    return [text.get_text() for text in written(figure)]


def written(figure):
    return figure.findobj(matplotlib.text.Text)


def test_every_figure_is_stamped_with_its_source_and_no_other(drawn):
    source, _, figures = drawn
    for name, (figure, _) in figures.items():
        stamps = [text.get_text() for text in figure.texts if text.get_gid() == "stamp"]
        assert stamps == [source], name
        assert not any(other in texts(figure) for other in set(TABLES) - {source}), name


def test_every_alt_text_says_the_source(drawn):
    source, _, figures = drawn
    opening = (
        "Simulated listeners, not people." if "SIM" in source else "Published values (digitised)."
    )
    for name, (_, alt) in figures.items():
        assert alt.startswith(opening), name
        assert not re.search(r"\bnan\b", alt), name


def test_figures_say_how_the_scores_were_made(drawn):
    _, table, figures = drawn
    for figure, _ in figures.values():
        footer = " ".join(texts(figure))
        assert f"layers: {table['layer_rule'].iloc[0]} rule" in footer
        assert f"hemispheres: {table['hemisphere_rule'].iloc[0]} rule" in footer


def test_nothing_is_cut_off_or_overprinted(drawn):
    _, _, figures = drawn
    for name, (figure, _) in figures.items():
        figure.draw_without_rendering()
        width, height = figure.get_size_inches() * figure.dpi
        for text in figure.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, name
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= width, name
            assert not any(box.overlaps(text.get_window_extent()) for text in figure.texts), name
            assert not any(box.overlaps(axes.get_tightbbox()) for axes in figure.axes), name
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert not any(box.overlaps(text.get_window_extent()) for text in figure.texts), name
            labels = [t for t in axes.get_xticklabels() if t.get_text() and t.get_visible()]
            low, high = axes.get_xlim()
            spans = sorted(
                (t.get_window_extent().x0, t.get_window_extent().x1)
                for t in labels
                if low <= t.get_position()[0] <= high
            )
            assert len(spans) >= 2, name
            assert all(a[1] < b[0] for a, b in zip(spans, spans[1:], strict=False)), name


def test_lettering_can_be_read_on_a_phone(drawn):
    _, _, figures = drawn
    for name, (figure, _) in figures.items():
        points_across = 72 * figure.get_size_inches()[0]
        smallest = min(text.get_fontsize() for text in written(figure) if text.get_text())
        assert 380 * smallest / points_across >= 8, name


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (1e8, 2e10, [1e8, 1e9, 1e10]),
        (2e3, 9e4, [3e3, 3e4]),
        (2e4, 1.5e5, [3e4, 1e5]),
        (6e3, 2.1e4, [1e4, 2e4]),
        (6.5e8, 9.5e8, [7e8, 8e8, 9e8]),
    ],
)
def test_size_axis_has_few_round_labels(low, high, expected):
    assert look._size_ticks(low, high, 2) == pytest.approx(expected)


def test_points_stand_at_the_scores(drawn):
    _, table, figures = drawn
    rows = scaling.select(table, "reliable")
    (points,) = (c for c in figures["scaling"][0].axes[0].collections if len(c.get_offsets()) > 1)
    expected = sorted(zip(rows["n_parameters"], rows["score"], strict=True))
    assert np.allclose(sorted(map(tuple, points.get_offsets())), expected)


def test_alt_text_has_the_numbers_of_the_published_scores():
    figures = all_figures(published.score_table())
    alt = figures["scaling"][1]
    for words in [
        "28 language models",
        "124M to 14.2B",
        "gpt2, scores 0.396",
        "Qwen1.5-14B, 0.458",
        "r = 0.95",
        "0.0273 per factor of ten",
    ]:
        assert words in alt
    alt = figures["asymmetry"][1]
    for words in [
        "−0.0039 to 0.0192",
        "r = 0.89",
        "slope 0.0073 per decade",
        "slope 0.0309",
        "0.0236",
    ]:
        assert words in alt
    alt = figures["measures"][1]
    assert re.findall(r"r = (\d\.\d\d)", alt) == ["0.82", "0.89", "0.93"]
    alt = figures["control L-R"][1]
    for words in [
        "random embeddings, 300 wide −0.0303",
        "untrained copies −0.0442 to −0.0046",
        "GloVe word vectors −0.0023",
    ]:
        assert words in alt


def test_known_families_look_the_same_everywhere():
    names = [
        "GPT-2",
        "OPT",
        "Llama 2",
        "Qwen1.5",
        "Gemma",
        "StableLM",
        "Mistral",
        "Mamba",
        "Pythia",
    ]
    colours, markers = look.looks(names)
    assert len(set(colours.values())) == len(set(markers.values())) == len(names)
    for name in names:  # alone, and as a nano model
        assert look.looks([name]) == ({name: colours[name]}, {name: markers[name]})
        nano = f"nano {name}"
        assert look.looks([nano]) == ({nano: colours[name]}, {nano: markers[name]})
    both, differ = look.looks(["Qwen1.5", "Qwen2"])
    assert both["Qwen1.5"] == both["Qwen2"] and differ["Qwen1.5"] != differ["Qwen2"]


def test_other_families_take_what_is_left():
    colours, markers = look.looks(["BERT", "GPT-2", "RoBERTa"])
    assert len(set(colours.values())) == len(set(markers.values())) == 3


def test_legend_counts_the_models_of_each_family():
    figure = all_figures(published.score_table())["scaling"][0]
    legend = figure.legends[0]
    assert "Qwen1.5 (5)" in [text.get_text() for text in legend.get_texts()]


def test_figures_leave_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    all_figures(simulated_scores().table)
    assert dict(matplotlib.rcParams) == before


def test_mixed_or_unnamed_sources_are_refused():
    simulated, paper = simulated_scores().table, published.score_table()
    with pytest.raises(InputError, match="one source"):
        plots.control_figure(pd.concat([simulated, paper]), "reliable")
    with pytest.raises(InputError, match="one source"):
        plots.control_figure(simulated.drop(columns="source"), "reliable")


def test_wording():
    assert [format_count(n) for n in (850, 6_500, 124_439_808, 999_900_000, 14_167_290_880)] == [
        "850",
        "6.5k",
        "124M",
        "1B",
        "14.2B",
    ]
    assert number(-0.00001, 3) == "0.000" and number(-0.0123, 3) == "−0.012"
    assert interval((0.01, 0.02)) == "0.0100 to 0.0200" and interval((np.nan, 1.0)) == "–"
    assert interval((-4e-6, 0.0023)) == "−0.000004 to 0.0023"
    assert interval((0.0, 0.02), 2) == "0.00 to 0.02" and interval((-1e-12, 1), 1) == "0.0 to 1.0"
    assert [short_name(n) for n in ("gpt2", "openai/gpt2", "/a/b/")] == ["gpt2", "gpt2", "b"]
