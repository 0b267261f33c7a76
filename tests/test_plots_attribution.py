"""Figures of attribution: stamped, readable, saying the same as their alt, whatever the tables lack."""

import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from brainalign import plots_attribution as plots
from brainalign import plots_passage as passages
from brainalign import plots_word_classes as kinds
from brainalign.errors import InputError
from brainalign.look_attribution import LOOKS, looks
from brainalign.study import SIMULATED

MEASURED = "27 measured listeners"
NOTE = "nano-gpt2-128x4, layer 2; bands: 95 %, bootstrap over listeners"
THRESHOLDS = (1, 2, 3, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98)
TEXT = (
    "Alice was beginning to get very tired of sitting by her sister on the bank, and of having "
    "nothing to do: once or twice she had peeped into the book her sister was reading, but it had no "
    "pictures or conversations in it, “and what is the use of a book,” thought Alice “without "
    "pictures or conversations?” So she was considering in her own mind (as well as she could, for "
    "the hot day made her feel very sleepy and stupid), whether the pleasure of making a daisy-chain"
).split()


def banded(rows, columns, value, width):
    table = pd.DataFrame(rows, columns=[*columns, value])
    return table.assign(low=table[value] - width, high=table[value] + width)


def made_up_passage():
    n, rng = len(TEXT), np.random.default_rng(0)
    away = np.arange(n)[::-1]
    brain = rng.gamma(0.7, size=n) * (np.exp(-away / 20) + 0.2)
    following = rng.gamma(0.5, size=n) * (np.exp(-away / 4) + 0.05)
    cue = np.array([""] * n, dtype=object)
    cue[[14, 31, 33]], cue[[8, 36]] = "scene", "goal"
    table = pd.DataFrame({"word": TEXT, "brain": brain / brain.sum(), "cue": cue})
    table["next_word"] = following / following.sum()
    return table.assign(pooled=away < 24)


def made_up_overlap():
    end = {
        "brain and next word": (0.13, 1.6),
        "same brain, other listeners": (0.55, 0.6),
        "brain, shuffled responses": (0.1, 1.9),
        "next word, positions kept": (0.07, 2.2),
        "random sets": (0.02, 3.0),
    }
    rows = [
        (t, what, start + (0.86 - start) * (t / 100) ** power)
        for what, (start, power) in end.items()
        for t in THRESHOLDS
    ]
    table = banded(rows, ["threshold", "what"], "iou", 0.025)
    table.loc[table["what"] == "random sets", ["low", "high"]] = np.nan
    return table


def made_up_spread():
    whats = {"brain": 0.03, "next word at the output": -0.02, "next word at the layer": 0.0}
    rows = [
        (group, layer, what, 0.25 + slope * layer)
        for group, layer in [("early", 1), ("middle", 2), ("late", 4)]
        for what, slope in (whats | {"random readouts": 0.02}).items()
    ]
    return banded(rows, ["layer_group", "layer", "what"], "area", 0.012)


def made_up_profiles():
    whats = {"brain": 12, "next word": 2, "next word, pooled words": 9, "random readouts": 10}
    distance = np.arange(100)
    parts = []
    for what, scale in (whats | {"untrained model": 18, "scrambled context": 7}).items():
        share = np.exp(-distance / scale) + 0.03 + 0.1 * (distance == 99)
        parts += [(what, d, s) for d, s in zip(distance, share / share.sum(), strict=True)]
    table = pd.DataFrame(parts, columns=["what", "distance", "share"])
    return table.assign(low=0.85 * table["share"], high=1.15 * table["share"])


def made_up_classes():
    rates = {"content": 0.46, "function": 0.54, "scene cue": 0.06, "goal cue": 0.05, "name": 0.04}
    rates |= {"pronoun": 0.09, "verb": 0.17}
    rng = np.random.default_rng(3)
    rows = [
        (name, task, rate, 0.1, np.exp(-8 * abs(value)), value)
        for name, rate in rates.items()
        for task in ("brain", "next word", "random readouts")
        for value in [rng.normal(0, 0.6)]
    ]
    columns = ["class", "task", "base_rate", "share", "p_adjusted"]
    return banded(rows, columns, "log_odds", 0.3)


def made_up_deletion():
    rankings = {"brain": 1.0, "next word": 0.5, "random words": 0.2}
    rankings |= {"random words, same distances": 0.35, "lowest words": 0.05}
    fractions = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    rows = []
    for name, weight in rankings.items():
        for f in fractions:
            lost = weight * f**0.4
            rows += [
                (f, name, "prediction", 2 * lost),
                (f, name, "brain score", 0.12 - 0.15 * lost),
            ]
            loss = {"brain": 0.5, "next word": 1.0}.get(name, weight)
            rows += [(f, name, "next-word loss", 2.1 + 2 * loss * f**0.4)]
    return banded(rows, ["fraction", "ranking", "measure"], "value", 0.02)


def made_up_areas():
    targets = {"brain, AG_TPJ left": 0.78, "brain, A1": 0.52, "next word": 0.6}
    targets |= {"random readouts": 0.51, "brain, shifted responses": 0.49}
    rows = [
        (target, cue, area + shift)
        for target, area in targets.items()
        for cue, shift in [("scene", 0.03), ("goal", -0.03), ("both", 0.0)]
    ]
    return banded(rows, ["target", "cue"], "area", 0.05)


MAKERS = {
    "passage": (made_up_passage, passages.passage_figure, passages.passage_alt),
    "overlap": (made_up_overlap, plots.overlap_figure, plots.overlap_alt),
    "spread": (made_up_spread, plots.spread_figure, plots.spread_alt),
    "positions": (made_up_profiles, plots.positions_figure, plots.positions_alt),
    "classes": (made_up_classes, kinds.classes_figure, kinds.classes_alt),
    "deletion": (made_up_deletion, plots.deletion_figure, plots.deletion_alt),
    "cues": (made_up_areas, kinds.cues_figure, kinds.cues_alt),
}


def drawn_from(name, table, source=SIMULATED):
    more = {"pooled": 16} if name == "positions" else {}
    _, figure, alt = MAKERS[name]
    return figure(table, source, NOTE, **more), alt(table, source, **more)


@pytest.fixture(scope="module", params=[SIMULATED, MEASURED])
def drawn(request):
    figures = {name: drawn_from(name, MAKERS[name][0](), request.param) for name in MAKERS}
    return request.param, figures


def written(figure):
    return [text for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def legend_labels(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def bands(axes):
    """Filled areas that cover something."""
    areas = [one for one in axes.collections if isinstance(one, PolyCollection)]
    return [one for one in areas if any(len(path.vertices) for path in one.get_paths())]


def check_nothing_is_cut_off(figure, name):
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    legends = [legend.get_window_extent() for legend in figure.legends]
    panels = [axes.get_tightbbox() for axes in figure.axes]
    for box in legends + panels:
        assert box.x0 >= -0.5 and box.x1 <= width + 0.5, name
        assert not any(box.overlaps(other) for other in (panels if box in legends else [])), name
    for box in [text.get_window_extent() for text in figure.texts]:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, name
        assert not any(box.overlaps(other) for other in legends + panels), name


def test_figures_and_alt_texts_say_whose_responses_these_are(drawn):
    source, figures = drawn
    start = "Simulated listeners, not people." if source == SIMULATED else f"{MEASURED}."
    for name, (figure, alt) in figures.items():
        assert [t.get_text() for t in figure.texts if t.get_gid() == "stamp"] == [source], name
        assert alt.startswith(start) and not re.search(r"\bnan\b", alt), name
        assert any(text.get_text().startswith(NOTE) for text in figure.texts), name


def test_nothing_is_cut_off_or_overprinted(drawn):
    for name, (figure, _) in drawn[1].items():
        check_nothing_is_cut_off(figure, name)


def test_lettering_can_be_read_on_a_phone(drawn):
    for name, (figure, _) in drawn[1].items():
        across = 72 * figure.get_size_inches()[0]
        smallest = min(text.get_fontsize() for text in written(figure))
        assert 380 * smallest / across >= 8, name


def test_intervals_may_lack(drawn):
    for name in MAKERS.keys() - {"passage"}:
        table = MAKERS[name][0]().assign(low=np.nan, high=np.nan)
        figure, alt = drawn_from(name, table)
        figure.draw_without_rendering()
        assert not any(bands(axes) for axes in figure.axes), name
        assert not re.search(r"\bnan\b|\(–\)", alt), name
    assert len(bands(drawn[1]["overlap"][0].axes[0])) == 4


def test_what_nobody_foresaw_is_drawn_in_colours_of_its_own():
    names = ["brain", "next word", "a third", "a fourth"]
    found = looks(names)
    assert list(found) == names and found["brain"] == LOOKS["brain"]
    assert len({look.colour for look in found.values()}) == 4
    table = made_up_overlap().replace({"what": {"random sets": "a third"}})
    figure, alt = drawn_from("overlap", table)
    assert "a third" in legend_labels(figure) and "a third" in alt


def test_every_name_is_in_the_legend(drawn):
    column = {"overlap": "what", "spread": "what", "positions": "what", "classes": "task"}
    for name, names in (column | {"deletion": "ranking"}).items():
        expected = list(dict.fromkeys(MAKERS[name][0]()[names]))
        more = ["pooled by the readout"] if name == "positions" else []
        assert legend_labels(drawn[1][name][0]) == expected + more, name


@pytest.mark.parametrize("name", MAKERS)
def test_tables_without_columns_or_values_are_refused(name):
    table = MAKERS[name][0]()
    with pytest.raises(InputError, match="lacks"):
        drawn_from(name, table.iloc[:, 1:])
    with pytest.raises(InputError, match="No row"):
        drawn_from(name, table.iloc[:0])


def test_a_passage_has_two_bars_for_every_word_on_one_scale():
    table = made_up_passage()
    table.loc[3, "next_word"] = np.nan
    axes = drawn_from("passage", table)[0].axes[0]
    above, below = axes.containers
    assert (len(above), len(below)) == (len(TEXT), len(TEXT) - 1)
    # The axis points down: bars for the brain go up from the word, the others down.
    heights = np.array([bar.get_height() for bar in above])
    np.testing.assert_allclose(heights / heights.min(), table["brain"] / table["brain"].max())
    depths = np.array([bar.get_height() for bar in below])
    np.testing.assert_allclose(depths / -heights.min(), table["next_word"].dropna() / table["brain"].max())  # fmt: skip
    assert (heights <= 0).all() and (depths >= 0).all()
    assert {bar.get_hatch() for bar in above} != {bar.get_hatch() for bar in below}


def test_a_passage_is_written_in_order_within_the_figure():
    figure, _ = drawn_from("passage", made_up_passage())
    figure.draw_without_rendering()
    axes = figure.axes[0]
    words = [text for text in axes.texts if text.get_text()]
    assert [text.get_text() for text in words] == TEXT
    boxes = [text.get_window_extent() for text in words]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.get_size_inches()[0] * figure.dpi
    assert not any(a.overlaps(b) for a, b in zip(boxes[:-1], boxes[1:], strict=True))
    # What the places are measured in.
    inch = axes.transData.transform([[0, 0], [1, 1]])
    np.testing.assert_allclose(np.abs(np.diff(inch, axis=0)), figure.dpi, rtol=1e-6)


def test_a_passage_marks_cues_and_pooled_words():
    table = made_up_passage()
    figure, _ = drawn_from("passage", table)
    axes = figure.axes[0]
    framed = {text.get_text(): text.get_bbox_patch() for text in axes.texts}
    assert framed["bank,"] is not None and framed["Alice"] is None
    assert framed["bank,"].get_linestyle() != framed["sitting"].get_linestyle()
    shades = [patch for patch in axes.patches if patch.get_zorder() == 0]
    assert len(shades) == table["pooled"].sum()
    plain, _ = drawn_from("passage", table.assign(cue="", pooled=False))
    assert legend_labels(plain) == ["brain alignment (above)", "next word (below)"]
    assert legend_labels(figure)[2:] == ["pooled by the readout", "sets the scene", "sets the goal"]


@pytest.mark.parametrize("words", [["one"], ["$5", "and", "$6_x"], ["word"] * 300])
def test_passages_of_any_length_fit(words):
    table = pd.DataFrame({"word": words, "brain": 0.1, "next_word": 0.2})
    figure, _ = drawn_from("passage", table.assign(cue="", pooled=True))
    check_nothing_is_cut_off(figure, words[0])


def test_a_passage_refuses_what_is_no_share_and_no_cue():
    table = made_up_passage()
    for brain in (2.0, -0.1):
        with pytest.raises(InputError, match="Shares run"):
            drawn_from("passage", table.assign(brain=brain))
    with pytest.raises(InputError, match="not all 0"):
        drawn_from("passage", table.assign(brain=0.0, next_word=0.0))
    with pytest.raises(InputError, match="cue is"):
        drawn_from("passage", table.assign(cue="mood"))
    with pytest.raises(InputError, match="'brain'"):
        drawn_from("passage", table.assign(brain=np.nan))


def test_a_passage_of_a_model_that_predicts_no_next_word():
    figure, alt = drawn_from("passage", made_up_passage().assign(next_word=np.nan))
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "brain alignment (above)" in labels and not any("next word" in one for one in labels)
    assert "next" not in alt and "for the brain" in alt


def test_the_finding_is_the_thickest_line_and_ten_per_cent_is_marked():
    figure, _ = drawn_from("overlap", made_up_overlap())
    for axes, most in zip(figure.axes, (98, 20), strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        assert max(lines, key=lambda name: lines[name].get_linewidth()) == "brain and next word"
        assert lines["brain and next word"].get_xdata().max() == most
        assert [line.get_xdata()[0] for line in axes.lines if line.get_gid() == "hint"] == [10]


def test_layers_stand_from_early_to_late():
    figure, alt = drawn_from("spread", made_up_spread().iloc[::-1])
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["early\nlayer 1", "middle\nlayer 2", "late\nlayer 4"]
    assert alt.index("Early") < alt.index("Middle") < alt.index("Late")


def test_the_newest_word_has_a_place_and_the_pooled_window_an_end():
    axes = drawn_from("positions", made_up_profiles())[0].axes[0]
    assert axes.get_xlim()[0] < 0
    assert [line.get_xdata()[0] for line in axes.lines if line.get_gid() == "pooled"] == [15.5]
    table = made_up_profiles()
    with pytest.raises(InputError, match="words back"):
        drawn_from("positions", table.assign(distance=-1))
    with pytest.raises(InputError, match="above it"):
        drawn_from("positions", table.assign(share=0.0))


def test_classes_are_filled_where_they_differ_from_the_rest():
    table = made_up_classes()
    axes = drawn_from("classes", table)[0].axes[0]
    marks = [line for line in axes.lines if line.get_marker() not in ("None", None)]
    filled = [line for line in marks if line.get_markerfacecolor() != "white"]
    assert sum(len(line.get_xdata()) for line in filled) == (table["p_adjusted"] < 0.05).sum()
    assert axes.get_yticklabels()[2].get_text() == "scene cue\n6.0 % of words"


def test_deletion_has_a_panel_for_every_measure():
    figure, _ = drawn_from("deletion", made_up_deletion())
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes] == [
        "Change of the",
        "Brain score",
        "Next-word loss",
    ]
    assert all(len(axes.lines) == 5 for axes in figure.axes)
    shown = figure.axes[-1].xaxis
    assert [shown.get_major_formatter()(tick, 0) for tick in shown.get_majorticklocs()] == (
        ["0.5", "1", "2", "5", "10", "20"]
    )
    with pytest.raises(InputError, match="fraction"):
        drawn_from("deletion", made_up_deletion().assign(fraction=20))


def test_cues_have_a_panel_each_and_a_line_at_chance():
    figure, _ = drawn_from("cues", made_up_areas())
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["Scene cues", "Goal cues", "Both"]
    for axes in figure.axes:
        assert list(axes.lines[0].get_xdata()) == [0.5, 0.5]
        colours = [line.get_color() for line in axes.lines[1:]]
        brain, following = LOOKS["brain"].colour, LOOKS["next word"].colour
        assert colours[:3] == [brain, brain, following] and brain not in colours[3:]


def test_alt_texts_have_the_numbers_of_the_table():
    figures = {name: drawn_from(name, MAKERS[name][0]())[1] for name in MAKERS}
    table = made_up_passage()
    top = 100 * table["brain"].max()
    assert f"“daisy-chain” ({top:.1f} %)" in figures["passage"]
    pooled = 100 * table.loc[table["pooled"], ["brain", "next_word"]].sum()
    assert (
        f"The 24 words that the readout pools carry {pooled['brain']:.1f} % for the brain and "
        f"{pooled['next_word']:.1f} % for the next word." in figures["passage"]
    )
    assert "At 10 %: brain and next word 0.15 (0.12 to 0.17);" in figures["overlap"]
    assert "random sets 0.02. At 98 %:" in figures["overlap"]
    assert "Late, layer 4: brain 0.370 (0.358 to 0.382);" in figures["spread"]
    assert "brain 6.601 at 0, 2.028 at 15, 0.835 at 99" in figures["positions"]
    assert "scene cue 6.0 %" in figures["classes"] and "Brain: content " in figures["classes"]
    assert "10.0 % important" in figures["classes"]
    assert "Brain score with 20 % of the words replaced: brain 0.041" in figures["deletion"]
    assert "The highest is 0.81 (0.76 to 0.86), brain, AG_TPJ left." in figures["cues"]
