"""One language model beside features that know less: word rate, random embeddings, shifts.

Every score comes with two intervals over listeners: that of the average listener, from averages
that lack one listener each, and that of the mean of the individual listeners. The layers are the
ones chosen for the average listener throughout, so that only listeners differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import false_discovery_control

from brainalign.encoding import encode
from brainalign.files import digest
from brainalign.fitting import EncodingSettings, encoding_settings, load_responses
from brainalign.layer_choice import LayerRule, chosen_layers, scores_at
from brainalign.models import WORD_RATE, describe
from brainalign.reliability import noise_ceiling, reliability_map, reliable_voxels
from brainalign.resampling import (
    average_alone,
    draw_shifts,
    listeners_side_by_side,
    shifted,
    split_copies,
)
from brainalign.scores import study_settings
from brainalign.significance import block_permutation, held_out_predictions, p_values
from brainalign.studies import load_study
from brainalign.study import Study, select_voxels

MODEL = "model"
BOXCARS = "word rate, boxcars"
IMPULSES = "word rate, impulses"
JOINT = "model and word rate"
RANDOM = "random embeddings"
RANDOM_SEEDS = (0, 1, 2)
# The word rate that is coded as the model is, by haemodynamic response; others have none.
CODINGS = {"glover": BOXCARS, "glover_impulse": IMPULSES}
# So many voxels of a region are enough for intervals and shifts, which fit it a hundred times.
SAMPLED_VOXELS = 40


@dataclass(frozen=True)
class Features:
    """What responses are predicted from: models whose scores are averaged, and how they are fit."""

    models: tuple[str, ...]
    settings: EncodingSettings


def one_model_settings(study: str, **given: Any) -> EncodingSettings:
    """Settings for a page of one model: those of the study, with an alpha for every voxel.

    Parameters
    ----------
    study, **given
        As for `scores.study_settings`.

    Returns
    -------
    EncodingSettings
    """
    return encoding_settings(**{"alpha_per_voxel": True, **study_settings(study, **given)})


def region_masks(study: Study) -> dict[str, np.ndarray]:
    """The parts of the brain that scores are summed up over.

    Parameters
    ----------
    study
        Of regions, or of voxels.

    Returns
    -------
    dict
        Name -> bool of shape (voxel,): each region of a study of regions; otherwise the reliable
        voxels of either hemisphere ("left", "right") and every region of interest, both sides.
    """
    if study.of_regions:
        own = np.eye(study.n_voxels, dtype=bool)
        return dict(zip(study.voxels["parcel"], own, strict=True))
    reliable = reliable_voxels(reliability_map(study)).to_numpy()
    side, roi = study.voxels["hemisphere"].to_numpy(), study.voxels["roi"].to_numpy()
    masks = {"left": reliable & (side == "L"), "right": reliable & (side == "R")}
    masks |= {name: roi == name for name in sorted(set(roi) - {""})}
    return {name: mask for name, mask in masks.items() if mask.any()}


def feature_sets(model: str, settings: EncodingSettings) -> dict[str, Features]:
    """The model and its controls.

    Parameters
    ----------
    model
        A language model.
    settings
        How the model is fitted. Word rate has codings of its own: a boxcar for every word, or an
        impulse at its end. The joint model has two penalties, one for word rate, which is coded as
        the model is there.

    Returns
    -------
    dict
        Name -> Features, the model first; random embeddings are as wide as the model, with three
        seeds.
    """
    width = describe(model).n_hidden
    drawn = tuple(f"random-embeddings-{width}:seed-{seed}" for seed in RANDOM_SEEDS)
    both = replace(settings, nuisance=True, nuisance_columns=("word_rate",))
    return {
        MODEL: Features((model,), settings),
        BOXCARS: Features((WORD_RATE,), replace(settings, hrf="glover")),
        IMPULSES: Features((WORD_RATE,), replace(settings, hrf="glover_impulse")),
        JOINT: Features((model,), both),
        RANDOM: Features(drawn, settings),
    }


def control_scores(
    study: Study,
    model: str,
    settings: EncodingSettings,
    regions: Mapping[str, np.ndarray],
    n_permutations: int,
    rng: np.random.Generator,
    rule: LayerRule = "nested",
    n_shifts: int = 100,
) -> xr.Dataset:
    """Scores of one model and of its controls per region, with what intervals and tests need.

    Parameters
    ----------
    study
        With at least three listeners.
    model, settings
        The language model, and how it is fitted; the subject is the average listener.
    regions
        From `region_masks`.
    n_permutations
        Permutations of blocks of scans.
    rng
        Seeded generator.
    rule
        Choice of layers.
    n_shifts
        Circular shifts of the features; a study of a single run has as many as there are.

    Returns
    -------
    xarray.Dataset
        `score` (features, region) of the average listener, `without` (features, listener, region)
        of the average without that listener, `alone` (features, listener, region) of each;
        `shift` and `shift_word_rate` (shift, region) of the model and of word rate as boxcars
        after circular shifts; `p` (region) of the model by its shifts, `p_blocks` (region) by
        block permutation, `q` and `q_blocks` their false discovery rates over regions;
        `significant` (region) the share of a region's voxels with q < .05 over voxels, blocks
        permuted; `ceiling` (region) the estimated noise ceiling of the average listener. `without`,
        `alone`, both shifts and `p` are of at most 40 voxels of each region, evenly spaced.

    Raises
    ------
    InputError
        As `encode` and `listeners_side_by_side`.
    """
    sets = feature_sets(model, settings)
    sample, means = _narrowed(study, {name: thinned(mask) for name, mask in regions.items()})
    average, others = average_alone(sample), listeners_side_by_side(sample)
    copies = [_of_listeners(average, others, means, one, rule) for one in sets.values()]
    alone, without = np.split(np.stack(copies), 2, axis=1)
    turned = shifted(average, draw_shifts(study, n_shifts, rng))
    shift, of_rate = (_copied_scores(turned, means, sets[name], rule) for name in (MODEL, BOXCARS))
    p = p_values(_average_score(average, means, sets[MODEL], rule), shift)
    narrow, weights = _narrowed(study, regions)
    average = average_alone(narrow)
    score = [_average_score(average, weights, one, rule) for one in sets.values()]
    both, three = ("features", "region"), ("features", "listener", "region")
    return xr.Dataset(
        {
            "score": (both, score),
            "without": (three, without),
            "alone": (three, alone),
            "shift": (("shift", "region"), shift),
            "shift_word_rate": (("shift", "region"), of_rate),
            "p": ("region", p),
            "q": ("region", false_discovery_control(p)),
            "ceiling": ("region", _ceilings(study, regions)),
            **_block_tests(average, weights, sets[MODEL], rule, n_permutations, rng),
        },
        coords={
            "features": list(sets),
            "listener": list(study.subjects),
            "region": list(regions),
        },
        attrs={
            "model": model,
            "hrf": settings.hrf,
            "layer_rule": rule,
            "n_permutations": n_permutations,
            "source": study.source,
        },
    )


def _narrowed(study: Study, regions: Mapping[str, np.ndarray]) -> tuple[Study, np.ndarray]:
    """The study with the voxels of regions only, and the weights (region, voxel) of their means."""
    masks = np.stack([np.asarray(mask, dtype=bool) for mask in regions.values()])
    keep = masks.any(axis=0)
    if not keep.all():
        study, masks = select_voxels(study, keep), masks[:, keep]
    return study, masks / masks.sum(axis=1, keepdims=True)


def _ceilings(study: Study, regions: Mapping[str, np.ndarray]) -> list[float]:
    """Noise ceiling of the average listener, mean over the voxels of each region."""
    # Of the whole study, as on the page of reliability, so that it is estimated only once.
    ceiling = noise_ceiling(study).to_numpy()
    return [float(ceiling[mask].mean()) for mask in regions.values()]


def thinned(mask: np.ndarray, most: int = SAMPLED_VOXELS) -> np.ndarray:
    """At most so many of a region's voxels, evenly spaced in their order."""
    inside = np.flatnonzero(mask)
    kept = np.linspace(0, len(inside) - 1, min(most, len(inside))).round().astype(int)
    return np.isin(np.arange(len(mask)), inside[kept])


def _average_score(
    study: Study, weights: np.ndarray, features: Features, rule: LayerRule
) -> np.ndarray:
    """Scores of the average listener, (region,)."""
    found = encode(study, features.models, features.settings)
    scores = [scores_at(one, chosen_layers(one, rule)).to_numpy() for one in found]
    return weights @ np.mean(scores, axis=0)


def _of_listeners(
    study: Study, side_by_side: Study, weights: np.ndarray, features: Features, rule: LayerRule
) -> np.ndarray:
    """Scores of each listener and of the averages without each, at the average's layers.

    Shape (2 × listeners, region).
    """
    averages = encode(study, features.models, features.settings)
    others = encode(side_by_side, features.models, features.settings)
    found = []
    for average, other in zip(averages, others, strict=True):
        n_copies = other.sizes["voxel"] // study.n_voxels
        layers = np.tile(chosen_layers(average, rule), n_copies)
        found.append(split_copies(scores_at(other, layers), study.n_voxels))
    return np.mean(found, axis=0) @ weights.T


def _copied_scores(
    copies: Study, weights: np.ndarray, features: Features, rule: LayerRule
) -> np.ndarray:
    """Scores of copies of a study, layers and all chosen for each by itself, (copy, region)."""
    (scores,) = encode(copies, features.models, features.settings)
    found = scores_at(scores, chosen_layers(scores, rule))
    return split_copies(found, weights.shape[1]) @ weights.T


def _block_tests(
    study: Study,
    weights: np.ndarray,
    features: Features,
    rule: LayerRule,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict[str, tuple[str, np.ndarray]]:
    """Block permutation of the model's predictions: p and q per region, significant voxels."""
    (model,), settings = features.models, features.settings
    (scores,) = encode(study, [model], settings)
    layers = chosen_layers(scores, rule).to_numpy()
    predicted = held_out_predictions(study, model, settings, scores, layers)
    measured = load_responses(study, settings.subject)
    observed, null = block_permutation(predicted, measured, n_permutations, rng)
    p = p_values(weights @ observed, null @ weights.T)
    significant = false_discovery_control(p_values(observed, null)) < 0.05
    return {
        "p_blocks": ("region", p),
        "q_blocks": ("region", false_discovery_control(p)),
        "significant": ("region", weights @ significant),
    }


def sensitivity(
    study: Study,
    model: str,
    settings: EncodingSettings,
    regions: Mapping[str, np.ndarray],
    rule: LayerRule = "nested",
) -> xr.DataArray:
    """Scores of the average listener under other choices than this page's, one at a time.

    Parameters
    ----------
    study, model, settings, regions, rule
        As for `control_scores`.

    Returns
    -------
    xarray.DataArray
        Dims (choice, features, region); features are the model and both codings of word rate.
    """
    narrow, weights = _narrowed(study, regions)
    own = average_alone(narrow)
    compared, rows = (MODEL, BOXCARS, IMPULSES), {}
    for choice, (changed, how) in _choices(study, settings).items():
        average = own if changed is study else average_alone(_narrowed(changed, regions)[0])
        sets = feature_sets(model, how)
        rows[choice] = [_average_score(average, weights, sets[name], rule) for name in compared]
    coords = {"choice": list(rows), "features": list(compared), "region": list(regions)}
    return xr.DataArray(list(rows.values()), coords, dims=list(coords))


def _choices(study: Study, settings: EncodingSettings) -> dict[str, tuple[Study, EncodingSettings]]:
    """The page's own choice, then others that differ in one thing each."""
    cleaned = {}
    if study.high_pass is not None:
        cuts = {"drifts left in": None, "drifts slower than 128 s removed": 1 / 128}
        cleaned = {
            what: _with_high_pass(study, cut)
            for what, cut in cuts.items()
            if cut != study.high_pass
        }
    names = study.known_confounds
    for removed in [names[:count] for count in range(len(names) + 1) if names]:
        without = load_study(study.name, **study.options | {"confounds": removed})
        if without.fingerprint != study.fingerprint:
            cleaned[f"{', '.join(removed) or 'no confounds'} removed"] = without
    other = (0.0, 6.0, 13) if settings.alphas == (2.0, 7.0, 16) else (2.0, 7.0, 16)
    reading = settings.activations
    shorter = replace(reading, window=reading.window // 2) if reading.window else reading
    changes = {
        f"{other[2]} alphas from 1e{other[0]:g} to 1e{other[1]:g}": {"alphas": other},
        "one alpha for all": {"alpha_per_voxel": False},
        "words as boxcars": {"hrf": "glover"},
        "words as impulses at their end": {"hrf": "glover_impulse"},
        f"windows of {shorter.window} tokens": {"activations": shorter},
    }
    changed = {what: replace(settings, **change) for what, change in changes.items()}
    return (
        {"as on this page": (study, settings)}
        | {what: (one, settings) for what, one in cleaned.items()}
        | {what: (study, how) for what, how in changed.items() if how != settings}
    )


def _with_high_pass(study: Study, high_pass: float | None) -> Study:
    """The study with other drifts removed, which makes it other data."""
    changed = digest([study.fingerprint, "high_pass", high_pass])
    return replace(study, high_pass=high_pass, fingerprint=changed)
