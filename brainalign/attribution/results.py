"""What attributions of one layer and fold are computed from, and how: one function for each kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

import numpy as np
import xarray as xr

from brainalign.attribution.contexts import Context
from brainalign.attribution.deletion import deletion_curves
from brainalign.attribution.erasure import left_out, squared_changes
from brainalign.attribution.gradients import gradient_times_input
from brainalign.attribution.heads import (
    Head,
    alignment_cotangents,
    alignment_scalars,
    fit_heads,
    squared_error_cotangents,
    voxel_basis,
)
from brainalign.attribution.integrated import integrated_gradients, linear_scalar
from brainalign.attribution.material import (
    AttributionSettings,
    Material,
    material,
    region_mask,
)
from brainalign.attribution.next_word import Place, next_word_scores
from brainalign.attribution.reading import Reading, reading, scan_features
from brainalign.attribution.readouts import error_cotangents, region_weights
from brainalign.errors import InputError
from brainalign.loading import load_language_model, predicts_next_word
from brainalign.studies import load_study

#: Of a fold: fewer give no correlation.
FEWEST_SCANS = 5
# Readouts of single voxels that words are left out for, beside the random ones.
_LEFT_OUT = ("region", "other", "region: shifted")


@dataclass(frozen=True)
class Question:
    """What attributions are made of: study, model and settings.

    Attributes
    ----------
    study : str
        Of `brainalign.studies`.
    model : str
        Language model.
    settings : AttributionSettings
        What is read, and where from.
    options : tuple
        Of the study: pairs of name and value.
    """

    study: str
    model: str
    settings: AttributionSettings
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Fitted:
    """Everything that attributions of a layer start from.

    Attributes
    ----------
    read : Reading
        Model and layer.
    made : Material
        Contexts and responses.
    features : list of numpy.ndarray
        (scan, feature) of every fold.
    heads : list of Head
        Of every fold.
    r : numpy.ndarray
        Shape (fold, voxel).
    """

    read: Reading
    made: Material
    features: list[np.ndarray]
    heads: list[Head]
    r: np.ndarray


@lru_cache(maxsize=3)
def prepared(question: Question) -> tuple[Reading, Material]:
    """Model with its last layer, contexts and responses; the last few are kept in memory."""
    study = load_study(question.study, **dict(question.options))
    settings = question.settings
    # Before anything is computed.
    region_mask(study.voxels, settings.region, settings.side)
    region_mask(study.voxels, settings.other_region, "both")
    causal = predicts_next_word(question.model)
    read = reading(load_language_model(question.model, head=causal), -1)
    return read, material(study, read, settings)


@lru_cache(maxsize=4)
def fitted(question: Question, layer: int) -> Fitted:
    """Features and readouts of a layer, in all folds; the last few are kept in memory."""
    last, made = prepared(question)
    read = reading(last.language_model, layer)
    features = [scan_features(read, fold) for fold in made.contexts]
    return Fitted(read, made, features, *fit_heads(features, made.responses))


def _layer(of: Fitted, fold: int, settings: AttributionSettings) -> xr.Dataset:
    return xr.Dataset({"r": (("fold", "voxel"), of.r)})


def _some(of: Fitted, fold: int, settings: AttributionSettings) -> slice:
    """The scans of a fold that get attributions."""
    n_scans = -(-len(of.made.contexts[fold]) // settings.every)
    if n_scans < FEWEST_SCANS:
        raise InputError(
            f"every is {settings.every}, which leaves {n_scans} scans of fold {fold + 1}; at least "
            f"{FEWEST_SCANS} are expected."
        )
    return slice(None, None, settings.every)


def _gradient(of: Fitted, fold: int, settings: AttributionSettings) -> xr.Dataset:
    some = _some(of, fold, settings)
    contexts, h, head = of.made.contexts[fold][some], of.features[fold], of.heads[fold]
    weights = region_weights(of.made, of.features, head, fold, settings)
    cotangents = {
        name: values[some]
        for name, values in error_cotangents(of.made, h, head, fold, settings).items()
    } | {name: np.broadcast_to(w.mean(1), h[some].shape) for name, w in weights.items()}
    scores = gradient_times_input(of.read, contexts, np.stack([*cotangents.values()]))
    parts, losses = [_as_dataset(scores.values, scores.others, [*cotangents], contexts)], {}
    if of.read.language_model.head is not None:
        for place in get_args(Place):
            found, losses[place] = next_word_scores(of.read, contexts, place)
            name = f"next word: {place}"
            parts.append(_as_dataset(found.values, found.others, [name], contexts))
    together = xr.concat(parts, "target", data_vars="minimal")
    if losses:
        together["loss"] = (("place", "scan"), np.stack([*losses.values()]))
        together["place"] = [*losses]
    shown = _passage(of.read, contexts[len(contexts) // 2], weights["region"])
    return together.merge(shown, join="outer")


def _passage(read: Reading, one: Context, weights: np.ndarray) -> xr.Dataset:
    """Size of the attributions of one context, mean over the voxels of a readout."""
    cotangents, mixing = voxel_basis(weights)
    values = np.abs(mixing @ gradient_times_input(read, [one], cotangents).values[:, 0]).mean(0)
    about = {"distance": range(len(values)), "passage_scan": one.scan}
    return xr.Dataset({"passage": ("distance", values)}).assign(about)


def _erasure(of: Fitted, fold: int, settings: AttributionSettings) -> xr.Dataset:
    some = _some(of, fold, settings)
    contexts, head = of.made.contexts[fold][some], of.heads[fold]
    weights = region_weights(of.made, of.features, head, fold, settings)
    changes, losses = left_out(of.read, contexts, of.read.reader.pad)
    there = _words(contexts) >= 0
    found = {
        name: np.where(there, squared_changes(changes, w), np.nan)
        for name, w in weights.items()
        if name in _LEFT_OUT or ": random " in name
    }
    whole = np.where(there, squared_changes(changes, head.weights), np.nan)
    error = squared_error_cotangents(head, of.features[fold], of.made.responses[fold])[some]
    ranked = {"brain": np.abs(gradient_times_input(of.read, contexts, error[None]).values[0])}
    if losses is not None:
        found["next word: output"] = losses
        ranked["next word"] = np.abs(next_word_scores(of.read, contexts)[0].values[0])
    ranked["brain, each word left out"] = whole
    rng = np.random.default_rng([settings.seed, 4, fold])
    y = of.made.responses[fold][some]
    result = _as_dataset(np.stack([*found.values()]), None, [*found], contexts)
    result = result.rename(score="change")
    return result.assign(curve=deletion_curves(of.read, contexts, head, y, ranked, rng))


def _alignment(of: Fitted, fold: int, settings: AttributionSettings) -> xr.Dataset:
    some = _some(of, fold, settings)
    contexts, head = of.made.contexts[fold][some], of.heads[fold]
    about = (head, of.features[fold][some], of.made.responses[fold][some])
    scalar = linear_scalar(alignment_cotangents(*about))
    found = integrated_gradients(of.read, contexts, scalar, of.read.reader.pad)
    result = _as_dataset(found.scores.values, found.scores.others, ["align"], contexts)
    scalars = alignment_scalars(*about)
    return result.isel(target=0, drop=True).assign(
        change=("scan", found.change), error=("scan", found.error), scalar=("scan", scalars)
    )


#: Of everything fitted, a fold and the settings: the dataset of one kind of result.
RESULTS: dict[str, Callable] = {
    "layer": _layer,
    "gradient": _gradient,
    "erasure": _erasure,
    "alignment": _alignment,
}


def _words(contexts: Sequence[Context]) -> np.ndarray:
    """Row in the run's table of every word, (scan, distance); -1 where there is none."""
    longest = max(len(one.words) for one in contexts)
    word = np.full((len(contexts), longest), -1)
    for row, one in zip(word, contexts, strict=True):
        row[: len(one.words)] = one.words[::-1]
    return word


def _n_pooled(one: Context) -> int:
    """How many of the newest words a readout pools."""
    pooled = one.word_of_token[one.pooling.any(0)]
    return len(one.words) - int(pooled.min(initial=len(one.words)))


def _as_dataset(
    values: np.ndarray, others: np.ndarray | None, names: list[str], contexts: list[Context]
) -> xr.Dataset:
    """Scores with the words that they are of."""
    word = _words(contexts)
    found = xr.Dataset(
        {
            "score": (("target", "scan", "distance"), values),
            "word": (("scan", "distance"), word),
            "pooled": ("scan", [_n_pooled(one) for one in contexts]),
            "run": contexts[0].run,
        },
        {
            "target": names,
            "scan": [one.scan for one in contexts],
            "distance": range(word.shape[1]),
        },
    )
    return found if others is None else found.assign(others=(("target", "scan"), others))
