"""Regressions over models: the paper's printed tables, and other ways to the same numbers."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formula
from scipy.optimize import minimize_scalar

from brainalign import comparison, inference, published, regression
from brainalign.errors import InputError
from brainalign.lateralization import measure_rows

TERMS = {
    "constant": "const",
    "ln parameters": "x1_ln_n_parameters",
    "layers": "x2_n_layers_plus_1",
    "width": "x3_n_hidden",
}


@pytest.fixture(scope="module")
def scores():
    return published.score_table()


@pytest.mark.parametrize("name", regression.PRINTED_OLS)
def test_printed_tables_are_reproduced(scores, name):
    measure, hemisphere = regression.PRINTED_OLS[name]
    fit = regression.ols_controls(measure_rows(scores, measure, hemisphere))
    printed = published.ols()
    printed = printed[printed["dependent"] == name]
    whole = printed[printed["term"].isna()].set_index("statistic")["published"]
    assert fit["r_squared"].iloc[0] == pytest.approx(whole["r_squared"], abs=0.002)
    assert fit["f"].iloc[0] == pytest.approx(whole["f_statistic"], rel=0.01)
    assert fit["log_likelihood"].iloc[0] == pytest.approx(whole["log_likelihood"], abs=0.1)
    assert fit["n"].iloc[0] == 28
    for row in fit.to_dict("records"):
        own = printed[printed["term"] == TERMS[row["term"]]].set_index("statistic")["published"]
        assert row["p"] == pytest.approx(own["p"], rel=0.4, abs=0.02)
        assert row["t"] == pytest.approx(own["t"], abs=0.05)
        assert row["ci_low"] < row["coefficient"] < row["ci_high"]


def test_all_rows_of_the_comparison_agree(scores):
    rows = comparison.compare(regression.printed_ols(scores), published_points=True)
    assert len(rows) == 10 and set(rows["agrees"]) == {"yes"}


def test_agrees_with_normal_equations():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "model": list("abcdefgh"),
            "n_parameters": 10 ** rng.uniform(4, 9, 8),
            "n_layers": rng.integers(2, 40, 8),
            "n_hidden": rng.integers(8, 4000, 8),
            "score": rng.standard_normal(8),
        }
    )
    design = np.column_stack(
        [np.ones(8), np.log(rows["n_parameters"]), rows["n_layers"] + 1, rows["n_hidden"]]
    )
    expected = np.linalg.lstsq(design, rows["score"], rcond=None)[0]
    fit = regression.ols_controls(rows)
    np.testing.assert_allclose(fit["coefficient"], expected, rtol=1e-6)


def test_sizes_come_from_the_tables_and_from_the_zoo():
    from brainalign.models import describe, zoo_names

    names = ["gpt2-xl", zoo_names()[0]]
    rows = regression.with_sizes(pd.DataFrame({"model": names}))
    own = describe(names[1])
    assert rows["n_layers"].tolist() == [48, own.n_layers]
    assert rows["n_hidden"].tolist() == [1600, own.n_hidden]
    given = rows.assign(n_layers=1)
    assert regression.with_sizes(given)["n_layers"].tolist() == [1, 1]


def test_models_that_differ_in_nothing_but_size_are_refused():
    rows = pd.DataFrame({"model": list("abcdef"), "n_parameters": 10.0 ** np.arange(6)})
    rows = rows.assign(n_layers=4, n_hidden=16, score=0.1)
    with pytest.raises(InputError, match="at least 5 models.*6 models were given"):
        regression.ols_controls(rows)


def family_rows(between: float, seed: int = 0) -> pd.DataFrame:
    """Six families of four models with an offset each; slope .02 per decade."""
    rng = np.random.default_rng(seed)
    family = np.repeat(list("abcdef"), 4)
    size = rng.uniform(-1, 1, 24)
    offset = dict(zip("abcdef", between * rng.standard_normal(6), strict=True))
    noise = 0.005 * rng.standard_normal(24)
    difference = 0.02 * size + [offset[name] for name in family] + noise
    return pd.DataFrame({"family": family, "size": size, "difference": difference})


def restricted_likelihood(rows: pd.DataFrame, ratio: float) -> tuple[float, float]:
    """Minus log REML likelihood of a random intercept, and the slope, by linear algebra."""
    X = np.column_stack([np.ones(len(rows)), rows["size"]])
    y, Z = rows["difference"].to_numpy(), pd.get_dummies(rows["family"]).to_numpy(float)
    V = np.eye(len(rows)) + ratio * Z @ Z.T
    inner = X.T @ np.linalg.solve(V, X)
    beta = np.linalg.solve(inner, X.T @ np.linalg.solve(V, y))
    rest = y - X @ beta
    freedom = len(y) - 2
    scale = rest @ np.linalg.solve(V, rest) / freedom
    parts = freedom * np.log(scale) + np.linalg.slogdet(V)[1] + np.linalg.slogdet(inner)[1]
    return parts / 2, beta[1]


def test_mixed_model_agrees_with_restricted_likelihood_by_hand():
    rows = family_rows(between=0.02)
    found = regression.family_interaction(rows)
    best = minimize_scalar(
        lambda log_ratio: restricted_likelihood(rows, np.exp(log_ratio))[0],
        bounds=(-6, 8),
        method="bounded",
    )
    slope = restricted_likelihood(rows, np.exp(best.x))[1]
    assert found["how"] == "mixed model"
    assert found["coefficient"] == pytest.approx(slope, rel=1e-3)
    assert found["low"] < 0.02 < found["high"]


def test_mixed_model_is_surer_than_least_squares_where_families_differ():
    rows = family_rows(between=0.05)
    plain = formula.ols("difference ~ size", rows).fit().conf_int().loc["size"]
    found = regression.family_interaction(rows)
    assert found["high"] - found["low"] < 0.5 * (plain[1] - plain[0])


def test_families_that_do_not_differ_get_least_squares_and_a_sentence():
    rows = family_rows(between=0.0, seed=1)
    found = regression.family_interaction(rows)
    if found["how"] != "mixed model":
        assert found["how"].startswith("least squares: ")
    plain = formula.ols("difference ~ size", rows).fit()
    assert found["coefficient"] == pytest.approx(plain.params["size"], abs=0.001)


@pytest.mark.parametrize("families", [["a"] * 24, list("ab") * 12, [f"f{k}" for k in range(24)]])
def test_too_few_or_too_many_families_say_so(families):
    found = regression.family_interaction(family_rows(0.0).assign(family=families))
    assert "of 24 models" in found["how"]


def test_published_regions_run_without_a_warning(recwarn):
    rows = published.region_table()
    folds = inference.table_as_folds(rows[rows["kind"] == "language model"])
    found = regression.family_interaction(regression.differences(folds, "aSTS"))
    assert found["how"] == "mixed model"
    assert found["coefficient"] / np.log(10) == pytest.approx(0.0063, abs=0.0004)
    assert not recwarn.list
