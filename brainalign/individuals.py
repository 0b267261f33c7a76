"""One listener at a time: does what holds for the average listener hold for each?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published_panels, scores
from brainalign.errors import InputError
from brainalign.inference import fold_table
from brainalign.lateralization import hemisphere_table, measure_rows
from brainalign.layer_choice import LayerRule, fold_scores
from brainalign.published import SCORE_COLUMNS
from brainalign.scaling import log_parameters
from brainalign.scores import PUBLISHED, spread_models
from brainalign.statistics import MINIMUM_POINTS, LineFit, bootstrap_indices, fit_line
from brainalign.study import HemisphereRule, Study

#: The paper scored individuals with these two families; of the testbed their counterparts.
FAMILIES = ("nano GPT-2", "nano Qwen2")
#: Of the measures of `lateralization.MEASURES`, those that the paper gives for individuals, and
#: the end of its name for each side.
MEASURES = {"whole brain": "", "90th percentile": "p90"}
SIDES = {"both": "mean", "L": "L", "R": "R", "L-R": "LmR"}
DEFAULT_LISTENERS, DEFAULT_MODELS = 2, 6
Fits = dict[str, dict[str, dict[str, LineFit]]]


@dataclass(frozen=True)
class ListenerScores:
    """Scores of several listeners.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns of a score table and listener; all voxels.
    folds : xarray.DataArray or None
        Dims (listener, model, fold, region, side), from `inference.fold_table`: means over the
        whole brain; None for published scores, which are means over runs.
    truth : xarray.Dataset or None
        What a simulated study knows of itself.
    """

    table: pd.DataFrame = field(repr=False)
    folds: xr.DataArray | None = field(default=None, repr=False)
    truth: xr.Dataset | None = field(default=None, repr=False)

    @property
    def listeners(self) -> list[str]:
        """Their names, in order."""
        return list(dict.fromkeys(self.table["listener"]))


def default_models(study: str = "testbed") -> list[str]:
    """Models that listeners are scored with when the page is asked for none in particular.

    Parameters
    ----------
    study
        Its name. Of the testbed's models six of the families that the paper scored individuals
        with; other studies have their own (`scores.default_models`).
    """
    from brainalign.models import describe

    names = scores.default_models(study)
    if study != "testbed":
        return names
    return spread_models(
        [name for name in names if describe(name).family in FAMILIES], DEFAULT_MODELS
    )


def chosen_listeners(study: Study, n: int | None = None) -> tuple[str, ...]:
    """The first listeners of a study.

    Parameters
    ----------
    study
        Any study.
    n
        How many; None takes two.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        For a study without individual listeners, or with fewer.
    """
    if not study.subjects:
        raise InputError(
            f"Study {study.name!r} has an average listener only; individuals need a study with the "
            "responses of single listeners, such as 'testbed', or 'petitprince-en' with "
            "study_options={responses: openneuro}."
        )
    n = DEFAULT_LISTENERS if n is None else n
    if not 1 <= n <= len(study.subjects):
        raise InputError(
            f"listeners is {n}; study {study.name!r} has {len(study.subjects)}, and a number from 1 "
            "to that is expected."
        )
    return study.subjects[:n]


def listener_scores(
    study: str,
    models: Sequence[str] | None = None,
    n: int | None = None,
    layer_rule: LayerRule = "nested",
    hemispheres: HemisphereRule = "anatomical",
    settings: Mapping[str, Any] | None = None,
    **options,
) -> ListenerScores:
    """The paper's scores of five listeners, or those of a study's listeners, one by one.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies`.
    models
        Language models; None takes the paper's nine, or those of `default_models`.
    n
        The first so many listeners; None takes the paper's five, or two.
    layer_rule, hemispheres, settings, **options
        As for `scores.study_scores`.

    Returns
    -------
    ListenerScores

    Raises
    ------
    InputError
        As `chosen_listeners`, and for listeners or models that the paper did not score.
    """
    if study == PUBLISHED:
        return ListenerScores(_published(models, n))
    from brainalign.encoding import encode
    from brainalign.fitting import encoding_settings
    from brainalign.studies import load_study

    loaded = load_study(study, **options)
    wanted = default_models(study) if models is None else models
    names = scores.chosen_models(study, wanted, loaded.language, MINIMUM_POINTS)
    own = scores.study_settings(study) if settings is None else settings
    chosen, parts, folds = chosen_listeners(loaded, n), [], []
    for listener in chosen:
        how = encoding_settings(**{**own, "subject": listener})
        by_fold = fold_scores(encode(loaded, names, how), layer_rule)
        everything = {"whole brain": np.ones(loaded.n_voxels, dtype=bool)}
        folds.append(fold_table(by_fold, everything))
        mean = by_fold.mean("fold", skipna=False)
        parts.append(score_rows(mean, listener, hemispheres))
    whose = replace(loaded, subjects=chosen).source  # not those that are not shown
    table = pd.concat(parts, ignore_index=True).assign(source=whose, layer_rule=layer_rule)
    together = xr.concat(folds, pd.Index(chosen, name="listener"))
    return ListenerScores(table[["listener", *SCORE_COLUMNS]], together, loaded.truth)


def score_rows(
    scores: xr.DataArray, listener: str, rule: HemisphereRule = "anatomical"
) -> pd.DataFrame:
    """Rows of one listener: whole brain and 90th percentile, both hemispheres and each.

    Parameters
    ----------
    scores
        Dims (model, voxel), from `layer_choice.brain_scores`.
    listener
        Name.
    rule
        For the midline.

    Returns
    -------
    pandas.DataFrame
        As from `lateralization.hemisphere_table`, all voxels only, with a column listener.
    """
    everything = np.ones(scores.sizes["voxel"], dtype=bool)
    table = hemisphere_table(scores, everything, rule)
    return table[table["voxels"] == "all"].assign(listener=listener)


def _published(models: Sequence[str] | None, n: int | None) -> pd.DataFrame:
    table = published_panels.individuals()
    names = list(dict.fromkeys(table["listener"]))
    if n is not None and not 1 <= n <= len(names):
        raise InputError(f"listeners is {n}; the paper scored {len(names)} ({', '.join(names)}).")
    if models is not None:
        known = sorted(table["model"].unique())
        if unknown := sorted(set(models) - set(known)):
            raise InputError(
                f"The paper did not score individuals with {unknown[0]!r}; it did with "
                f"{', '.join(known)}."
            )
        table = table[table["model"].isin(models)]
    return table[table["listener"].isin(names[:n])].reset_index(drop=True)


def listener_fits(table: pd.DataFrame, n_boot: int, rng: np.random.Generator) -> Fits:
    """Lines of every listener on log10 parameters; all share their bootstrap samples of models.

    Parameters
    ----------
    table
        Of `ListenerScores`.
    n_boot
        Bootstrap samples over models.
    rng
        Seeded generator.

    Returns
    -------
    dict
        listener -> measure ("whole brain", "90th percentile") -> side ("both", "L", "R", "L-R")
        -> LineFit.
    """
    samples = bootstrap_indices(table["model"].nunique(), n_boot, rng)
    fits = {}
    for listener, rows in table.groupby("listener", sort=False):
        fits[listener] = {measure: {} for measure in MEASURES}
        for measure in MEASURES:
            for side in SIDES:
                part = measure_rows(rows, measure, side)
                line = fit_line(log_parameters(part), part["score"].to_numpy(), samples)
                fits[listener][measure][side] = line
    return fits
