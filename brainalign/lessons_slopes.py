"""What a slope of left minus right can mean: language, signal-to-noise, or nothing at all.

The score of a side is at most its noise ceiling times how well a model can predict the signal. If
only the ceilings differ, left minus right still grows with every model that predicts better. And
from noisier responses a regression learns less, so that dividing by the ceiling does not undo it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.fitting import load_responses
from brainalign.lessons_brains import SIDES, fit, matched, side_by_side, small_brain
from brainalign.statistics import fit_line
from brainalign.study import Study

ALIKE, PLANTED = "alike", "language on the left"
#: Slopes of a brain: column -> of what, in words.
SLOPES = {
    "slope": "left − right",
    "slope_divided": "each side divided by its noise ceiling",
    "slope_matched": "noise made equal, then fitted again",
}


@dataclass(frozen=True)
class Kind:
    """Brains of one kind.

    Attributes
    ----------
    name : str
        As figures call it.
    asymmetry : float
        Times the planted difference in what is preferred.
    right : float
        Signal on the right, times that on the left.
    """

    name: str
    asymmetry: float
    right: float


def kinds(weaker: Sequence[float]) -> list[Kind]:
    """Brains that are alike, that have a weaker signal on the right, and that have language there.

    Parameters
    ----------
    weaker
        Factors of the signal on the right, where nothing else differs.

    Raises
    ------
    InputError
        For a factor that is there twice.
    """
    if len({f"{factor:g}" for factor in weaker}) < len(weaker):
        raise InputError(f"weaker is {list(weaker)}; every factor is expected once.")
    less = [Kind(f"right signal × {factor:g}", 0.0, float(factor)) for factor in weaker]
    return [Kind(ALIKE, 0.0, 1.0), *less, Kind(PLANTED, 1.0, 1.0)]


def side_table(
    study: Study,
    keep: np.ndarray,
    regressors: Mapping[str, list[np.ndarray]],
    sizes: Mapping[str, float],
    wanted: Sequence[Kind],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Scores of both sides of many brains of several kinds, with their true noise ceilings.

    Parameters
    ----------
    study
        The testbed.
    keep
        Voxels, shape (voxels,), bool.
    regressors
        Language model -> one array (scans, units) per run.
    sizes
        Language model -> number of parameters.
    wanted
        Kinds of brains.
    seeds
        Of the brains of every kind.

    Returns
    -------
    pandas.DataFrame
        Columns kind, brain, model, n_parameters, left, right (mean scores), left_matched,
        right_matched (scores after `lessons_brains.matched`), ceiling_left, ceiling_right (means
        of the true noise ceilings).
    """
    made = [(kind, seed) for kind in wanted for seed in seeds]
    brains = [
        small_brain(study, keep, seed, kind.asymmetry, (1.0, kind.right), alone=True)
        for kind, seed in made
    ]
    measured = [load_responses(brain) for brain in brains]
    alike = [
        matched(brain, runs, np.random.default_rng([seed, 12]))
        for brain, runs, (_, seed) in zip(brains, measured, made, strict=True)
    ]
    responses = side_by_side([*measured, *alike])
    side = brains[0].voxels["hemisphere"].to_numpy()
    rows = []
    for model, runs in regressors.items():
        r = fit(runs, responses).r.mean(axis=0).reshape(2, len(brains), -1)
        for place, ((kind, seed), brain) in enumerate(zip(made, brains, strict=True)):
            row = {"kind": kind.name, "brain": seed, "model": model, "n_parameters": sizes[model]}
            rows.append(row | _sides(side, r[:, place], brain))
    return pd.DataFrame(rows)


def _sides(side: np.ndarray, r: np.ndarray, brain: Study) -> dict[str, float]:
    """Mean scores (as measured, matched) and mean true ceilings of both sides of a brain."""
    ceiling = brain.truth["noise_ceiling"].to_numpy()
    found = {}
    for letter, name in zip(SIDES, ("left", "right"), strict=True):
        of = side == letter
        found[name], found[f"{name}_matched"] = map(float, r[:, of].mean(axis=1))
        found[f"ceiling_{name}"] = float(ceiling[of].mean())
    return found


def brain_slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Lines on log10 parameters in every brain.

    Parameters
    ----------
    table
        From `side_table`.

    Returns
    -------
    pandas.DataFrame
        Columns kind, brain, r (of left minus right with log parameters), and the slopes of
        `SLOPES` per factor of ten in parameters.
    """
    rows = []
    for (kind, brain), part in table.groupby(["kind", "brain"], sort=False):
        x = np.log10(part["n_parameters"].to_numpy(float))
        plain = fit_line(x, (part["left"] - part["right"]).to_numpy())
        share = part["left"] / part["ceiling_left"] - part["right"] / part["ceiling_right"]
        equal = part["left_matched"] - part["right_matched"]
        slopes = [plain, fit_line(x, share.to_numpy()), fit_line(x, equal.to_numpy())]
        row = {"kind": kind, "brain": brain, "r": plain.r}
        rows.append(row | {name: fit.slope for name, fit in zip(SLOPES, slopes, strict=True)})
    return pd.DataFrame(rows)


def expected_difference(table: pd.DataFrame) -> pd.DataFrame:
    """Left minus right as it is, and as it must be if the sides differ in their ceilings only.

    Parameters
    ----------
    table
        From `side_table`.

    Returns
    -------
    pandas.DataFrame
        Columns kind, model, n_parameters, difference, expected: means over brains; expected is the
        left score times (1 − right ceiling / left ceiling).
    """
    rows = table.assign(
        difference=table["left"] - table["right"],
        expected=table["left"] * (1 - table["ceiling_right"] / table["ceiling_left"]),
    )
    keys = ["kind", "model", "n_parameters"]
    return rows.groupby(keys, sort=False)[["difference", "expected"]].mean().reset_index()


def slopes_table(table: pd.DataFrame) -> pd.DataFrame:
    """For every kind of brain: ceilings, the range of r, slopes (means over brains).

    Parameters
    ----------
    table
        From `side_table`.

    Returns
    -------
    pandas.DataFrame
        One row per kind.
    """
    found, points, rows = brain_slopes(table), expected_difference(table), []
    for kind, part in found.groupby("kind", sort=False):
        of, dots = (one[one["kind"] == kind] for one in (table, points))
        x = np.log10(dots["n_parameters"].to_numpy(float))
        rows.append(
            {
                "brains": kind,
                "ceiling L": of["ceiling_left"].mean(),
                "ceiling R": of["ceiling_right"].mean(),
                "r from": part["r"].min(),
                "r to": part["r"].max(),
                "slope": part["slope"].mean(),
                "ceilings alone": fit_line(x, dots["expected"].to_numpy()).slope,
                "divided": part["slope_divided"].mean(),
                "equal noise": part["slope_matched"].mean(),
            }
        )
    return pd.DataFrame(rows)
