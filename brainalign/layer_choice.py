"""Which layer's score stands for a model, in every fold and voxel."""

import json
from collections.abc import Sequence
from typing import Literal

import numpy as np
import xarray as xr

from brainalign.errors import InputError

LayerRule = Literal["nested", "published"]
Part = Literal["joint", "unique"]


def choose_layer(
    scores: xr.Dataset, rule: LayerRule = "nested", part: Part = "joint"
) -> xr.DataArray:
    """One score per voxel from those of all layers.

    Parameters
    ----------
    scores
        One model's, from `encoding.encode`.
    rule
        "nested": in each fold the layer with the best inner score, then the mean over folds;
        "published": the best test score of all layers, which is biased upwards (Bonnasse-Gahot &
        Pallier 2024, code).
    part
        "joint", or "unique": what the model adds to nuisance features. The layer is that of the
        same rule for this part.

    Returns
    -------
    xarray.DataArray
        Dim (voxel). NaN where the voxel is constant in a run.

    Raises
    ------
    InputError
        For another rule or part, and for the unique part of scores without nuisance features.
    """
    found = scores_at(scores, chosen_layers(scores, rule, part), part)
    return found.drop_vars(["layer", "layer_name"], errors="ignore").rename("r")


def chosen_layers(
    scores: xr.Dataset, rule: LayerRule = "nested", part: Part = "joint"
) -> xr.DataArray:
    """The layer that `choose_layer` takes for every fold and voxel.

    Parameters
    ----------
    scores, rule, part
        See `choose_layer`.

    Returns
    -------
    xarray.DataArray of int
        Dims (fold, voxel).

    Raises
    ------
    InputError
        As `choose_layer`.
    """
    if rule not in ("nested", "published"):
        raise InputError(f"The layer rule is {rule!r}; 'nested' or 'published' is expected.")
    fold = _part_scores(scores, part)
    if rule == "published":
        best = fold.mean("fold", skipna=False).fillna(-np.inf).argmax("layer")
        return best.expand_dims(fold=scores["fold"])
    # The nuisance score is the same for every layer: the joint inner score orders both parts.
    return scores["r_inner"].fillna(-np.inf).argmax("layer").transpose("fold", "voxel")


def fold_scores(
    scores: Sequence[xr.Dataset], rule: LayerRule = "nested", part: Part = "joint"
) -> xr.DataArray:
    """Scores of several models in every fold, so that runs can be resampled.

    Parameters
    ----------
    scores, rule, part
        As for `brain_scores`, which gives the mean over the folds of these.

    Returns
    -------
    xarray.DataArray
        Dims (model, fold, voxel), float32; coordinates as from `brain_scores`.

    Raises
    ------
    InputError
        As `brain_scores`.
    """
    _check_same_voxels(scores)
    values = []
    for one in scores:
        at_layer = _folds_at(one, chosen_layers(one, rule, part), part)
        values.append(at_layer.transpose("fold", "voxel").to_numpy())
    coords = {"fold": scores[0]["fold"].values, **_coordinates(scores)}
    attrs = {"layer_rule": rule, "part": part}
    return xr.DataArray(np.stack(values), coords, ("model", "fold", "voxel"), "r", attrs)


def scores_at(scores: xr.Dataset, layers: np.ndarray, part: Part = "joint") -> xr.DataArray:
    """Score of every voxel at given layers.

    Parameters
    ----------
    scores
        One model's.
    layers
        Shape (fold, voxel), from `chosen_layers` of these or of other scores.
    part
        See `choose_layer`.

    Returns
    -------
    xarray.DataArray
        Dim (voxel): mean over folds.
    """
    return _folds_at(scores, layers, part).mean("fold", skipna=False)


def _folds_at(scores: xr.Dataset, layers: np.ndarray, part: Part) -> xr.DataArray:
    """Scores of every fold and voxel at given layers, shape (fold, voxel)."""
    layer = xr.DataArray(np.asarray(layers), dims=("fold", "voxel"))
    return _part_scores(scores, part).isel(layer=layer)


def _part_scores(scores: xr.Dataset, part: Part) -> xr.DataArray:
    """Scores (fold, layer, voxel) of everything together, or of what the model adds."""
    if part not in ("joint", "unique"):
        raise InputError(f"part is {part!r}; 'joint' or 'unique' is expected.")
    if part == "joint":
        return scores["r_fold"]
    if "r_nuisance" not in scores:
        raise InputError("The unique part needs scores that were made with nuisance features.")
    return scores["r_fold"] - scores["r_nuisance"]


def brain_scores(
    scores: Sequence[xr.Dataset], rule: LayerRule = "nested", part: Part = "joint"
) -> xr.DataArray:
    """Scores of several models on the same voxels, one per model and voxel.

    Parameters
    ----------
    scores
        From `encoding.encode`.
    rule, part
        See `choose_layer`.

    Returns
    -------
    xarray.DataArray
        Dims (model, voxel); coordinates of the voxels, and `family`, `kind`, `n_parameters`,
        `n_layers`, `n_hidden` of the models.

    Raises
    ------
    InputError
        As `choose_layer`, and for no scores or scores of different voxels.
    """
    _check_same_voxels(scores)
    values = np.stack([choose_layer(one, rule, part).to_numpy() for one in scores])
    attrs = {"layer_rule": rule, "part": part}
    return xr.DataArray(values, _coordinates(scores), ("model", "voxel"), "r", attrs)


def _check_same_voxels(scores: Sequence[xr.Dataset]) -> None:
    if not scores:
        raise InputError("There are no scores; those of at least one model are expected.")
    sizes = sorted({one.sizes["voxel"] for one in scores})
    if len(sizes) > 1:
        raise InputError(f"The scores have {sizes} voxels; scores of one study are expected.")


def _coordinates(scores: Sequence[xr.Dataset]) -> dict:
    """Coordinates of the models and of their voxels."""
    infos = [json.loads(one.attrs["settings"])["model"] for one in scores]
    fields = ("family", "kind", "n_parameters", "n_layers", "n_hidden")
    return {
        "model": [info["name"] for info in infos],
        **{name: ("model", [info[name] for info in infos]) for name in fields},
        **{name: c for name, c in scores[0].coords.items() if c.dims == ("voxel",)},
    }
