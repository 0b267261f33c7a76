"""Scores of one language model at checkpoints of its training, and what it knows at each."""

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published_panels
from brainalign.comparison import Printed
from brainalign.scaling import matching
from brainalign.scores import PUBLISHED, VoxelScores, voxel_scores
from brainalign.study import HemisphereRule, hemispheres

if TYPE_CHECKING:
    from brainalign.layer_choice import LayerRule

CHECKPOINT_MODEL = "nano-pythia-64x4"
WHAT = {"both": "score", "L": "score, left", "R": "score, right", "L-R": "left − right"}


def checkpoint_names(model: str) -> dict[int, str]:
    """Names of a model's checkpoints by training step, first step first.

    Raises
    ------
    InputError
        For a model without checkpoints.
    """
    from brainalign.models import checkpoint_steps

    return {step: f"{model}:step-{step}" for step in checkpoint_steps(model)}


def checkpoint_step(name: str) -> int:
    """Training step that the name of a checkpoint ends with."""
    return int(re.search(r":step-(\d+)$", name)[1])


def checkpoint_curve(
    study: str,
    model: str = CHECKPOINT_MODEL,
    layer_rule: "LayerRule" = "nested",
    rule: HemisphereRule = "anatomical",
    **options,
) -> pd.DataFrame:
    """Scores of one model at every checkpoint of its training, reliable voxels.

    Parameters
    ----------
    study
        "published", which has the paper's Pythia-6.9b, or a study of `brainalign.studies`.
    model
        A model with checkpoints.
    layer_rule, rule
        Choice of layers, and what to do with the midline; the paper's own where published.
    **options
        Of the study.

    Returns
    -------
    pandas.DataFrame
        Columns model, step, hemisphere ("both", "L", "R", "L-R"; published only the first and the
        last), score, low and high (95 % interval over runs; published: of the reading), source,
        layer_rule, hemisphere_rule.

    Raises
    ------
    InputError
        For a model without checkpoints.
    """
    if study == PUBLISHED:
        table = published_panels.training_curve()
        edges = {"low": table["score"] - table["unc95"], "high": table["score"] + table["unc95"]}
        table = table.assign(**edges)
    else:
        names = checkpoint_names(model)
        found = voxel_scores(study, list(names.values()), [], 0, narrow=True, **options)
        how = {"source": found.study.source, "layer_rule": layer_rule, "hemisphere_rule": rule}
        table = _curve_with_intervals(found, layer_rule, rule).assign(model=model, **how)
    columns = ["model", "step", "hemisphere", "score", "low", "high"]
    columns += ["source", "layer_rule", "hemisphere_rule"]
    return table[columns].sort_values(["hemisphere", "step"], ignore_index=True)


def _curve_with_intervals(
    found: VoxelScores, layer_rule: "LayerRule", rule: HemisphereRule
) -> pd.DataFrame:
    from brainalign.layer_choice import fold_scores

    folds = fold_scores(found.encoded, layer_rule)
    means = _side_means(folds, found.reliable, rule)
    low, high = interval_over_runs(means)
    parts = {"score": means.mean("fold"), "low": low, "high": high}
    table = xr.Dataset(parts).to_dataframe().reset_index()
    table["step"] = table["model"].map(checkpoint_step)
    return table[["step", "hemisphere", *parts]]


def _side_means(folds: xr.DataArray, reliable: np.ndarray, rule: HemisphereRule) -> xr.DataArray:
    """Mean over reliable voxels, dims (hemisphere, model, fold)."""
    side = hemispheres(pd.DataFrame({"hemisphere": folds["hemisphere"].values}), rule)
    values = folds.drop_vars(set(folds.coords) - {"model", "fold"}).astype(float)
    masks = {"both": reliable, "L": reliable & (side == "L"), "R": reliable & (side == "R")}
    means = {
        name: values.isel(voxel=np.flatnonzero(keep)).mean("voxel") for name, keep in masks.items()
    }
    means["L-R"] = means["L"] - means["R"]
    return xr.concat(means.values(), pd.Index(list(means), name="hemisphere"))


def interval_over_runs(
    values: xr.DataArray, level: float = 0.95
) -> tuple[xr.DataArray, xr.DataArray]:
    """Edges of the t interval of a mean over runs.

    Two folds share all training runs but two, so that the variance of their mean is taken as
    s² (1/n + 1/(n − 1)) instead of s²/n (Nadeau & Bengio 2003).

    Parameters
    ----------
    values
        With dim (fold).
    level
        Of the interval.

    Returns
    -------
    tuple of xarray.DataArray
        Lower and upper edge.
    """
    from scipy import stats

    n, mean = values.sizes["fold"], values.mean("fold")
    error = values.std("fold", ddof=1) * np.sqrt(1 / n + 1 / (n - 1))
    half = stats.t.ppf((1 + level) / 2, n - 1) * error
    return mean - half, mean + half


def half_way(steps: np.ndarray, values: np.ndarray) -> float:
    """Step at which a curve first reaches half of its way from the first to the last value.

    Parameters
    ----------
    steps, values
        Shape (checkpoint,), by step; values in between are interpolated.

    Returns
    -------
    float
        NaN where the last value is not above the first.
    """
    level = (values[0] + values[-1]) / 2
    if not values[-1] > values[0]:
        return np.nan
    after = int(np.argmax(values >= level))
    low, high = values[after - 1], values[after]
    share = (level - low) / (high - low)
    return float(steps[after - 1] + share * (steps[after] - steps[after - 1]))


def rise_table(curve: pd.DataFrame, decoded: pd.DataFrame | None = None) -> pd.DataFrame:
    """When scores, left minus right, and what the model knows of the story rise in training.

    Parameters
    ----------
    curve
        From `checkpoint_curve`.
    decoded
        From `checkpoint_knowledge`; None where it is not known what listeners follow.

    Returns
    -------
    pandas.DataFrame
        Columns what, at the first step, at the last step, half-way at step.
    """
    curves = {
        name: matching(curve, hemisphere=side).rename(columns={"score": "value"})
        for side, name in WHAT.items()
    }
    if decoded is not None:
        for latents, rows in decoded.groupby("latents", sort=False):
            curves[f"{latents} decoded (r)"] = rows.rename(columns={"r": "value"})
    rows = []
    for what, one in curves.items():
        if len(one):
            one = one.sort_values("step")
            values = one["value"].to_numpy()
            rows.append(
                {
                    "what": what,
                    "at the first step": values[0],
                    "at the last step": values[-1],
                    "half-way at step": half_way(one["step"].to_numpy(float), values),
                }
            )
    return pd.DataFrame(rows)


def rise_order(rises: pd.DataFrame) -> str:
    """What is half-way first, next, ... with its step, from `rise_table`; what falls is left out."""
    rows = rises.dropna(subset="half-way at step").sort_values("half-way at step")
    parts = zip(rows["what"], rows["half-way at step"], strict=True)
    return ", ".join(f"{what.removesuffix(' (r)')} (step {step:,.0f})" for what, step in parts)


def checkpoint_knowledge(
    study: str, model: str = CHECKPOINT_MODEL, **options
) -> pd.DataFrame | None:
    """How well the latents behind simulated responses can be predicted from every checkpoint.

    Parameters
    ----------
    study, model, **options
        As for `checkpoint_curve`.

    Returns
    -------
    pandas.DataFrame or None
        Columns step, latents, r (of the best layer); None for a study that is not simulated.
    """
    if study == PUBLISHED:
        return None
    from brainalign.decoding import latent_decoding
    from brainalign.studies import load_study

    loaded = load_study(study, **options)
    if loaded.truth is None:
        return None
    table = latent_decoding(loaded, list(checkpoint_names(model).values()))
    table["step"] = table["model"].map(checkpoint_step)
    return table.groupby(["latents", "step"], sort=False)["r"].max().reset_index()


def curve_rows(curve: pd.DataFrame) -> list[Printed]:
    """The paper's curve at its first and last checkpoint, beside this one's."""
    paper, rows = published_panels.training_curve(), []
    for side, name in [("both", "score"), ("L-R", "left − right")]:
        known, here = (matching(t, hemisphere=side).sort_values("step") for t in (paper, curve))
        for place, which in [(0, "first"), (-1, "last")]:
            printed, tolerance = known.iloc[place][["score", "unc95"]]
            found = here.iloc[place]["score"]
            rows.append(Printed(f"{name}, {which} checkpoint", printed, found, tolerance))
    return rows


def numbers(curve: pd.DataFrame, rises: pd.DataFrame) -> dict[str, float]:
    """Numbers of the page: `score_step_<n>`, `difference_step_<n>` and when they rise.

    Parameters
    ----------
    curve
        From `checkpoint_curve`.
    rises
        From `rise_table`.

    Returns
    -------
    dict
        Also `half_step_score` and `half_step_difference`.
    """
    found, half = {}, rises.set_index("what")["half-way at step"]
    for side, name in [("both", "score"), ("L-R", "difference")]:
        rows = matching(curve, hemisphere=side)
        found |= {f"{name}_step_{row.step}": row.score for row in rows.itertuples()}
        found[f"half_step_{name}"] = half[WHAT[side]]
    return found
