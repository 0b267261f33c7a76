"""Scores by depth: which layer of a language model is most like the brain, and where L − R lives.

A layer is fixed beforehand here, so nothing is chosen on test runs; only *the best layer* of a
model is, which is why it comes with all layers that are nearly as good.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published, published_panels
from brainalign.comparison import Printed, correlation
from brainalign.errors import InputError
from brainalign.lateralization import hemisphere_table, model_seed
from brainalign.scaling import LANGUAGE_MODEL, log_parameters, matching
from brainalign.scores import PUBLISHED, VoxelScores, voxel_scores
from brainalign.statistics import LineFit, bootstrap_indices, fit_line
from brainalign.study import HemisphereRule

#: Relative depth of hidden state k = 0 ... n: k / n, or k / (n + 1) as the paper has it.
DepthRule = Literal["first to last", "published"]
LAYER_COLUMNS = [*published.SCORE_COLUMNS, "layer", "n_layers", "relative_depth"]
#: Layers within this of the best one's score are called nearly as good.
NEARLY = 0.005


@dataclass(frozen=True)
class LayerScores:
    """Scores of one study by layer.

    Attributes
    ----------
    table : pandas.DataFrame
        From `layer_table` or `published_panels.layer_curves`.
    found : VoxelScores or None
        Scores of the language models in all voxels; None for published scores.
    controls : VoxelScores or None
        Scores of the controls, in the reliable voxels and the regions only.
    """

    table: pd.DataFrame
    found: VoxelScores | None = field(default=None, repr=False)
    controls: VoxelScores | None = field(default=None, repr=False)


def study_layers(
    study: str,
    models: Sequence[str] | None = None,
    controls: Sequence[str] = (),
    hemispheres: HemisphereRule = "anatomical",
    **options,
) -> LayerScores:
    """Scores of every layer of language models: the published ones, or encoded here.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies`.
    models
        Language models; None takes all of the paper's, or the study's own.
    controls
        Encoded too, for the reliable voxels: untrained copies, random vectors. The published curves
        come without.
    hemispheres
        Rule for the midline; the published curves were made with the paper's.
    **options
        Of the study.

    Returns
    -------
    LayerScores

    Raises
    ------
    InputError
        For models that the published curves do not have, and as `scores.voxel_scores`.
    """
    if study != PUBLISHED:
        found = voxel_scores(study, models, [], **options)
        others = voxel_scores(study, [], list(controls), narrow=True, **options)
        table = layer_table(found, hemispheres)
        # Random vectors have no layers of their own.
        if any(one.sizes["layer"] > 1 for one in others.encoded):
            untrained = matching(layer_table(others, hemispheres), voxels="reliable")
            table = pd.concat([table, untrained], ignore_index=True)
        return LayerScores(table, found, others)
    table = published_panels.layer_curves()
    wanted = list(table["model"].unique()) if models is None else list(models)
    if unknown := sorted(set(wanted) - set(table["model"])):
        raise InputError(
            f"The published layer curves have no model {unknown[0]!r}; they have "
            f"{', '.join(table['model'].unique())}."
        )
    return LayerScores(table[table["model"].isin(wanted)].reset_index(drop=True))


def layer_table(found: VoxelScores, hemispheres: HemisphereRule = "anatomical") -> pd.DataFrame:
    """Score of every layer of every language model, in the columns of a score table.

    Parameters
    ----------
    found
        Scores of every voxel, layer and fold. Controls have no layers and are left out.
    hemispheres
        Rule for the midline.

    Returns
    -------
    pandas.DataFrame
        `LAYER_COLUMNS`: those of a score table, layer (0 is the first hidden state), n_layers (the
        number of the last one) and relative_depth (layer / n_layers).

    Raises
    ------
    InputError
        For scores of controls only.
    """
    parts = []
    for one in found.encoded:
        info = json.loads(one.attrs["settings"])["model"]
        if info["n_layers"]:
            parts.append(_layers_of(one, info, found.reliable, hemispheres))
    if not parts:
        raise InputError("There are scores of controls only; at least one language model expected.")
    how = {"source": found.study.source, "layer_rule": "each layer"}
    return pd.concat(parts, ignore_index=True).assign(**how)[LAYER_COLUMNS]


def _layers_of(
    one: xr.Dataset, info: dict, reliable: np.ndarray, hemispheres: HemisphereRule
) -> pd.DataFrame:
    """Hemisphere table with layers in the place of models."""
    n_layers = one.sizes["layer"] - 1
    r = one["r"].isel(model=0, drop=True).rename(layer="model")
    names = ("family", "kind", "n_parameters")
    labels = {name: ("model", [info[name]] * r.sizes["model"]) for name in names}
    table = hemisphere_table(r.assign_coords(labels), reliable, hemispheres)
    layer = table["model"].astype(int)
    depth = {"layer": layer, "n_layers": n_layers, "relative_depth": layer / n_layers}
    seed = pd.array([model_seed(info["name"])] * len(table), dtype="Int64")
    return table.assign(model=info["name"], seed=seed, **depth)


def profile_rows(
    table: pd.DataFrame, voxels: str, hemisphere: str, kind: str = LANGUAGE_MODEL
) -> pd.DataFrame:
    """Layers of the models of one kind, mean over some voxels, smallest model first.

    Parameters
    ----------
    table
        A layer table.
    voxels, hemisphere, kind
        Values of those columns.
    """
    wanted = {"voxels": voxels, "statistic": "mean", "hemisphere": hemisphere, "kind": kind}
    rows = matching(table, **wanted)
    return rows.sort_values(["n_parameters", "model", "layer"], ignore_index=True)


def mean_profile(rows: pd.DataFrame, n_depths: int = 21) -> pd.DataFrame:
    """Mean over models of their curves, each interpolated to the same relative depths.

    Parameters
    ----------
    rows
        From `profile_rows`.
    n_depths
        Number of depths from 0 to 1.

    Returns
    -------
    pandas.DataFrame
        Columns relative_depth, mean, sd (over models).
    """
    depth = np.linspace(0, 1, n_depths)
    curves = np.array(
        [
            np.interp(depth, one["relative_depth"], one["score"])
            for _, one in rows.groupby("model", sort=False)
        ]
    )
    return pd.DataFrame(
        {"relative_depth": depth, "mean": curves.mean(axis=0), "sd": curves.std(axis=0)}
    )


def best_layers(
    table: pd.DataFrame, voxels: str = "reliable", rule: DepthRule = "first to last"
) -> pd.DataFrame:
    """Layer with the highest score of every language model, and the layers nearly as good.

    Parameters
    ----------
    table
        A layer table.
    voxels
        "reliable" or "all".
    rule
        "first to last" runs from 0 to 1; "published" divides by one more, so that the last layer
        does not reach 1. The published curves always take the latter.

    Returns
    -------
    pandas.DataFrame
        One row per model, smallest first: model, family, n_parameters, n_layers, best_layer,
        relative_depth, score, difference (left − right at that layer), first and last of the layers
        within `NEARLY` of the best.

    Raises
    ------
    InputError
        For another rule.
    """
    if rule not in get_args(DepthRule):
        raise InputError(f"The depth rule is {rule!r}; one of {get_args(DepthRule)} is expected.")
    paper = rule == "published" or published.SOURCE in set(table["source"])
    differences = profile_rows(table, voxels, "L-R").set_index(["model", "layer"])["score"]
    found = []
    for name, rows in profile_rows(table, voxels, "both").groupby("model", sort=False):
        best = rows.loc[rows["score"].idxmax()]
        near = rows.loc[rows["score"] >= best["score"] - NEARLY, "layer"]
        about = best[["model", "family", "n_parameters", "n_layers"]].to_dict()
        found.append(
            about
            | {
                "best_layer": best["layer"],
                "relative_depth": best["layer"] / (best["n_layers"] + paper),
                "score": best["score"],
                "difference": differences[name, best["layer"]],
                "first": near.min(),
                "last": near.max(),
            }
        )
    return pd.DataFrame(found)


def depth_fits(best: pd.DataFrame, n_boot: int, rng: np.random.Generator) -> dict[str, LineFit]:
    """Lines of the best layer's relative depth on model size, and on HellaSwag where it is known.

    Parameters
    ----------
    best
        From `best_layers`.
    n_boot
        Bootstrap samples of models.
    rng
        Seeded generator.

    Returns
    -------
    dict
        "log parameters" (base 10), and for the paper's models "HellaSwag" (percent), -> LineFit.
        A depth that is the same in all models has no correlation: its r is NaN.

    Raises
    ------
    InputError
        With fewer than three models.
    """
    samples = bootstrap_indices(len(best), n_boot, rng)
    depth = best["relative_depth"].to_numpy(dtype=float)
    fits = {"log parameters": fit_line(log_parameters(best), depth, samples)}
    ability = published.models().set_index("name")["hellaswag"].reindex(best["model"])
    if ability.notna().all():
        fits["HellaSwag"] = fit_line(ability.to_numpy(), depth, samples)
    return fits


def best_table(best: pd.DataFrame) -> pd.DataFrame:
    """`best_layers` with headings for a page."""
    near = [
        f"{row.first} to {row.last}" if row.first < row.last else str(row.first)
        for row in best.itertuples()
    ]
    return pd.DataFrame(
        {
            "model": best["model"],
            "family": best["family"],
            "parameters": best["n_parameters"].astype(int),
            "last layer": best["n_layers"].astype(int),
            "best layer": best["best_layer"].astype(int),
            "relative depth": best["relative_depth"],
            f"layers within {NEARLY}": near,
            "score": best["score"],
            "left − right": best["difference"],
        }
    )


def printed_rows(table: pd.DataFrame) -> list[Printed]:
    """The paper's correlations of the best layer's depth, beside those found here by its rule.

    Parameters
    ----------
    table
        A layer table.
    """
    best = best_layers(table, "reliable", "published")
    fits = depth_fits(best, 0, np.random.default_rng(0))
    tests = {"log parameters": "ln n_parameters", "HellaSwag": "hellaswag"}
    return [
        row
        for name, predictor in tests.items()
        if name in fits
        for row in correlation(
            f"depth of the best layer with {name}, paper's depth",
            "relative best layer (rv)",
            fits[name].r,
            fits[name].p,
            predictor,
        )
    ]


def largest_models(table: pd.DataFrame) -> list[str]:
    """The largest language model of every family, the largest of all last."""
    rows = profile_rows(table, "reliable", "both")
    return list(rows.drop_duplicates("family", keep="last")["model"])


def numbers(best: pd.DataFrame, fits: dict[str, LineFit]) -> dict[str, float]:
    """Numbers of the page: `best_relative_depth_<model>`, and r of depth with size and HellaSwag.

    Returns
    -------
    dict
        `n_models`, `best_relative_depth_<model>`, `r_best_depth_<predictor>`,
        `slope_best_depth_per_decade` and the edges of its interval.
    """
    depth = dict(zip(best["model"], best["relative_depth"], strict=True))
    low, high = fits["log parameters"].slope_interval
    return {
        "n_models": len(best),
        **{f"best_relative_depth_{model}": value for model, value in depth.items()},
        **{f"r_best_depth_{name.lower()}": fit.r for name, fit in fits.items()},
        "slope_best_depth_per_decade": fits["log parameters"].slope,
        "ci_low_slope_best_depth_per_decade": low,
        "ci_high_slope_best_depth_per_decade": high,
    }
