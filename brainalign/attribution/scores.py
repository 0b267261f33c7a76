"""Attributions of the words behind every scan of a study, computed once and kept.

All readouts of a layer share its forward passes.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import xarray as xr

from brainalign.attribution.contexts import Context
from brainalign.attribution.gradients import WordScores, gradient_times_input
from brainalign.attribution.heads import Head, fit_heads
from brainalign.attribution.material import AttributionSettings, Material, material
from brainalign.attribution.next_word import Place, next_word_scores
from brainalign.attribution.reading import Reading, reading, scan_features
from brainalign.attribution.readouts import paired_readouts, readouts
from brainalign.encoding import SOURCES
from brainalign.files import atomic_path, cache_folder, digest, source_digest
from brainalign.loading import load_language_model, predicts_next_word
from brainalign.models import fingerprint
from brainalign.parallel import map_processes
from brainalign.studies import load_study, study_fingerprint


def attribution_scores(
    study: str,
    model: str,
    layers: Sequence[int],
    settings: AttributionSettings,
    jobs: int | None = None,
    **options: Any,
) -> dict[int, xr.Dataset]:
    """Attributions of the words behind every scan, for every readout: found, or computed and kept.

    Parameters
    ----------
    study
        Of `brainalign.studies`.
    model
        Language model.
    layers
        Hidden states that are read.
    settings
        What is read, and where from.
    jobs
        Processes; by default one per core.
    **options
        Of the study.

    Returns
    -------
    dict
        Layer -> dataset: `score` (target, fold, scan, distance), the newest word at distance 0,
        NaN where there is none; `word` (fold, scan, distance), rows of the run's word table, -1
        where there is none; `run` (fold); `r` (fold), the mean correlation over voxels; `loss`
        (place, fold, scan) of next-word prediction, in nats. Targets are those of `readouts`, those
        of `paired_readouts` behind "shared: ", and for causal models "next word: output",
        "next word: layer" and "next word: pooled words".

    Raises
    ------
    InputError
        For unknown names, regions and layers, and as `material`.
    """
    paths = {layer: _path(study, model, layer, settings, options) for layer in layers}
    missing = [
        (study, model, layer, settings, options, path)
        for layer, path in paths.items()
        if not path.is_file()
    ]
    if missing:
        map_processes(_compute, missing, jobs, title="attribution")
    return {layer: xr.load_dataset(path, engine="h5netcdf") for layer, path in paths.items()}


def _path(study: str, model: str, layer: int, settings: AttributionSettings, options: dict) -> Path:
    source = source_digest([*SOURCES, "attribution"])
    about = [study_fingerprint(study, **options), model, fingerprint(model), layer]
    key = digest([*about, asdict(settings), source])
    return cache_folder() / "attributions" / f"{key}.nc"


def _compute(item: tuple) -> None:
    """Attributions of one layer, written to its file."""
    study, model, layer, settings, options, path = item
    loaded = load_study(study, **options)
    causal = predicts_next_word(model)
    read = reading(load_language_model(model, head=causal), layer)
    made = material(loaded, read, settings)
    features = [scan_features(read, fold) for fold in made.contexts]
    heads, r = fit_heads(features, made.responses)
    folds = []
    for fold in range(min(settings.n_folds, len(features))):
        part = _brain_scores(read, made, features, heads[fold], fold, settings)
        if causal:
            part = xr.merge([part[["word", "run"]], _next_word(read, made.contexts[fold], part)])
        folds.append(part)
    found = xr.concat(folds, "fold", join="outer").assign(r=("fold", r.mean(1)[: len(folds)]))
    found["word"] = found["word"].fillna(-1).astype(int)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        found.to_netcdf(temporary, engine="h5netcdf")


def _brain_scores(
    read: Reading,
    made: Material,
    features: list[np.ndarray],
    head: Head,
    fold: int,
    settings: AttributionSettings,
) -> xr.Dataset:
    """Scores of the readouts of one fold, and the products of those of both halves."""
    contexts = made.contexts[fold]
    wanted = readouts(made, features, head, fold, settings)
    found = gradient_times_input(read, contexts, np.stack([*wanted.values()]))
    names, values, others = [*wanted], [found.values], [found.others]
    for name, halves in paired_readouts(made, features, head, fold, settings).items():
        apart = gradient_times_input(read, contexts, halves.reshape(-1, 1, halves.shape[2]))
        one, two = np.split(apart.values, 2)
        names.append(f"shared: {name}")
        values.append((one * two).mean(0, keepdims=True))
        others.append(np.zeros_like(found.others[:1]))
    scores = WordScores(np.concatenate(values), np.concatenate(others))
    return _as_dataset(scores, names, contexts)


def _as_dataset(scores: WordScores, names: list[str], contexts: list[Context]) -> xr.Dataset:
    """Scores with the words that they are of."""
    word = np.full(scores.values.shape[1:], -1)
    for row, one in zip(word, contexts, strict=True):
        row[: len(one.words)] = one.words[::-1]
    return xr.Dataset(
        {
            "score": (("target", "scan", "distance"), scores.values),
            "others": (("target", "scan"), scores.others),
            "word": (("scan", "distance"), word),
            "run": contexts[0].run,
        },
        {"target": names, "scan": range(len(contexts)), "distance": range(word.shape[1])},
    )


def _next_word(read: Reading, contexts: list[Context], part: xr.Dataset) -> xr.Dataset:
    """Scores of next-word prediction beside those of the brain, and its losses."""
    parts, losses = [part[["score", "others"]]], {}
    for place in get_args(Place):
        scores, losses[place] = next_word_scores(read, contexts, place)
        more = _as_dataset(scores, [f"next word: {place}"], contexts)
        parts.append(more[["score", "others"]])
    found = xr.concat(parts, "target")
    return found.assign(loss=(("place", "scan"), np.stack([*losses.values()])), place=[*losses])
