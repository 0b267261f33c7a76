"""Figures of layers, circularity and training: stamped, readable, saying the same as their alt."""

import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
import synthetic_layers

from brainalign import circularity, layers, learning, training_curves
from brainalign import plots_circularity as circles
from brainalign import plots_layers as plots
from brainalign import plots_learning as curves
from brainalign.scaling import matching
from brainalign.study import SIMULATED
from brainalign.wording import number

STEPS = np.array([0, 10, 100, 1000])


def layer_figures(table):
    best = layers.best_layers(table)
    fits = layers.depth_fits(best, 50, np.random.default_rng(0))
    figures = {"mean": (plots.mean_figure(table), plots.mean_alt(table))}
    figures["best"] = (plots.best_figure(table, best, fits), plots.best_alt(table, best, fits))
    for side in ("both", "L-R"):
        about = (table, "reliable", side)
        figures[side] = (plots.profile_figure(*about), plots.profile_alt(*about))
    return figures


def published_figures():
    table = layers.study_layers("published").table
    choices = circularity.published_choice_table(table)
    about = (circularity.invented(choices), table["source"].iloc[0], circularity.BEST)
    states = learning.training_table("published")
    fits = learning.training_fits(states)
    curve = training_curves.checkpoint_curve("published")
    return layer_figures(table) | {
        "circles": (circles.circularity_figure(*about), circles.circularity_alt(*about)),
        "training": (curves.training_figure(states, fits), curves.training_alt(states, fits)),
        "checkpoints": (curves.checkpoint_figure(curve), curves.checkpoint_alt(curve)),
    }


def made_up_states():
    """Trained and untrained models of two families, three seeds."""
    rng, rows = np.random.default_rng(0), []
    for family in ("nano GPT-2", "nano Qwen2"):
        for size in (10_000, 60_000, 200_000, 800_000):
            for seed in (None, 0, 1, 2):
                kind = "language model" if seed is None else "untrained"
                name = f"{family}-{size}" + ("" if seed is None else f":untrained-{seed}")
                rows.append((name, family, kind, seed, size, rng.normal(0, 0.01)))
    table = pd.DataFrame(rows, columns=["model", "family", "kind", "seed", "n_parameters", "score"])
    how = {"source": SIMULATED, "layer_rule": "nested", "hemisphere_rule": "anatomical"}
    return table.assign(**how).astype({"seed": "Int64"})


def made_up_curve():
    parts = []
    for side, height in {"both": 0.1, "L": 0.11, "R": 0.09, "L-R": 0.02}.items():
        score = height * STEPS / STEPS.max()
        about = {"model": "nano-pythia-64x4", "step": STEPS, "hemisphere": side, "score": score}
        parts.append(pd.DataFrame(about | {"low": score - 0.01, "high": score + 0.01}))
    how = {"source": SIMULATED, "layer_rule": "nested", "hemisphere_rule": "anatomical"}
    return pd.concat(parts, ignore_index=True).assign(**how)


def simulated_figures():
    found = synthetic_layers.found(0.03)
    table = layers.layer_table(found)
    vectors = circularity.stacked(one for one in found.encoded if one.sizes["layer"] == 1)
    excess = circularity.invented(circularity.choice_table(found, vectors))
    features = {"nano-gpt2-128x4": found.encoded[2], circularity.VECTORS: vectors}
    lines = circularity.by_number_of_layers(features, found, np.random.default_rng(0), 2)
    about = (excess, SIMULATED, circularity.NESTED, lines)
    kinds = ("surface", "lexical", "syntax", "event", "discourse")
    known = pd.DataFrame(
        [(layer, layer / 4, kind, 0.1 * (layer + k)) for layer in range(5)
         for k, kind in enumerate(kinds)],
        columns=["layer", "relative_depth", "latents", "r"],
    ).assign(model="nano-gpt2-128x4")  # fmt: skip
    steps = known.assign(step=STEPS[known["layer"] % 4]).drop_duplicates(["latents", "step"])
    states, curve = made_up_states(), made_up_curve()
    fits, which = learning.training_fits(states), (table, known, "nano-gpt2-128x4")
    return layer_figures(table) | {
        "circles": (circles.circularity_figure(*about), circles.circularity_alt(*about)),
        "knowledge": (plots.knowledge_figure(*which), plots.knowledge_alt(*which)),
        "training": (curves.training_figure(states, fits), curves.training_alt(states, fits)),
        "checkpoints": (
            curves.checkpoint_figure(curve, steps),
            curves.checkpoint_alt(curve, steps),
        ),
    }


@pytest.fixture(scope="module", params=["published values (digitised)", SIMULATED])
def drawn(request):
    return request.param, simulated_figures() if request.param == SIMULATED else published_figures()


def written(figure):
    return [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def test_figures_and_alt_texts_say_whose_responses_these_are(drawn):
    source, figures = drawn
    start = "Simulated listeners, not" if source == SIMULATED else "Published values (digitised)."
    for name, (figure, alt) in figures.items():
        assert [t.get_text() for t in figure.texts if t.get_gid() == "stamp"] == [source], name
        assert alt.startswith(start) and not re.search(r"\bnan\b", alt), name


def test_nothing_is_cut_off_or_overprinted(drawn):
    for name, (figure, _) in drawn[1].items():
        figure.draw_without_rendering()
        width, height = figure.get_size_inches() * figure.dpi
        boxes = [legend.get_window_extent() for legend in figure.legends]
        for box in boxes:
            assert box.x0 >= 0 and box.x1 <= width, name
        panels = [axes.get_tightbbox() for axes in figure.axes if axes.get_visible()]
        notes = [text for text in figure.texts if text is not figure._supylabel]
        for box in [text.get_window_extent() for text in notes]:
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, name
            assert not any(box.overlaps(other) for other in boxes), name
            assert not any(box.overlaps(panel) for panel in panels), name


def test_lettering_can_be_read_on_a_phone(drawn):
    for name, (figure, _) in drawn[1].items():
        across = 72 * figure.get_size_inches()[0]
        smallest = min(text.get_fontsize() for text in written(figure))
        assert 380 * smallest / across >= 8, name


def test_a_panel_for_every_family_and_a_curve_for_every_model():
    table = layers.study_layers("published").table
    figure = plots.profile_figure(table, "reliable", "both")
    assert len(figure.axes) == 8
    curve_counts = {
        axes.get_title("left").split(",")[0]: len(axes.lines) // 2 for axes in figure.axes
    }
    assert curve_counts == table.groupby("family")["model"].nunique().to_dict()


def test_one_family_has_one_wide_panel():
    table = layers.study_layers("published", ["gpt2", "gpt2-medium", "gpt2-xl"]).table
    assert len(plots.profile_figure(table, "all", "L-R").axes) == 1


def test_alt_texts_have_the_numbers_of_the_table():
    table = layers.study_layers("published").table
    alt = plots.profile_alt(table, "reliable", "L-R")
    largest = matching(table, model="gpt2-xl", voxels="reliable", hemisphere="L-R")
    assert f"highest {number(largest['score'].max(), 4)}" in alt
    curve = made_up_curve()
    assert "left minus right 0.0000 at 0, 0.0002 at 10, 0.0020 at 100" in curves.checkpoint_alt(
        curve
    )


def test_untrained_copies_show_the_range_of_their_seeds():
    states = made_up_states()
    figure = curves.training_figure(states, learning.training_fits(states))
    part = matching(states, family="nano GPT-2", kind="untrained")
    spans = part.groupby("n_parameters")["score"].agg(["min", "max"]).to_numpy()
    bars = figure.axes[0].collections[0].get_segments()
    np.testing.assert_allclose([[a[1], b[1]] for a, b in bars], spans)


def test_step_zero_has_a_place_on_the_axis():
    axes = curves.checkpoint_figure(made_up_curve()).axes[-1]
    low, high = axes.get_xlim()
    assert low < 0 and high > 1000
    shown = [axes.xaxis.get_major_formatter()(tick, 0) for tick in axes.get_xticks()]
    assert shown == ["0", "10", "100", "1k"]
