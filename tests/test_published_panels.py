"""The paper's other figures: every printed test and regression comes out of the digitised points."""

import numpy as np
import pytest
from scipy import stats

from brainalign import published
from brainalign import published_panels as panels
from brainalign.comparison import P_FACTOR, R2_TOLERANCE, R_TOLERANCE
from brainalign.errors import InputError
from brainalign.scaling import LANGUAGE_MODEL

TESTS = published.tests().dropna(subset=["published_stat"])
# The paper's mean scores of parcels were not read off its figure.
TESTS = TESTS[TESTS["predictor"] != "parcel ISC"]
# Of four points, which half a pixel is enough to move to r = -.02.
COARSE = {"gpt rv_LmR untrained seed1": 0.0065}
SIDES = {"mean": "both", "L": "L", "R": "R", "LmR": "L-R"}
AREAS = {"wb": ("all", "mean"), "rv": ("reliable", "mean"), "p90": ("all", "90th percentile")}


def pick(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table.set_index("model")["score"]


def individual(name):
    _, listener, *rest = name.split("_")
    statistic = "90th percentile" if "p90" in rest else "mean"
    side = SIDES["LmR" if "LmR" in rest else "mean"]
    table = panels.individuals()
    return pick(table, listener=listener, statistic=statistic, hemisphere=side)


def training(name):
    family = {"gpt": "GPT-2", "Qwen": "Qwen1.5"}[name.split()[0]]
    kind = "untrained" if "untrained" in name else LANGUAGE_MODEL
    scores = pick(panels.trained_untrained(), family=family, kind=kind)
    return scores.rename(index=lambda model: model.removesuffix(":untrained-1"))


def dependent(name):
    """Score of every model that a printed test is about."""
    if name.startswith("roi_"):
        roi = name.removeprefix("roi_").removesuffix(" L-R")
        left, right = (pick(published.region_table(), roi=roi, hemisphere=s) for s in "LR")
        return left - right
    if name.startswith("ind_"):
        return individual(name)
    if name.startswith(("gpt", "Qwen")):
        return training(name)
    if name.startswith("relative best layer"):
        return panels.best_layers().set_index("model")["relative_depth_published"]
    if name == "rv_iscnorm_LmR":
        return pick(panels.isc_normalised(), hemisphere="L-R")
    area, side = name.split("_")
    voxels, statistic = AREAS[area]
    return pick(published.score_table(), voxels=voxels, statistic=statistic, hemisphere=SIDES[side])


@pytest.mark.parametrize("row", TESTS.itertuples(), ids=lambda row: f"{row.dependent} {row.n}")
def test_every_printed_correlation_comes_out(row):
    sizes = np.log(panels.sizes()["n_parameters"].astype(float))
    if row.predictor == "parcel ISC L-R":
        parcels = panels.parcels()
        x, y = parcels["isc_difference"], parcels["slope_difference"]
    else:
        abilities = panels.abilities()
        predictors = {
            "ln n_parameters": sizes,
            "hellaswag": abilities["completion"],
            "wikitext2 perplexity": abilities["perplexity"],
        }
        y = dependent(row.dependent)
        chosen = sizes.loc[[name for name in y.index if name in sizes]].nlargest(row.n).index
        y, x = y.loc[chosen], predictors[row.predictor].loc[chosen]
    assert len(x) == row.n
    r, p = stats.pearsonr(x, y)
    assert abs(r - row.published_stat) <= COARSE.get(row.dependent, R_TOLERANCE)
    assert 1 / P_FACTOR <= p / row.published_p <= P_FACTOR


@pytest.mark.parametrize(
    ("panel", "printed"),
    [
        ("wb_mean", 0.907),
        ("rv_mean", 0.920),
        ("wb_LmR", 0.720),
        ("rv_LmR", 0.809),
        ("p90_LmR", 0.861),
    ],
)
def test_every_printed_regression_comes_out(panel, printed):
    import statsmodels.api as statsmodels

    table, score = panels.sizes(), dependent(panel)
    design = np.column_stack(
        [np.log(table["n_parameters"]), table["n_layers"] + 1, table["n_hidden"]]
    )
    fit = statsmodels.OLS(score.loc[table.index].to_numpy(), statsmodels.add_constant(design)).fit()
    stated = published.ols().set_index(["dependent", "term", "statistic"])["published"][panel]
    assert stated[np.nan, "r_squared"] == printed
    assert abs(fit.rsquared - printed) <= R2_TOLERANCE


def test_layer_curves_agree_with_the_exact_best_layers():
    curves = panels.layer_curves()
    assert not curves.duplicated(["model", "voxels", "hemisphere", "layer"]).any()
    rows = curves[(curves["voxels"] == "reliable") & (curves["hemisphere"] == "both")]
    best = rows.loc[rows.groupby("model")["score"].idxmax()].set_index("model")["layer"]
    exact = panels.best_layers().set_index("model")
    assert best.to_dict() == exact["best_layer"].to_dict() and len(best) == 28
    assert (rows["relative_depth"] - rows["layer"] / rows["n_layers"]).abs().max() < 1e-5
    counts = rows.groupby("model").size()
    assert (counts - exact["n_layers"] == 1).all()


def test_layer_peaks_are_those_of_the_curves():
    curves, peaks = panels.layer_curves(), published.read("layer_peaks")
    assert len(peaks) == 28 * 4
    area = curves["voxels"].map({"all": "wb", "reliable": "rv"})
    side = curves["hemisphere"].map({"both": "mean", "L-R": "LmR"})
    highest = curves.groupby(["model", area + "_" + side])["score"].max()
    stated = peaks.set_index(["model", "panel"])["peak_value"]
    assert (highest - stated.rename_axis(highest.index.names)).abs().max() < 1e-4


def test_best_layers_are_where_the_paper_counts_them():
    rows = panels.best_layers()
    expected = rows["best_layer"] / (rows["n_layers"] + 1)
    assert (rows["relative_depth_published"] - expected).abs().max() < 1e-6


def test_training_curve_rises_and_turns_to_the_left():
    curve = panels.training_curve()
    steps = [0, 1000, 14_000, 36_000, 72_000, 143_000]
    for side in ("both", "L-R"):
        assert curve.loc[curve["hemisphere"] == side, "step"].tolist() == steps
    difference = curve[curve["hemisphere"] == "L-R"]["score"].to_numpy()
    assert difference[0] == pytest.approx(-0.02697, abs=1e-5)
    assert difference[-1] == pytest.approx(0.01050, abs=1e-5)
    assert (curve[curve["hemisphere"] == "both"]["score"].diff().dropna() > 0).all()


def test_chinese_scores_are_those_of_ten_models_and_their_controls():
    table = panels.chinese_table()
    models = table[table["kind"] == LANGUAGE_MODEL]
    assert models["model"].nunique() == 10 and set(models["voxels"]) == {"reliable"}
    for side, expected in [("both", 0.899), ("L-R", 0.928)]:
        rows = models[models["hemisphere"] == side]
        r = stats.pearsonr(np.log(rows["n_parameters"]), rows["score"]).statistic
        assert r == pytest.approx(expected, abs=6e-4)
    assert pick(table, hemisphere="L-R")["random-embeddings-300"] == pytest.approx(-0.0177466)


def test_five_individuals_have_every_statistic_and_side():
    table = panels.individuals()
    assert list(table["listener"].unique()) == ["EN057", "EN058", "EN059", "EN061", "EN062"]
    assert (table.groupby(["listener", "statistic", "hemisphere"]).size() == 9).all()
    assert len(table) == 5 * 2 * 4 * 9


def test_normalised_scores_cross_zero_where_noted():
    rows = panels.isc_normalised("value")
    rows = rows[rows["hemisphere"] == "L-R"]
    line = stats.linregress(np.log(rows["n_parameters"]), rows["score"])
    noted = published.single_predictor_fits().set_index("dependent").loc["rv_iscnorm_LmR"]
    assert np.exp(-line.intercept / line.slope) == pytest.approx(
        noted["N_at_zero_crossing"], rel=0.01
    )


def test_parcels():
    parcels = panels.parcels()
    assert len(parcels) == 48 and parcels["certain"].sum() > 20
    best = parcels.set_index("parcel")["isc_difference"].idxmax()
    assert best == "Parietal Opercular Cortex"


def test_abilities_are_of_every_model():
    table = panels.abilities()
    assert list(table.columns) == ["perplexity", "completion"] and len(table) == 28
    assert table["completion"].between(0.25, 1).all() and (table["perplexity"] > 1).all()


def test_panels_are_found_by_their_whole_name():
    rows = published.panel_rows(r"rv_(?P<side>L|R)", names=["gpt2"])
    assert rows["side"].tolist() == ["L", "R"]
    with pytest.raises(InputError, match="'gpt2-tiny-chinese'"):
        published.panel_rows(r"rv_(?P<side>L|R)", names=["gpt2-tiny-chinese"])
