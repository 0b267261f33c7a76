"""Attributions of the words behind the scans of a study, computed once per fold and kept.

Every layer and fold has a file of its own, so that an interrupted call leaves what it has done.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.attribution.results import RESULTS, Question, fitted, prepared
from brainalign.encoding import SOURCES
from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, source_digest
from brainalign.loading import load_language_model
from brainalign.models import fingerprint
from brainalign.parallel import map_processes
from brainalign.states import probe
from brainalign.studies import load_study, study_fingerprint

GROUPS = ("early", "middle", "late")
Kind = Literal["alignment", "erasure", "gradient", "layer"]
_SLOWEST_FIRST = get_args(Kind)
#: Question, kind, layer and fold.
Item = tuple[Question, Kind, int, int]


def layer_scores(question: Question, jobs: int | None = None) -> pd.DataFrame:
    """Brain score of every layer behind the embedding, on the features that attributions use.

    Parameters
    ----------
    question
        Study, model and settings.
    jobs
        Processes; by default one per core.

    Returns
    -------
    pandas.DataFrame
        Columns layer, group (early, middle or late third), r (mean over voxels and folds), best
        (whether it has the highest r of its group).

    Raises
    ------
    InputError
        For unknown names, and as `material.material`.
    """
    n_layers = len(probe(load_language_model(question.model)).layers)
    layers = range(1, n_layers)
    found = _kept(wanted(question, "layer", layers), jobs)
    table = pd.DataFrame({"layer": layers, "r": [float(one["r"].mean()) for one in found]})
    group = np.arange(len(table)) * len(GROUPS) // len(table)
    table.insert(1, "group", np.array(GROUPS)[group])
    best = table.groupby("group")["r"].transform("max")
    return table.assign(best=table["r"] == best)


def chosen_layer(by_layer: pd.DataFrame, layer: int | None) -> int:
    """The layer that is asked for, or the one with the highest brain score for None.

    Parameters
    ----------
    by_layer
        From `layer_scores`.
    layer
        A hidden state, or None.

    Raises
    ------
    InputError
        For a layer that the table does not have.
    """
    known = by_layer["layer"].tolist()
    if layer is None:
        return int(by_layer["layer"][by_layer["r"].idxmax()])
    if layer not in known:
        raise InputError(f"layer is {layer}; the model has layers {known[0]} to {known[-1]}.")
    return layer


def attribution_scores(
    question: Question, layers: Sequence[int], jobs: int | None = None
) -> xr.Dataset:
    """Gradient × input of the words behind every scan, for every readout and next-word prediction.

    Parameters
    ----------
    question
        Study, model and settings.
    layers
        Hidden states that are read.
    jobs
        Processes; by default one per core.

    Returns
    -------
    xarray.Dataset
        `score` (layer, target, fold, scan, distance), the newest word at distance 0, NaN where
        there is none; `word` (fold, scan, distance), rows of the run's word table, -1 where there is
        none; `run` (fold); `pooled` (fold, scan), how many of the newest words the readout pools;
        `passage` (layer, fold, distance), |gradient × input| of every voxel's prediction, mean over
        the region (`pred_all`), at the scan `passage_scan` (fold); `loss` (layer, place, fold, scan) of
        next-word prediction, in nats. Targets are those of `readouts.error_cotangents`, those of `readouts.region_weights`, mean over voxels
        (`pred_roi`), and for causal models "next word: output", "next word: layer" and "next word:
        pooled words".

    Raises
    ------
    InputError
        For unknown names, regions and layers, and as `material.material`.
    """
    items = wanted(question, "gradient", layers)
    found, n = _kept(items, jobs), len(items) // len(layers)
    by_layer = [_side_by_side(found[k : k + n]) for k in range(0, len(found), n)]
    of_layers = [name for name in ("score", "others", "loss", "passage") if name in by_layer[0]]
    return xr.concat(by_layer, pd.Index(layers, name="layer"), data_vars=of_layers)


def erasure_scores(question: Question, layer: int, jobs: int | None = None) -> xr.Dataset:
    """What leaving out each word changes, and what deleting the highest words does.

    Parameters
    ----------
    question, jobs
        As for `layer_scores`.
    layer
        Hidden state that is read.

    Returns
    -------
    xarray.Dataset
        `change` (target, fold, scan, distance): squared change of the predictions, mean over
        voxels, of "region", "other", "region: shifted" and the random readouts, and the change of
        the loss ("next word: output"); `word` and `run` as for `attribution_scores`; `curve`
        (way, measure, ranking, fraction, fold), from `deletion.deletion_curves`.

    Raises
    ------
    InputError
        As `attribution_scores`.
    """
    return _side_by_side(_kept(wanted(question, "erasure", [layer]), jobs))


def alignment_scores(
    question: Question, layer: int, n_folds: int, jobs: int | None = None
) -> xr.Dataset:
    """Integrated gradients of every scan's part of the brain score, which sum to it.

    Parameters
    ----------
    question, layer, jobs
        As for `erasure_scores`.
    n_folds
        Folds that are integrated.

    Returns
    -------
    xarray.Dataset
        `score` (fold, scan, distance) and `others`, the tokens of no word (fold, scan); `change`
        and `error` (fold, scan), of `integrated.integrated_gradients`; `scalar` (fold, scan), whose
        sum over scans is their r, mean over voxels.

    Raises
    ------
    InputError
        As `integrated.integrated_gradients`.
    """
    return _side_by_side(_kept(wanted(question, "alignment", [layer], n_folds), jobs))


def wanted(
    question: Question, kind: Kind, layers: Iterable[int], n_folds: int | None = None
) -> list[Item]:
    """What `compute` is to compute for one of the functions above.

    Parameters
    ----------
    question
        Study, model and settings.
    kind
        "gradient" for `attribution_scores`, "erasure", "alignment", "layer".
    layers
        Hidden states that are read.
    n_folds
        The first folds only.
    """
    most = _count_folds(question.study, question.options)
    folds = range(min(question.settings.n_folds, most))[:n_folds]
    if kind == "layer":
        folds = range(1)
    return [(question, kind, layer, fold) for layer in layers for fold in folds]


@lru_cache
def _count_folds(study: str, options: tuple) -> int:
    """Folds of a study, which is loaded once, however many results are asked for."""
    return len(load_study(study, **dict(options)).folds())


def compute(items: Iterable[Item], jobs: int | None = None) -> list[Path]:
    """Files of results; those that are missing are computed side by side.

    Every call starts processes that prepare the model and its readouts, so that one call for
    everything costs less than one for each kind.

    Parameters
    ----------
    items
        From `wanted`.
    jobs
        Processes; by default one per core.
    """
    paths = {item: _path(*item) for item in items}
    missing = [item for item, path in paths.items() if not path.is_file()]
    if missing:
        for question in dict.fromkeys(item[0] for item in missing):
            # Read by all processes, which would otherwise make it side by side.
            prepared(question)
        missing.sort(key=lambda item: _SLOWEST_FIRST.index(item[1]))
        map_processes(_compute, missing, jobs, title="attribution")
    return [*paths.values()]


def _path(question: Question, *about: object) -> Path:
    source = source_digest([*SOURCES, "attribution"])
    told = study_fingerprint(question.study, **dict(question.options))
    model = [question.model, fingerprint(question.model)]
    key = digest([told, *model, asdict(question.settings), source, *about])
    return cache_folder() / "attributions" / f"{key}.nc"


def _kept(items: list[Item], jobs: int | None) -> list[xr.Dataset]:
    return [xr.load_dataset(path, engine="h5netcdf") for path in compute(items, jobs)]


def _side_by_side(folds: list[xr.Dataset]) -> xr.Dataset:
    together = xr.concat(folds, "fold", join="outer")
    if "word" in together:
        together["word"] = together["word"].fillna(-1).astype(int)
    return together


def _compute(item: Item) -> None:
    """One result, written to its file."""
    question, kind, layer, fold = item
    found = RESULTS[kind](fitted(question, layer), fold, question.settings)
    path = _path(*item)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        found.to_netcdf(temporary, engine="h5netcdf")
