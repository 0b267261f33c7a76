"""One analysis in several languages: published points, and bad input."""

import numpy as np
import pytest
from scipy import stats

from brainalign import comparison, languages, plots_languages, published_panels
from brainalign.companion.exercises import read_exercises, verdict
from brainalign.companion.notebooks import notebook_path, read_notebook
from brainalign.errors import InputError


@pytest.fixture(scope="module")
def published_fits():
    tables = languages.language_scores("published", ["en", "fr", "cn"])
    return tables, languages.language_fits(tables, 200, np.random.default_rng(0))


def test_published_points_give_the_printed_and_the_noted_correlations(published_fits):
    tables, fits = published_fits
    assert list(tables) == ["en", "cn"]  # no French score was published
    numbers = languages.numbers(fits)
    assert numbers["n_models_en"] == 28 and numbers["n_models_cn"] == 10
    assert numbers["r_log_parameters_en"] == pytest.approx(0.95, abs=0.006)
    assert numbers["r_log_parameters_difference_en"] == pytest.approx(0.89, abs=0.006)
    assert numbers["r_log_parameters_cn"] == pytest.approx(0.899, abs=0.002)
    assert numbers["r_log_parameters_difference_cn"] == pytest.approx(0.928, abs=0.002)


def test_lines_are_those_of_scipy(published_fits):
    _, fits = published_fits
    rows = published_panels.chinese_table()
    rows = rows[(rows["kind"] == "language model") & (rows["hemisphere"] == "L-R")]
    wanted = stats.linregress(np.log10(rows["n_parameters"]), rows["score"])
    found = fits["cn"]["L-R"]
    assert (found.slope, found.r, found.p) == pytest.approx(
        (wanted.slope, wanted.rvalue, wanted.pvalue)
    )


def test_wrong_parts_of_negative_slopes_are_refused(published_fits):
    tables, fits = published_fits
    names = {"tables": tables, "fits": fits, "np": np}
    exercise = read_exercises(read_notebook(notebook_path("languages")).cells)[0]
    exec(exercise.solution, names)
    assert names["negative"] == pytest.approx(0.0174, abs=1e-4)
    for wrong in (0, 0.06, -0.03, 1.7, 357, 1 - names["negative"], 1.5 * names["negative"]):
        said = verdict(exercise.test, exercise.answers, names | {"negative": wrong})
        assert said and "0.017" not in said, wrong
    assert not verdict(exercise.test, exercise.answers, names)


def test_what_was_not_printed_is_said_so(published_fits):
    _, fits = published_fits
    verdicts = comparison.compare(languages.paper_rows(fits), True).set_index("what")["agrees"]
    assert set(verdicts.filter(like="English")) == {"yes"}
    assert set(verdicts.filter(like="French")) == {"not published"}
    assert set(verdicts.filter(like="Chinese")) == {"recomputed only"}


def test_smallest_models_are_left_out(published_fits):
    tables, _ = published_fits
    fewer = languages.without_smallest(tables)
    kept = set(fewer["cn"]["model"])
    assert not kept & {"gpt2-tiny-chinese", "gpt2-base-chinese"}
    assert list(languages.without_smallest(tables, 8)) == ["en"]


def test_figures_have_their_numbers_in_words(published_fits):
    tables, fits = published_fits
    assert len(plots_languages.languages_figure(tables, fits).axes) == 2
    assert "Chinese, 10 models" in plots_languages.languages_alt(tables, fits)
    source = tables["en"]["source"].iloc[0]
    text = plots_languages.slopes_alt(source, fits, {"cn": fits["cn"]})
    assert len(plots_languages.slopes_figure(source, fits, {"cn": fits["cn"]}).axes) == 2
    assert text.count("without the two smallest") == 2


def test_bad_input_is_one_sentence(published_fits):
    tables, _ = published_fits
    with pytest.raises(InputError, match="Study 'alice' has one language"):
        languages.language_scores("alice", ["en"])
    with pytest.raises(InputError, match="No brain score was published of French"):
        languages.language_scores("published", ["fr"])
    few = {"cn": tables["cn"][tables["cn"]["model"].isin(["Qwen2-7B", "Qwen2-1.5B"])]}
    with pytest.raises(InputError, match="Chinese has 2 models; at least 3"):
        languages.language_fits(few, 100, np.random.default_rng(0))
