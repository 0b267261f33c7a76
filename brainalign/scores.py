"""One way to the score table of a study, whether its scores were published or are computed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published
from brainalign.errors import InputError
from brainalign.lateralization import hemisphere_table
from brainalign.regions import roi_table
from brainalign.scaling import CEILING, control_names
from brainalign.statistics import MINIMUM_POINTS
from brainalign.study import HemisphereRule, Study, select_voxels, voxel_coordinates

if TYPE_CHECKING:
    from brainalign.layer_choice import LayerRule

PUBLISHED = "published"
# Measured regions are few and differ in noise: an alpha for each, from a grid that goes further
# down. Windows of 64 tokens are some 20 seconds of speech; a model that looks to both sides reads
# one for every word.
_MEASURED = {"alphas": (0.0, 6.0, 13), "alpha_per_voxel": True, "window": 64}


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


def default_models(study: str, language: str = "en") -> list[str]:
    """Language models that a page shows when it is asked for none in particular.

    Parameters
    ----------
    study
        Its name. The testbed's models know the testbed's words only; studies of real speech take
        the pretrained model that needs no hub.
    language
        Of the testbed: "en", "fr" or "cn".
    """
    from brainalign.models import MINILM, zoo_names

    return zoo_names(language) if study == "testbed" else [MINILM]


def default_controls(study: str, language: str = "en") -> list[str]:
    """Features without context that language models are compared with.

    Parameters
    ----------
    study, language
        As for `default_models`.

    Returns
    -------
    list of str
        Random vectors and embeddings of two widths and three seeds; for the English testbed also
        the word vectors that were learnt from its stories.
    """
    from brainalign.models import word_vector_names

    learnt = word_vector_names() if (study, language) == ("testbed", "en") else []
    return [*learnt, *control_names()]


def spread_models(names: Sequence[str], n: int) -> list[str]:
    """So many of the models, evenly spaced in the order given, the first and the last among them.

    Parameters
    ----------
    names
        Smallest first.
    n
        How many; all where there are fewer.
    """
    places = np.linspace(0, len(names) - 1, min(n, len(names))).round().astype(int)
    return [names[place] for place in places]


def draws_line(study: str, models: Sequence[str] | None) -> bool:
    """Whether there are models enough for a line through their scores.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies`.
    models
        As asked for; None takes the study's own.
    """
    return study == PUBLISHED or len(models or default_models(study)) >= MINIMUM_POINTS


def study_settings(study: str, **given: Any) -> dict[str, Any]:
    """What to change of the settings that responses are fitted with.

    Parameters
    ----------
    study
        Name of the study. The testbed takes the settings of `encoding.encode`; studies of measured
        listeners have an alpha for every region or voxel, 13 alphas from 1 to a million, and
        windows of 64 tokens.
    **given
        Fields of `EncodingSettings` or `ActivationSettings`; None leaves the study's own.

    Returns
    -------
    dict
        For `fitting.encoding_settings`.
    """
    own = {} if study in ("testbed", PUBLISHED) else _MEASURED
    return {**own, **{name: value for name, value in given.items() if value is not None}}


def study_options(
    study: str,
    brain_seed: int = 0,
    high_pass: float | None = None,
    confounds: Sequence[str] = (),
    **given: int | None,
) -> dict[str, Any]:
    """What to load a study with, from the parameters of a page.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies`.
    brain_seed
        Of the simulated listeners of the testbed; the others have none and ignore it.
    high_pass
        Hz; 0 leaves drifts in.
    confounds
        Also removed; none leaves the study's own.
    **given
        Further options of the study, such as `n_folds`; None leaves the study's own.

    Returns
    -------
    dict
        For `load_study`, which refuses options that a study does not have.

    Raises
    ------
    InputError
        For options of the published scores, which were made with the paper's.
    """
    asked = {"high_pass": high_pass, "confounds": tuple(confounds) or None, **given}
    options = {name: value for name, value in asked.items() if value is not None}
    if study == PUBLISHED and options:
        raise InputError(
            f"The published scores have no option {next(iter(options))!r}; they stay as the paper "
            "made them."
        )
    if options.get("high_pass") == 0:
        options["high_pass"] = None
    return options | ({"seed": brain_seed} if study == "testbed" else {})


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
        Language models; None takes the paper's 28 or `default_models`.
    controls
        Features without context; None takes `default_controls`, and [] none. The
        published scores come with the paper's own.
    untrained_seeds
        So many untrained copies of every model are encoded too.
    layer_rule, hemispheres, settings
        "nested" or "published" choice of layers; "anatomical" or "published" sides; what to change
        of the settings that responses are fitted with (`fitting.encoding_settings`). The published
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
    names = default_models(study, loaded.language) if models is None else list(models)
    names += [f"{name}:untrained-{seed}" for seed in range(untrained_seeds) for name in names]
    names += default_controls(study, loaded.language) if controls is None else list(controls)
    # Of a handful of regions, all count.
    everything = np.ones(loaded.n_voxels, dtype=bool)
    reliable = everything if loaded.of_regions else reliable_voxels(reliability_map(loaded))
    reliable = np.asarray(reliable)
    if narrow:
        keep = reliable | (loaded.voxels["roi"] != "").to_numpy()
        loaded, reliable = select_voxels(loaded, keep), reliable[keep]
    encoded = encode(loaded, list(dict.fromkeys(names)), encoding_settings(**settings or {}))
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
