"""Many simulated brains at once, and what tests find in those that have nothing to find.

Brains lie side by side as voxels of one study, so that the regressors of every layer are decomposed
once for all of them. Only their regions of interest are kept, and the noise of the average listener
is drawn once instead of once for every listener, which gives the same distribution.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.files import digest, source_digest
from brainalign.inference import fold_table, slopes
from brainalign.parallel import map_threads
from brainalign.regions import voxel_tests
from brainalign.study import AVERAGE, Run, Study, select_voxels

# Seeds of simulated brains that no page draws as its own.
FIRST_SEED = 1000
PAPER_T, PAPER_R = "the paper: t-test over voxels", "the paper: r of L − R with log parameters"


def side_by_side(studies: Sequence[Study]) -> Study:
    """Several studies of the same story and voxels as one.

    Parameters
    ----------
    studies
        With the same words, scans and number of voxels.

    Returns
    -------
    Study
        With studies × voxels "voxels", the average listener only.

    Raises
    ------
    InputError
        For no studies, or studies of other sizes.
    """
    sizes = sorted({(study.n_voxels, len(study.runs)) for study in studies})
    if len(sizes) != 1:
        raise InputError(
            f"Studies side by side need the same number of voxels and runs; they have {sizes}."
        )

    def together(number: int, run: Run) -> Run:
        def load(subject: str) -> np.ndarray:
            parts = map_threads(lambda one: one.responses(number, AVERAGE).to_numpy()[0], studies)
            return np.concatenate(list(parts), axis=1)

        return replace(run, load=load, confounds=None)

    first = studies[0]
    return replace(
        first,
        runs=tuple(together(number, run) for number, run in enumerate(first.runs)),
        subjects=(),
        voxels=pd.concat([study.voxels for study in studies], ignore_index=True),
        fingerprint=digest([*(one.fingerprint for one in studies), source_digest(["simulations"])]),
        mask=None,
        truth=None,
        reliability=None,
        has_average=True,
    )


def simulated_brains(
    seeds: Sequence[int],
    models: Sequence[str] | None = None,
    layer_rule: str = "nested",
    listeners: int | None = None,
    **options: Any,
) -> xr.DataArray:
    """Scores of language models in the regions of interest of many simulated brains.

    Parameters
    ----------
    seeds
        Of the brains.
    models
        Language models; None takes the testbed's own.
    layer_rule
        As for `layer_choice.fold_scores`.
    listeners
        How many are averaged; None takes the testbed's own number.
    **options
        Of the testbed, such as `asymmetry` or `n_runs`.

    Returns
    -------
    xarray.DataArray
        Dims (brain, model, fold, voxel), float32, with the coordinates of `fold_scores`. The ridge
        penalty of a fold and layer is the one that suits all brains together.

    Raises
    ------
    InputError
        For no seeds or fewer than one listener, and as `encoding.encode`.
    """
    from brainalign.encoding import encode
    from brainalign.layer_choice import fold_scores
    from brainalign.scores import default_models

    if not len(seeds):
        raise InputError("There are no seeds; at least one simulated brain is expected.")
    names = default_models("testbed") if models is None else list(models)
    study = side_by_side([_one_brain(int(seed), listeners, options) for seed in seeds])
    scores = fold_scores(encode(study, names), layer_rule)
    n_voxels = study.n_voxels // len(seeds)
    values = scores.to_numpy().reshape(*scores.shape[:2], len(seeds), n_voxels)
    first = scores.isel(voxel=slice(n_voxels))
    return xr.DataArray(
        np.moveaxis(values, 2, 0),
        {**first.coords, "brain": list(seeds)},
        ("brain", "model", "fold", "voxel"),
        "r",
        scores.attrs,
    )


def _one_brain(seed: int, listeners: int | None, options: dict[str, Any]) -> Study:
    """Regions of interest of one simulated brain, whose average listener is drawn directly."""
    from brainalign.studies import load_study
    from brainalign.studies.testbed.config import TestbedConfig

    usual = TestbedConfig()
    n_listeners = usual.n_listeners if listeners is None else listeners
    if n_listeners < 1:
        raise InputError(f"listeners is {n_listeners}; at least one is expected.")
    # The average of n listeners has 1/√n of the noise of one; `noise` is that of the average.
    noise = usual.noise * np.sqrt(usual.n_listeners / n_listeners)
    alone = {"n_listeners": 1, "gain_spread": 0.0, "noise": float(noise)}
    study = load_study("testbed", seed=seed, **alone, **options)
    return select_voxels(study, (study.voxels["roi"] != "").to_numpy())


@dataclass(frozen=True)
class Way:
    """A way to an interval: what is resampled, and how."""

    resample: str
    method: str

    @property
    def name(self) -> str:
        """As rows of tables and figures call it."""
        what = {"models": "models", "runs": "runs", "both": "models and runs"}[self.resample]
        return f"{self.method} over {what}"


WAYS = (
    Way("models", "bootstrap"),
    Way("runs", "bootstrap"),
    Way("both", "bootstrap"),
    Way("runs", "jackknife"),
    Way("both", "jackknife"),
)


def null_findings(
    scores: xr.DataArray, n_boot: int = 1000, rng: np.random.Generator | None = None
) -> pd.DataFrame:
    """Where tests find a left–right difference of slopes.

    Parameters
    ----------
    scores
        From `simulated_brains`.
    n_boot, rng
        Of the bootstraps.

    Returns
    -------
    pandas.DataFrame
        Columns test, region, brain, found: whether the interval of L − R leaves out 0, or the
        paper's p is under .05.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    folds = fold_table(scores)
    parts = []
    for way in WAYS:
        fit = slopes(folds, way.resample, way.method, n_boot, rng).sel(side="L-R")
        found = ((fit["low"] > 0) | (fit["high"] < 0)).rename("found")
        parts.append(found.drop_vars("side").to_dataframe().reset_index().assign(test=way.name))
    for brain in scores["brain"].to_numpy():
        tests = voxel_tests(scores.sel(brain=brain, drop=True).mean("fold"))
        for name, column in {PAPER_R: "p_r", PAPER_T: "p"}.items():
            found = {"region": tests["region"], "found": tests[column] < 0.05}
            parts.append(pd.DataFrame(found).assign(brain=brain, test=name))
    return pd.concat(parts, ignore_index=True)[["test", "region", "brain", "found"]]


def false_positives(findings: pd.DataFrame) -> pd.DataFrame:
    """How often each test finds something in brains that have nothing to find.

    Parameters
    ----------
    findings
        From `null_findings`, of brains whose hemispheres are alike.

    Returns
    -------
    pandas.DataFrame
        One row per test: test, cells (regions × brains), rate (part in which a difference is found;
        5 % would be right), low, high (95 % interval after Wilson, as if cells were independent),
        coverage (1 − rate).
    """
    from statsmodels.stats.proportion import proportion_confint

    rows = []
    for test, part in findings.groupby("test", sort=False):
        found, n = int(part["found"].sum()), len(part)
        low, high = proportion_confint(found, n, method="wilson")
        rows.append(
            {
                "test": test,
                "cells": n,
                "rate": found / n,
                "low": low,
                "high": high,
                "coverage": 1 - found / n,
            }
        )
    return pd.DataFrame(rows)
