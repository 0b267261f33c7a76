"""Where in the brain models score: the smallest and the largest one above random embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published
from brainalign.comparison import Printed
from brainalign.errors import InputError
from brainalign.layer_choice import LayerRule, brain_scores
from brainalign.scaling import CONTROL_WIDTHS, EMBEDDINGS, LANGUAGE_MODEL, select
from brainalign.scores import VoxelScores, default_models, voxel_scores
from brainalign.spatial import MapCorrelation, map_correlation
from brainalign.statistics import pearson
from brainalign.studies import load_study
from brainalign.study import HemisphereRule, Study, hemispheres

Baseline = Literal["widest", "matched"]
#: Model, hub name and baseline of the paper's maps; the colour range ends at the best map's top.
PUBLISHED_MODELS, PUBLISHED_BASELINE, PUBLISHED_TOP = ("gpt2", "Qwen1.5-14B"), 1024, 0.44


@dataclass(frozen=True)
class BrainMaps:
    """Maps of one study.

    Attributes
    ----------
    study : Study
        With a mask.
    reliable : numpy.ndarray
        Shape (voxel,), bool.
    scores, baseline : xarray.DataArray
        Dims (model, voxel): the smallest and the largest model's brain scores, and the mean scores
        of the random embeddings that each is compared with.
    """

    study: Study = field(repr=False)
    reliable: np.ndarray = field(repr=False)
    scores: xr.DataArray
    baseline: xr.DataArray

    @property
    def above(self) -> xr.DataArray:
        """Scores above the random embeddings, dims (model, voxel)."""
        return self.scores - self.baseline

    @property
    def planted(self) -> xr.DataArray | None:
        """Planted weights, dims (family, voxel); None where the truth is not known."""
        return None if self.study.truth is None else self.study.truth["weight"]

    @property
    def models(self) -> list[str]:
        """The two models, the smallest first."""
        return [str(name) for name in self.scores["model"].values]


def extremes(study: str, smallest: str | None = None, largest: str | None = None) -> list[str]:
    """The two models to map.

    Parameters
    ----------
    study
        Its name.
    smallest, largest
        Names; None takes the smallest or largest of the study's own (`scores.default_models`).

    Returns
    -------
    list of str
        Two names.

    Raises
    ------
    InputError
        Where the second is not larger than the first.
    """
    from brainalign.models import describe

    own = sorted(map(describe, default_models(study)), key=lambda info: info.n_parameters)
    if len(own) < 2 and not (smallest and largest):
        raise InputError(
            f"Study {study!r} has {len(own)} language model of its own; maps compare a smaller with "
            "a larger one, so that both smallest and largest need a name."
        )
    pair = [describe(smallest) if smallest else own[0], describe(largest) if largest else own[-1]]
    if pair[0].n_parameters >= pair[1].n_parameters:
        sizes = " and ".join(f"{info.name} with {info.n_parameters:,} parameters" for info in pair)
        raise InputError(f"Maps compare a smaller model with a larger one; {sizes} were given.")
    return [info.name for info in pair]


def study_maps(
    study: str,
    smallest: str | None = None,
    largest: str | None = None,
    baseline: Baseline = "widest",
    baseline_seeds: int = 3,
    layer_rule: LayerRule = "nested",
    **options,
) -> BrainMaps:
    """Encode the smallest and the largest model and their random embeddings.

    Parameters
    ----------
    study
        Name of a study with voxels.
    smallest, largest
        As for `extremes`.
    baseline, baseline_seeds
        As for `baseline_names`.
    layer_rule
        For the layers.
    **options
        Of the study, such as its seed.

    Returns
    -------
    BrainMaps

    Raises
    ------
    InputError
        As `extremes` and `brain_maps`; for a study of regions before anything is encoded.
    """
    _check_voxels(load_study(study, **options))
    pair = extremes(study, smallest, largest)
    controls = baseline_names(pair, baseline, baseline_seeds)
    return brain_maps(voxel_scores(study, pair, controls, **options), layer_rule)


def _check_voxels(study: Study) -> None:
    if study.mask is None:
        raise InputError(
            f"Study {study.name!r} has {study.n_voxels} regions and no brain mask; maps need a "
            "study with voxels."
        )


def baseline_names(models: Sequence[str], baseline: Baseline, n_seeds: int) -> list[str]:
    """Random embeddings that the models are compared with.

    Parameters
    ----------
    models
        Names.
    baseline
        "widest": the widest of the controls for all models (as in the paper); "matched": as wide
        as each model.
    n_seeds
        So many of each width.

    Returns
    -------
    list of str
        Names of random embeddings.
    """
    from brainalign.models import describe

    widths = {max(CONTROL_WIDTHS)}
    if baseline == "matched":
        widths = {describe(name).n_hidden for name in models}
    return [
        f"random-embeddings-{width}:seed-{k}" for width in sorted(widths) for k in range(n_seeds)
    ]


def brain_maps(found: VoxelScores, rule: LayerRule = "nested") -> BrainMaps:
    """Maps of the smallest and the largest model, and of their random embeddings.

    Parameters
    ----------
    found
        Scores of at least two language models and of random embeddings: of their widths, or of
        one width for all.
    rule
        For the layers.

    Returns
    -------
    BrainMaps

    Raises
    ------
    InputError
        For a study of regions, which has no maps, and without the models or the embeddings.
    """
    _check_voxels(found.study)
    scores = brain_scores(found.encoded, rule)
    models = scores[scores["kind"] == LANGUAGE_MODEL].sortby("n_parameters")
    embeddings = scores[scores["kind"] == EMBEDDINGS]
    if models.sizes["model"] < 2 or not embeddings.sizes["model"]:
        raise InputError(
            f"There are scores of {models.sizes['model']} language models and "
            f"{embeddings.sizes['model']} random embeddings; maps need two models and one embedding."
        )
    models = models[[0, -1]]
    widths = embeddings["n_hidden"]
    chosen = [
        embeddings[widths == (width if (widths == width).any() else widths.max())].mean("model")
        for width in models["n_hidden"].values
    ]
    baseline = models.copy(data=np.stack(chosen))
    return BrainMaps(found.study, found.reliable, models, baseline)


def _means(values: np.ndarray, keep: np.ndarray, side: np.ndarray) -> dict[str, float]:
    """Mean of a map over the kept voxels, left, right, and left minus right."""
    left, right = (float(values[keep & (side == name)].mean()) for name in ("L", "R"))
    return {"mean": float(values[keep].mean()), "left": left, "right": right,
            "left − right": left - right}  # fmt: skip


def map_table(maps: BrainMaps, rule: HemisphereRule = "anatomical") -> pd.DataFrame:
    """What the maps hold, summed up over the reliable voxels.

    Parameters
    ----------
    maps
        From `brain_maps`.
    rule
        For the midline.

    Returns
    -------
    pandas.DataFrame
        One row per map: both models' scores, the random embeddings', both models above them.
        Columns map, mean, left, right, left − right (reliable voxels), highest voxel.
    """
    side = hemispheres(maps.study.voxels, rule)
    small, large = maps.models
    named = {
        small: maps.scores[0],
        large: maps.scores[1],
        f"{EMBEDDINGS} for {large}": maps.baseline[1],
        f"{small} above {EMBEDDINGS}": maps.above[0],
        f"{large} above {EMBEDDINGS}": maps.above[1],
    }
    rows = [
        {"map": name, **_means(values.to_numpy(), maps.reliable, side),
         "highest voxel": float(values.max())}
        for name, values in named.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def truth_table(maps: BrainMaps) -> pd.DataFrame | None:
    """Correlation over voxels of every map with what was planted.

    Parameters
    ----------
    maps
        From `brain_maps`.

    Returns
    -------
    pandas.DataFrame or None
        One row per map; columns map and the families of latents: r with their planted weight over
        the voxels that have any signal. None where the truth is not known.
    """
    if maps.planted is None:
        return None
    weight = maps.planted.transpose("family", "voxel").to_numpy()
    driven = weight.any(axis=0)
    small, large = maps.models
    named = {
        f"{EMBEDDINGS} for {large}": maps.baseline[1],
        f"{small} above {EMBEDDINGS}": maps.above[0],
        f"{large} above {EMBEDDINGS}": maps.above[1],
        f"{large} above {small}": maps.scores[1] - maps.scores[0],
    }
    rows = []
    for name, values in named.items():
        found = pearson(weight[:, driven], values.to_numpy()[driven])
        rows.append({"map": name} | dict(zip(maps.planted["family"].values, found, strict=True)))
    return pd.DataFrame(rows)


def map_recovery(
    maps: BrainMaps, n_null: int, rng: np.random.Generator, family: str = "discourse"
) -> MapCorrelation | None:
    """Does the largest model's map look like the planted one? Over parcels, with a spatial null.

    Parameters
    ----------
    maps
        From `brain_maps`.
    n_null, rng
        As for `spatial.map_correlation`.
    family
        Of latents.

    Returns
    -------
    MapCorrelation or None
        Of the means over parcels of score above random embeddings and of planted weight; the
        surrogates are as smooth as the planted map, and mirrored as it is. None without a truth.
    """
    if maps.planted is None:
        return None
    voxels = maps.study.voxels[["x", "y", "z"]].assign(
        planted=maps.planted.sel(family=family).to_numpy(), found=maps.above[1].to_numpy()
    )
    table = voxels.groupby(maps.study.voxels["parcel"]).mean()
    xyz = table[["x", "y", "z"]].to_numpy()
    return map_correlation(table["planted"], table["found"], xyz, n_null, rng, mirrored=True)


def recovery_table(found: MapCorrelation) -> pd.DataFrame:
    """One row: parcels, r, p if parcels were independent, p (spatial null), 95 % of the null's |r|."""
    row = {
        "map": "largest model above random embeddings",
        "parcels": found.n,
        "r": found.r,
        "p, parcels independent": found.p_independent,
        "p, spatial null": found.p,
        "95 % point of |r|, spatial null": float(np.quantile(np.abs(found.null), 0.95)),
    }
    return pd.DataFrame([row])


def numbers(maps: BrainMaps, rule: HemisphereRule = "anatomical") -> dict[str, float]:
    """What `brain_maps` records.

    Returns
    -------
    dict
        For `smallest` and `largest`, above the random embeddings: `above_<model>`,
        `above_difference_<model>` (left minus right) in reliable voxels, `top_<model>`; where the
        truth is known, `r_planted_<model>` with the discourse weight.
    """
    table = map_table(maps, rule).iloc[-2:]
    recorded = {}
    for name, (_, row) in zip(("smallest", "largest"), table.iterrows(), strict=True):
        recorded[f"above_{name}"] = row["mean"]
        recorded[f"above_difference_{name}"] = row["left − right"]
        recorded[f"top_{name}"] = row["highest voxel"]
    truth = truth_table(maps)
    if truth is not None:
        recorded["r_planted_smallest"] = truth["discourse"].iloc[1]
        recorded["r_planted_largest"] = truth["discourse"].iloc[2]
    return recorded


def paper_rows(maps: BrainMaps, rule: HemisphereRule = "anatomical") -> list[Printed]:
    """The paper's maps, summed up from its tables, and those found here; for `comparison.compare`.

    No voxelwise map was published: of the colours only the highest value is printed.
    """
    table = published.score_table()
    found = numbers(maps, rule)
    embeddings = f"random-embeddings-{PUBLISHED_BASELINE}"

    def score(model: str, hemisphere: str) -> float:
        kind = EMBEDDINGS if model == embeddings else LANGUAGE_MODEL
        rows = select(table, "reliable", "mean", hemisphere, kind)
        return float(rows.set_index("model").loc[model, "score"])

    rows = []
    for name, model in zip(("smallest", "largest"), PUBLISHED_MODELS, strict=True):
        for what, side, key in [("mean", "both", "above"), ("L − R", "L-R", "above_difference")]:
            printed = score(model, side) - score(embeddings, side)
            rows.append(Printed(f"{name} model, {what} above {EMBEDDINGS}", printed,
                                found[f"{key}_{name}"], tolerance=0.005))  # fmt: skip
    rows.append(Printed("highest voxel of the largest model's map", PUBLISHED_TOP, None))
    return rows
