"""What a layer chosen on the test runs adds to a score, and to left minus right.

The paper takes, for every voxel, the layer with the highest *test* score. The maximum of several
noisy numbers lies above what each of them is expected to be, also where nothing is predicted. Here
that rule is held against the choice on inner runs, which never looks at the run that is scored:
for language models, and for features whose true score is 0.
"""

import json
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published
from brainalign.errors import InputError
from brainalign.layers import LayerScores, best_layers, layer_table, profile_rows
from brainalign.scaling import LANGUAGE_MODEL, log_parameters, matching
from brainalign.scores import (
    PUBLISHED,
    VoxelScores,
    chosen_models,
    reliable_only,
    study_settings,
)
from brainalign.statistics import MINIMUM_POINTS, fit_line, pearson
from brainalign.study import HemisphereRule, Study, hemispheres

SCORE, DIFFERENCE = "score", "left − right"
MODELS, VECTORS, SHIFTED = "language models", "random vectors", "shifted in time"
PUBLISHED_RULE, NESTED, BEST = "per voxel, test runs", "per voxel, inner runs", "best single layer"
VECTOR = "random-vectors-16"


def vector_names(study: str, models: Sequence[str] | None = None) -> list[str]:
    """Random vectors that stand for the layers of a model that knows nothing.

    Parameters
    ----------
    study
        The published scores have none.
    models
        Language models; None takes the study's own. There are as many vectors as the deepest has
        hidden states, and at least 13, as the paper's smallest models have.
    """
    from brainalign.models import describe

    if study == PUBLISHED:
        return []
    # Mamba has two entries more than blocks.
    depths = [describe(name).n_layers + 2 for name in chosen_models(study, models)]
    return [f"{VECTOR}:seed-{seed}" for seed in range(max(13, *depths))]


def study_choices(
    found: LayerScores,
    rng: np.random.Generator,
    rule: HemisphereRule = "anatomical",
    n_draws: int = 5,
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Both ways to choose layers, published or computed.

    Parameters
    ----------
    found
        From `layers.study_layers`; computed scores with the controls of `vector_names`.
    rng, rule, n_draws
        As for `by_number_of_layers`.

    Returns
    -------
    tuple
        `published_choice_table` and None, or `choice_table` and `by_number_of_layers` for the
        largest model, the same shifted in time, and random vectors.
    """
    if found.found is None:
        return published_choice_table(found.table), None
    models, controls = (reliable_only(one) for one in (found.found, found.controls))
    encoded = {str(one["model"].item()): one for one in [*models.encoded, *controls.encoded]}
    vectors = stacked(one for name, one in encoded.items() if name.startswith(f"{VECTOR}:"))
    largest = str(profile_rows(found.table, "reliable", "both")["model"].iloc[-1])
    features = {
        largest: encoded[largest],
        SHIFTED: shifted_scores(models.study, largest),
        VECTORS: vectors,
    }
    curves = by_number_of_layers(features, models, rng, n_draws, rule)
    return choice_table(models, vectors, rule), curves


def stacked(scores: Iterable[xr.Dataset]) -> xr.Dataset:
    """First layers of several encoded features as the layers of one, dims (fold, layer, voxel)."""
    parts = [one[["r_fold", "r_inner"]].isel(layer=0) for one in scores]
    return xr.concat(parts, "layer", coords="minimal", compat="override", combine_attrs="drop")


def shifted_scores(study: Study, name: str) -> xr.Dataset:
    """Scores of a language model whose activations are moved by a third of every run.

    The layers keep their number, their width and their likeness, and the text that they read is
    another one than the listeners hear at that moment: the true scores are 0.

    Parameters
    ----------
    study
        Words and responses.
    name
        Language model.

    Returns
    -------
    xarray.Dataset
        `r_fold`, `r_inner`, dims (fold, layer, voxel).
    """
    # Imported here, so that a page of published scores does not depend on the code of encoding.
    from brainalign.activations import extract
    from brainalign.fitting import encoding_settings, layer_fitter

    settings = encoding_settings(**study_settings(study.name))
    arrays = extract(study, name, settings.activations)
    fit = layer_fitter(study, settings)
    layers = [
        fit(
            [np.roll(array[:, layer], len(array) // 3, axis=0) for array in map(np.asarray, arrays)]
        )
        for layer in range(arrays[0].shape[1])
    ]
    return xr.concat(layers, "layer", data_vars="all", combine_attrs="drop")


def rule_scores(
    scores: xr.Dataset, voxels: pd.DataFrame, rule: HemisphereRule = "anatomical"
) -> pd.DataFrame:
    """Mean score and left minus right under both ways to choose a layer for every voxel.

    Parameters
    ----------
    scores
        `r_fold` and `r_inner`, dims (fold, layer, voxel).
    voxels
        Voxel table of the same voxels.
    rule
        For the midline.

    Returns
    -------
    pandas.DataFrame
        Columns rule, measure, value.
    """
    from brainalign.layer_choice import choose_layer

    side, rows = hemispheres(voxels, rule), []
    for layer_rule, name in [("published", PUBLISHED_RULE), ("nested", NESTED)]:
        r = choose_layer(scores, layer_rule).to_numpy().astype(float)
        difference = r[side == "L"].mean() - r[side == "R"].mean()
        rows += [(name, SCORE, r.mean()), (name, DIFFERENCE, difference)]
    return pd.DataFrame(rows, columns=["rule", "measure", "value"])


def choice_table(
    found: VoxelScores, vectors: xr.Dataset, rule: HemisphereRule = "anatomical"
) -> pd.DataFrame:
    """Scores of every language model by every rule, and of random vectors with as many layers.

    Parameters
    ----------
    found
        Scores of every voxel, layer and fold.
    vectors
        From `stacked`: at least as many layers as any of the models, same voxels.
    rule
        For the midline.

    Returns
    -------
    pandas.DataFrame
        Columns what (`MODELS`, `VECTORS`), model, family, n_parameters, n_layers (to choose from),
        measure, rule, value; reliable voxels.

    Raises
    ------
    InputError
        With fewer random vectors than a model has layers.
    """
    voxels, keep = found.study.voxels[found.reliable], np.flatnonzero(found.reliable)
    null, parts = vectors.isel(voxel=keep), []
    for one in found.encoded:
        info = json.loads(one.attrs["settings"])["model"]
        if info["kind"] != LANGUAGE_MODEL:
            continue
        n = one.sizes["layer"]
        if n > null.sizes["layer"]:
            raise InputError(
                f"Model {info['name']!r} has {n} layers and there are {null.sizes['layer']} random "
                "vectors; as many are expected."
            )
        about = {"model": info["name"], "family": info["family"], "n_layers": n}
        about["n_parameters"] = info["n_parameters"]
        real = rule_scores(one[["r_fold", "r_inner"]].isel(voxel=keep), voxels, rule)
        blank = rule_scores(null.isel(layer=slice(n)), voxels, rule)
        parts += [real.assign(what=MODELS, **about), blank.assign(what=VECTORS, **about)]
    best = _best_rows(layer_table(found, rule)).assign(what=MODELS)
    return pd.concat([*parts, best], ignore_index=True)


def _best_rows(table: pd.DataFrame) -> pd.DataFrame:
    """The best single layer of every model, in the columns of `choice_table`."""
    best = best_layers(table)
    best["n_layers"] += 1
    columns = ["model", "family", "n_layers", "n_parameters"]
    parts = [
        best[columns].assign(rule=BEST, measure=measure, value=best[name])
        for measure, name in [(SCORE, "score"), (DIFFERENCE, "difference")]
    ]
    return pd.concat(parts, ignore_index=True)


def published_choice_table(curves: pd.DataFrame) -> pd.DataFrame:
    """The paper's scores, which are per voxel, beside the best single layer of its curves.

    Parameters
    ----------
    curves
        From `published_panels.layer_curves`.

    Returns
    -------
    pandas.DataFrame
        As from `choice_table`; of the rules, the choice on inner runs is not published.
    """
    best = _best_rows(curves)
    models = best.drop_duplicates("model")[["model", "family", "n_layers", "n_parameters"]]
    scores = published.score_table(names=list(models["model"]))
    wanted = {"voxels": "reliable", "statistic": "mean", "kind": LANGUAGE_MODEL}
    parts = [best]
    for measure, hemisphere in [(SCORE, "both"), (DIFFERENCE, "L-R")]:
        rows = matching(scores, **wanted, hemisphere=hemisphere).set_index("model")["score"]
        value = rows.loc[models["model"]].to_numpy()
        parts.append(models.assign(rule=PUBLISHED_RULE, measure=measure, value=value))
    return pd.concat(parts, ignore_index=True).assign(what=MODELS)


def reference_rule(choices: pd.DataFrame) -> str:
    """What the choice on test runs is held against: inner runs, or the best layer if unknown."""
    return NESTED if NESTED in set(choices["rule"]) else BEST


def invented(choices: pd.DataFrame) -> pd.DataFrame:
    """How far the choice on test runs lies above the other one, for every model.

    Parameters
    ----------
    choices
        From `choice_table` or `published_choice_table`.

    Returns
    -------
    pandas.DataFrame
        Columns what, model, family, n_parameters, n_layers, measure, invented.
    """
    keys = ["what", "model", "family", "n_parameters", "n_layers", "measure"]
    wide = choices.pivot(index=keys, columns="rule", values="value").reset_index()
    wide["invented"] = wide[PUBLISHED_RULE] - wide[reference_rule(choices)]
    wide = wide[[*keys, "invented"]].rename_axis(columns=None)
    return wide.sort_values(["what", "measure", "n_parameters", "model"], ignore_index=True)


def by_number_of_layers(
    features: dict[str, xr.Dataset],
    found: VoxelScores,
    rng: np.random.Generator,
    n_draws: int = 5,
    rule: HemisphereRule = "anatomical",
) -> pd.DataFrame:
    """What the choice on test runs invents with 1, 2, ... layers to choose from.

    Parameters
    ----------
    features
        What -> `r_fold` and `r_inner`, dims (fold, layer, voxel).
    found
        Which voxels are reliable, and where they are.
    rng
        Seeded generator.
    n_draws
        Sets of layers drawn for every number; the result is their mean.
    rule
        For the midline.

    Returns
    -------
    pandas.DataFrame
        Columns what, n_layers, measure, invented.
    """
    voxels, keep = found.study.voxels[found.reliable], np.flatnonzero(found.reliable)
    parts = []
    for what, scores in features.items():
        scores = scores[["r_fold", "r_inner"]].isel(voxel=keep).load()
        for n in range(1, scores.sizes["layer"] + 1):
            draws = n_draws if n < scores.sizes["layer"] else 1
            for _ in range(draws):
                layers = np.sort(rng.permutation(scores.sizes["layer"])[:n])
                one = rule_scores(scores.isel(layer=layers), voxels, rule)
                parts.append(one.assign(what=what, n_layers=n))
    table = pd.concat(parts).groupby(["what", "n_layers", "measure", "rule"], sort=False)["value"]
    wide = table.mean().unstack("rule")
    return (wide[PUBLISHED_RULE] - wide[NESTED]).rename("invented").reset_index()


def slope_table(choices: pd.DataFrame) -> pd.DataFrame:
    """Mean over models, and slope on log10 parameters, by every rule.

    Parameters
    ----------
    choices
        From `choice_table` or `published_choice_table`.

    Returns
    -------
    pandas.DataFrame
        Columns what, layer chosen, measure, mean, slope per decade, r with log parameters; the last
        two NaN with fewer than three models.
    """
    rows = []
    for (what, rule, measure), part in choices.groupby(["what", "rule", "measure"], sort=False):
        few = len(part) < MINIMUM_POINTS
        fit = None if few else fit_line(log_parameters(part), part["value"].to_numpy())
        rows.append(
            {
                "what": what,
                "layer chosen": rule,
                "measure": measure,
                "mean over models": part["value"].mean(),
                "slope per decade": np.nan if few else fit.slope,
                "r with log parameters": np.nan if few else fit.r,
            }
        )
    order = [MODELS, VECTORS]
    table = pd.DataFrame(rows).sort_values("measure", ascending=False, kind="stable")
    return table.sort_values("what", key=lambda names: names.map(order.index), kind="stable")


def numbers(excess: pd.DataFrame) -> dict[str, float]:
    """Numbers of the page: `invented_score`, `invented_difference`, and those of random vectors.

    Parameters
    ----------
    excess
        From `invented`.

    Returns
    -------
    dict
        Mean over models, lowest, highest and r with the number of layers.
    """
    found = {}
    for what, prefix in [(MODELS, "invented"), (VECTORS, "invented_null")]:
        for measure, name in [(SCORE, "score"), (DIFFERENCE, "difference")]:
            rows = matching(excess, what=what, measure=measure)
            if rows.empty:
                continue
            values, n_layers = rows["invented"].to_numpy(), rows["n_layers"].to_numpy(float)
            found |= {
                f"{prefix}_{name}": values.mean(),
                f"{prefix}_{name}_lowest": values.min(),
                f"{prefix}_{name}_highest": values.max(),
                f"{prefix}_{name}_r_layers": float(pearson(n_layers, values)),
            }
    return found
