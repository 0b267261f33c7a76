"""What a critical reading looks at: scores, best single layers, a baseline, a divisor.

`robustness` asks of these, for published and computed scores alike, what could fool us.
"""

from dataclasses import dataclass, field

import pandas as pd

from brainalign import published, published_panels
from brainalign.errors import InputError
from brainalign.lateralization import isc_normalised
from brainalign.layers import best_layers, layer_table
from brainalign.scaling import LANGUAGE_MODEL, log_parameters, matching, select
from brainalign.scores import PUBLISHED, StudyScores, summarise, voxel_scores
from brainalign.statistics import LineFit, fit_line

SCORE, DIFFERENCE, WHOLE_BRAIN = "score", "left − right", "left − right, whole brain"
# Quantity -> voxels and hemisphere of a score table.
QUANTITIES = {
    SCORE: ("reliable", "both"),
    DIFFERENCE: ("reliable", "L-R"),
    WHOLE_BRAIN: ("all", "L-R"),
}
ISC, CEILING = "ISC", "noise ceiling"
# Models that remain without the three smallest must still draw a line.
LEAST_MODELS = 6


@dataclass(frozen=True)
class Evidence:
    """Everything that a critical reading of one study looks at.

    Attributes
    ----------
    scores : StudyScores
        Score tables, with random embeddings among the controls.
    one_layer : pandas.DataFrame
        Best single layer of every language model in reliable voxels, from `layers.best_layers`.
    normalised : pandas.DataFrame
        From `lateralization.isc_normalised`, with a column divisor: `ISC`, and for computed scores
        `CEILING`, as it is estimated from the listeners.
    listeners : pandas.DataFrame or None
        Scores of individuals, from `published_panels.individuals`; None where these have a page of
        their own.
    """

    scores: StudyScores
    one_layer: pd.DataFrame
    normalised: pd.DataFrame
    listeners: pd.DataFrame | None = field(default=None, repr=False)


def gather(
    study: str,
    models: list[str] | None = None,
    layer_rule: str = "nested",
    hemispheres: str = "anatomical",
    **options,
) -> Evidence:
    """Load the published tables, or encode a study and sum it up in the same ways.

    Parameters
    ----------
    study, models, layer_rule, hemispheres, **options
        As for `scores.study_scores`.

    Returns
    -------
    Evidence

    Raises
    ------
    InputError
        With fewer than six models.
    """
    found = _published(models) if study == PUBLISHED else None
    if found is None:
        found = _encoded(study, models, layer_rule, hemispheres, options)
    if len(found.one_layer) < LEAST_MODELS:
        raise InputError(
            f"A critical reading needs at least {LEAST_MODELS} language models; "
            f"{len(found.one_layer)} were given."
        )
    return found


def _published(models: list[str] | None) -> Evidence:
    table = published.score_table(names=models)
    known = set(select(table, "reliable")["model"])
    curves, normalised = published_panels.layer_curves(), published_panels.isc_normalised()
    return Evidence(
        StudyScores(table, published.region_table(names=models)),
        best_layers(curves[curves["model"].isin(known)]),
        normalised[normalised["model"].isin(known)].assign(divisor=ISC),
        published_panels.individuals(),
    )


def _encoded(
    study: str, models: list[str] | None, layer_rule: str, hemispheres: str, options: dict
) -> Evidence:
    from brainalign.layer_choice import brain_scores
    from brainalign.reliability import noise_ceiling, reliability_map

    found = voxel_scores(study, models, **options)
    chosen = brain_scores(found.encoded, layer_rule)
    divisors = {ISC: reliability_map(found.study)}
    if len(found.study.subjects) > 1 or found.study.reliability is None:
        divisors[CEILING] = noise_ceiling(found.study)
    divisors = {name: divisor.to_numpy() for name, divisor in divisors.items()}
    # Where halves of the listeners do not correlate, the estimated ceiling is 0.
    normalised = [
        isc_normalised(chosen, by, found.reliable & (by > 0), hemispheres).assign(divisor=name)
        for name, by in divisors.items()
    ]
    how = {"source": found.study.source, "layer_rule": layer_rule}
    return Evidence(
        summarise(found.study, chosen, found.reliable, layer_rule, hemispheres),
        best_layers(layer_table(found, hemispheres)),
        pd.concat(normalised, ignore_index=True).assign(**how),
    )


def quantity_rows(found: Evidence, quantity: str) -> pd.DataFrame:
    """Language models' score, or left minus right, smallest model first.

    Raises
    ------
    InputError
        For a quantity that is not one of `QUANTITIES`.
    """
    if quantity not in QUANTITIES:
        raise InputError(f"quantity is {quantity!r}; one of {', '.join(QUANTITIES)} is expected.")
    voxels, hemisphere = QUANTITIES[quantity]
    return select(found.scores.table, voxels, "mean", hemisphere)


def one_layer_rows(found: Evidence, quantity: str) -> pd.DataFrame:
    """Score, or left minus right, of reliable voxels at the one layer with their best mean score."""
    rows = found.one_layer.sort_values(["n_parameters", "model"], ignore_index=True)
    column = {SCORE: "score", DIFFERENCE: "difference"}[quantity]
    return rows[["model", "family", "n_parameters"]].assign(score=rows[column])


def layer_bias(found: Evidence) -> pd.DataFrame:
    """How far the score with a layer for each voxel lies above that of the best single layer.

    Returns
    -------
    pandas.DataFrame
        One row per model, smallest first: model, family, n_parameters, each voxel, one layer, bias.
    """
    rows = quantity_rows(found, SCORE)[["model", "family", "n_parameters", "score"]]
    one = one_layer_rows(found, SCORE).set_index("model")["score"].loc[rows["model"]].to_numpy()
    rows = rows.rename(columns={"score": "each voxel"})
    return rows.assign(**{"one layer": one, "bias": rows["each voxel"] - one})


def normalised_rows(found: Evidence, divisor: str = ISC) -> pd.DataFrame:
    """Left minus right of the language models after division, smallest model first."""
    rows = matching(found.normalised, kind=LANGUAGE_MODEL, hemisphere="L-R", divisor=divisor)
    return rows.sort_values(["n_parameters", "model"], ignore_index=True)


def normalised_fit(found: Evidence, divisor: str = ISC) -> LineFit:
    """Line of `normalised_rows` on log10 parameters."""
    rows = normalised_rows(found, divisor)
    return fit_line(log_parameters(rows), rows["score"].to_numpy())


def model_table(found: Evidence) -> pd.DataFrame:
    """What the page looks at, one row per model, smallest first.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, parameters, best layer of each voxel, best single layer, left − right,
        left − right divided by ISC, and by the noise ceiling where it is known.
    """
    rows = layer_bias(found)
    table = rows[["model", "family"]].assign(parameters=rows["n_parameters"].astype(int))
    table["best layer of each voxel"] = rows["each voxel"]
    table["best single layer"] = rows["one layer"]
    parts = {"left − right": quantity_rows(found, DIFFERENCE)}
    for divisor in found.normalised["divisor"].unique():
        parts[f"left − right divided by {divisor}"] = normalised_rows(found, divisor)
    for name, part in parts.items():
        table[name] = part.set_index("model")["score"].loc[table["model"]].to_numpy()
    return table
