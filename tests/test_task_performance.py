"""Size against ability: printed correlations, known partial correlations, figures."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from synthetic_scores import simulated_scores

from brainalign import comparison, published, task_performance
from brainalign.errors import InputError
from brainalign.plots_task_performance import ability_alt, ability_figure
from brainalign.study import SIMULATED


def made_up_abilities(models):
    """Both abilities follow the order of the models."""
    order = np.arange(len(models))
    values = {"perplexity": 300.0 / (1 + order), "completion": 0.25 + 0.05 * order}
    return pd.DataFrame(values, index=pd.Index(models, name="model"))


@pytest.fixture(scope="module")
def printed():
    rows = task_performance.ability_rows(
        published.score_table(), task_performance.abilities("published"), "reliable"
    )
    return {"all models": rows, "largest": task_performance.largest(rows)}


@pytest.fixture(scope="module")
def simulated():
    table = simulated_scores().table
    models = sorted(set(table.loc[table["kind"] == "language model", "model"]))
    rows = task_performance.ability_rows(table, made_up_abilities(models), "reliable")
    return {"all models": rows, "largest": task_performance.largest(rows, 5)}


@pytest.mark.parametrize("voxels", ["reliable", "all"])
def test_everything_printed_comes_out(voxels):
    rows = task_performance.ability_rows(
        published.score_table(), task_performance.abilities("published"), voxels
    )
    groups = {"all models": rows, "largest": task_performance.largest(rows)}
    table = comparison.compare(task_performance.comparison_rows(groups, voxels), True)
    assert table["agrees"].tolist() == ["yes"] * 12


def test_the_largest_third_are_the_models_above_three_billion(printed):
    sizes = printed["all models"]["n_parameters"]
    assert set(printed["largest"]["n_parameters"]) == set(sizes[sizes > 3e9])
    assert len(printed["largest"]) == 10


def test_partial_correlations_are_those_of_the_recursion_formula(printed):
    rows = printed["all models"]
    y, x, z = rows["score"], rows["size"], rows["completion"]
    r = np.corrcoef([y, x, z])
    known = (r[0, 1] - r[0, 2] * r[1, 2]) / np.sqrt((1 - r[0, 2] ** 2) * (1 - r[1, 2] ** 2))
    table = task_performance.partial_correlations(printed).set_index(
        ["models", "predictor", "given"]
    )
    found = table.loc[("all models", "log parameters", "completion task")]
    assert found["partial r"] == pytest.approx(known, abs=1e-10)
    low, high = (float(edge.replace("−", "-")) for edge in found["95 % interval"].split(" to "))
    z, half = np.arctanh(known), 1.959964 / np.sqrt(28 - 4)
    assert (low, high) == pytest.approx((np.tanh(z - half), np.tanh(z + half)), abs=0.006)


def test_numbers_are_those_of_the_tables(printed):
    numbers = task_performance.numbers(printed)
    assert numbers["n_models"] == 28 and numbers["n_largest"] == 10
    assert numbers["r_completion_largest"] == pytest.approx(0.828, abs=1e-3)
    assert numbers["partial_r_log_parameters_given_completion_largest"] == pytest.approx(
        -0.124, abs=1e-3
    )


def test_abilities_of_the_testbed_are_those_of_its_models(monkeypatch):
    from brainalign.studies.testbed import zoo

    wanted = made_up_abilities(["a", "b"])
    monkeypatch.setattr(zoo, "abilities", lambda: wanted, raising=False)
    assert task_performance.abilities("testbed") is wanted


@pytest.mark.parametrize("groups", ["printed", "simulated"])
def test_figures_and_their_alt_text(groups, request):
    groups = request.getfixturevalue(groups)
    for rows in groups.values():
        fits = task_performance.fits(rows, 100, np.random.default_rng(0))
        figure, alt = (draw(rows, fits, "reliable") for draw in (ability_figure, ability_alt))
        figure.draw_without_rendering()
        boxes = [item.get_tightbbox() for item in (*figure.axes, *figure.legends)]
        boxes += [text.get_window_extent() for text in figure.texts]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
        stamps = [text.get_text() for text in figure.texts if text.get_gid() == "stamp"]
        assert stamps == [rows["source"].iloc[0]]
        simulated = stamps == [SIMULATED]
        assert alt.startswith("Simulated listeners" if simulated else "Published values")
        for axes, fit in zip(figure.axes, fits.values(), strict=True):
            assert f"{abs(fit.r):.2f}" in axes.get_title(loc="left")
            assert f"{abs(fit.r):.2f}" in alt
        better = figure.axes[1].get_xlim()
        assert better[0] > better[1]  # towards the right perplexity falls
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
        assert 380 * min(sizes) / (72 * figure.get_size_inches()[0]) >= 8


def test_perplexities_that_hardly_differ_still_have_labels(simulated):
    rows = simulated["all models"]
    rows = rows.assign(perplexity=np.linspace(13.4, 12.5, len(rows)))
    fits = task_performance.fits(rows, 100, np.random.default_rng(0))
    axes = ability_figure(rows, fits, "reliable").axes[1]
    axes.figure.draw_without_rendering()
    low, high = sorted(axes.get_xlim())
    labels = [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert len([t for t in labels if t.get_text()]) >= 2


def test_models_without_abilities_and_too_few_models_are_refused(simulated):
    rows = simulated["all models"]
    table = simulated_scores().table
    with pytest.raises(InputError, match="'nano-gpt2-8x2' were not measured"):
        task_performance.ability_rows(table, made_up_abilities(["another"]), "reliable")
    few = table[table["model"].isin(["nano-gpt2-8x2", "nano-gpt2-12x2", "nano-gpt2-16x2"])]
    known = made_up_abilities(list(few["model"].unique()))
    with pytest.raises(InputError, match="at least 4 language models; 3"):
        task_performance.ability_rows(few, known, "reliable")
    with pytest.raises(InputError, match="n_largest is 10; at most the 9"):
        task_performance.largest(rows, 10)
