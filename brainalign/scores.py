"""One way to the score table of a study, whether its scores were published or are computed here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published
from brainalign.choices import (
    PAPER,
    PUBLISHED,
    chosen_models,
    default_controls,
    default_models,
    draws_line,
    line_models,
    load_options,
    spread_models,
    study_settings,
)
from brainalign.errors import InputError
from brainalign.lateralization import hemisphere_table
from brainalign.regions import roi_table
from brainalign.scaling import CEILING
from brainalign.study import HemisphereRule, Study, select_voxels, voxel_coordinates

if TYPE_CHECKING:
    from brainalign.layer_choice import LayerRule

__all__ = [
    "PAPER",
    "PUBLISHED",
    "StudyScores",
    "VoxelScores",
    "chosen_models",
    "default_controls",
    "default_models",
    "draws_line",
    "line_models",
    "load_options",
    "reliable_only",
    "spread_models",
    "study_scores",
    "study_settings",
    "summarise",
    "voxel_scores",
]


@dataclass(frozen=True)
class StudyScores:
    """Scores of one study, summed up.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns model, family, kind, seed, n_parameters, voxels, statistic, hemisphere, score, and
        how they came about: source, layer_rule, hemisphere_rule.
    regions : pandas.DataFrame or None
        Columns model, family, kind, seed, n_parameters, roi, hemisphere, n_voxels, score; None for
        a study without regions of interest.
    truth : xarray.Dataset or None
        What a simulated study knows of itself.
    """

    table: pd.DataFrame
    regions: pd.DataFrame | None = None
    truth: xr.Dataset | None = field(default=None, repr=False)


@dataclass(frozen=True)
class VoxelScores:
    """Scores of one study in every voxel, layer and fold.

    Attributes
    ----------
    study : Study
        What was encoded.
    encoded : list of xarray.Dataset
        One per model, from `encoding.encode`; `layer_choice` makes one score per voxel of them.
    reliable : numpy.ndarray
        Shape (voxel,), bool: the voxels with a high inter-subject correlation.
    """

    study: Study
    encoded: list[xr.Dataset] = field(repr=False)
    reliable: np.ndarray = field(repr=False)


def study_scores(
    study: str,
    models: list[str] | None = None,
    controls: list[str] | None = None,
    untrained_seeds: int = 0,
    layer_rule: "LayerRule" = "nested",
    hemispheres: HemisphereRule = "anatomical",
    settings: Mapping[str, Any] | None = None,
    **options,
) -> StudyScores:
    """Load the published scores, or encode a study with language models and controls.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies`.
    models
        Language models; None takes the paper's 28 or `default_models`, "paper" stands for the
        paper's models of the study's language.
    controls
        Features without context; None takes `default_controls`, and [] none. The
        published scores come with the paper's own.
    untrained_seeds
        So many untrained copies of every model are encoded too.
    layer_rule, hemispheres, settings
        "nested" or "published" choice of layers; "anatomical" or "published" sides; what to change
        of the settings that responses are fitted with (`fitting.encoding_settings`), by default
        those of `study_settings`. The published
        scores were made with the paper's rules and stay as they are.
    **options
        Of the study, such as its seed. The published scores have none and ignore them.

    Returns
    -------
    StudyScores
    """
    if study == PUBLISHED:
        return StudyScores(
            published.score_table(names=models), published.region_table(names=models)
        )
    # Imported here, so that a page of published scores does not depend on the code of encoding.
    from brainalign.layer_choice import brain_scores

    found = voxel_scores(study, models, controls, untrained_seeds, settings, **options)
    chosen = brain_scores(found.encoded, layer_rule)
    return summarise(found.study, chosen, found.reliable, layer_rule, hemispheres)


def voxel_scores(
    study: str,
    models: list[str] | None = None,
    controls: list[str] | None = None,
    untrained_seeds: int = 0,
    settings: Mapping[str, Any] | None = None,
    narrow: bool = False,
    **options,
) -> VoxelScores:
    """Encode a study with language models and controls, and keep every voxel, layer and fold.

    Parameters
    ----------
    study
        One of `brainalign.studies`.
    models, controls, untrained_seeds, settings, **options
        As for `study_scores`.
    narrow
        Whether to encode the reliable voxels and those of regions of interest only, which takes a
        fraction of the time where many models are compared there.

    Returns
    -------
    VoxelScores
    """
    from brainalign.encoding import encode
    from brainalign.fitting import encoding_settings
    from brainalign.reliability import reliability_map, reliable_voxels
    from brainalign.studies import load_study

    loaded = load_study(study, **options)
    names = chosen_models(study, models, loaded.language)
    names += [f"{name}:untrained-{seed}" for seed in range(untrained_seeds) for name in names]
    names += default_controls(study, loaded.language) if controls is None else list(controls)
    # Of a handful of regions, all count.
    everything = np.ones(loaded.n_voxels, dtype=bool)
    reliable = everything if loaded.of_regions else reliable_voxels(reliability_map(loaded))
    reliable = np.asarray(reliable)
    if narrow:
        keep = reliable | (loaded.voxels["roi"] != "").to_numpy()
        loaded, reliable = select_voxels(loaded, keep), reliable[keep]
    how = encoding_settings(**study_settings(study) if settings is None else settings)
    encoded = encode(loaded, list(dict.fromkeys(names)), how)
    return VoxelScores(loaded, encoded, reliable)


def reliable_only(found: VoxelScores) -> VoxelScores:
    """The same scores of the reliable voxels alone.

    Parameters
    ----------
    found
        Scores of these and other voxels.
    """
    keep = found.reliable
    encoded = [one.isel(voxel=np.flatnonzero(keep)) for one in found.encoded]
    return VoxelScores(select_voxels(found.study, keep), encoded, keep[keep])


def summarise(
    study: Study,
    scores: xr.DataArray,
    reliable: xr.DataArray | np.ndarray,
    layer_rule: "LayerRule" = "nested",
    hemispheres: HemisphereRule = "anatomical",
) -> StudyScores:
    """Sum up voxelwise scores per hemisphere and per region.

    Parameters
    ----------
    study
        The study that was encoded.
    scores
        Dims (model, voxel), from `layer_choice.brain_scores`.
    reliable
        Shape (voxel,), bool.
    layer_rule
        The rule that `scores` were made with, for the record.
    hemispheres
        Rule for the midline.

    Returns
    -------
    StudyScores
        The noise ceiling of a simulated study is in both tables as one more "model".

    Raises
    ------
    InputError
        For scores of another number of voxels than the study has, or with missing values.
    """
    if scores.sizes["voxel"] != study.n_voxels:
        raise InputError(
            f"The scores have {scores.sizes['voxel']} voxels; study {study.name!r} has "
            f"{study.n_voxels}."
        )
    parts = [scores]
    if study.truth is not None:
        parts.append(_ceiling(study))
    how = {"source": study.source, "layer_rule": layer_rule}
    table = pd.concat([hemisphere_table(part, reliable, hemispheres) for part in parts])
    regions = None
    if (study.voxels["roi"] != "").any():
        regions = pd.concat([roi_table(part) for part in parts], ignore_index=True).assign(**how)
    return StudyScores(
        table.assign(**how)[published.SCORE_COLUMNS].reset_index(drop=True), regions, study.truth
    )


def _ceiling(study: Study) -> xr.DataArray:
    """Expected score of a perfect model, in the shape of brain scores."""
    coords = {
        "model": [CEILING],
        "family": ("model", [CEILING]),
        "kind": ("model", [CEILING]),
        "n_parameters": ("model", [float("nan")]),
        **voxel_coordinates(study.voxels),
    }
    values = study.truth["noise_ceiling"].values[None]
    return xr.DataArray(values, dims=("model", "voxel"), coords=coords)
