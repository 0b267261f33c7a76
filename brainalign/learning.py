"""What training does to left minus right: trained models against their untrained copies.

`training_curves` follows one model on its way from one to the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from brainalign import published_panels
from brainalign.comparison import R_TOLERANCE, Printed, correlation
from brainalign.errors import InputError
from brainalign.scaling import LANGUAGE_MODEL, log_parameters, matching
from brainalign.scores import PUBLISHED, chosen_models, summarise, voxel_scores
from brainalign.statistics import MINIMUM_POINTS, LineFit, fit_line
from brainalign.study import HemisphereRule

if TYPE_CHECKING:
    from brainalign.layer_choice import LayerRule

# The families that the paper compared with untrained copies, and their names in its tests; in the
# zoo "Qwen" is Qwen2.
FAMILIES = {"GPT-2": "gpt", "Qwen": "Qwen"}
# Untrained models differ so little that half a pixel of their figure moves r by .01.
TOLERANCES = {LANGUAGE_MODEL: R_TOLERANCE, "untrained": 0.02}
_COLUMNS = ["model", "family", "kind", "seed", "n_parameters", "score", "source"]
_RULES = ["layer_rule", "hemisphere_rule"]


def training_models(families: Sequence[str] = tuple(FAMILIES)) -> list[str]:
    """The zoo's models of some families, the smallest first.

    Parameters
    ----------
    families
        Names or their beginnings: "GPT-2", "Qwen", "OPT".

    Raises
    ------
    InputError
        For a family that the zoo does not have.
    """
    from brainalign.models import describe, zoo_names

    of = {name: describe(name).family for name in zoo_names()}
    _check_families(families, of.values())
    return [name for name, family in of.items() if _is_of(family, families)]


def _is_of(family: str, families: Sequence[str]) -> bool:
    return any(family.removeprefix("nano ").startswith(name) for name in families)


def _check_families(families: Sequence[str], known: Iterable[str]) -> None:
    known = sorted(set(known))
    missing = [name for name in families if not any(_is_of(one, [name]) for one in known)]
    if missing:
        raise InputError(
            f"There are no models of family {missing[0]!r} to compare with untrained copies; there "
            f"are {', '.join(known)}."
        )


def untrained_names(study: str, models: Sequence[str] | None, seeds: int) -> list[str]:
    """Untrained copies of language models; None takes `training_models`, or a study's own.

    Parameters
    ----------
    study
        The published scores have none that could be asked for.
    models
        Language models.
    seeds
        Copies of each.
    """
    if study == PUBLISHED:
        return []
    wanted = chosen_models(study, models)
    if models is None and study == "testbed":
        wanted = training_models()
    return [f"{name}:untrained-{seed}" for seed in range(seeds) for name in wanted]


def training_table(
    study: str,
    families: Sequence[str] = tuple(FAMILIES),
    untrained_seeds: int = 2,
    layer_rule: "LayerRule" = "nested",
    rule: HemisphereRule = "anatomical",
    **options,
) -> pd.DataFrame:
    """Left minus right of trained models and of untrained copies, reliable voxels.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies`.
    families
        As for `training_models`.
    untrained_seeds
        Copies of each model with fresh weights; the paper has one.
    layer_rule, rule
        Choice of layers, and what to do with the midline; the paper's own where published.
    **options
        Of the study.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, kind ("language model", "untrained"), seed, n_parameters, score,
        source, layer_rule, hemisphere_rule.

    Raises
    ------
    InputError
        For families that there are no untrained copies of.
    """
    if study == PUBLISHED:
        table = published_panels.trained_untrained()
        _check_families(families, table["family"])
        table = table[[_is_of(family, families) for family in table["family"]]]
    else:
        from brainalign.layer_choice import brain_scores

        names = training_models(families)
        found = voxel_scores(study, names, [], untrained_seeds, narrow=True, **options)
        scores = brain_scores(found.encoded, layer_rule)
        table = summarise(found.study, scores, found.reliable, layer_rule, rule).table
        table = matching(table, voxels="reliable", statistic="mean", hemisphere="L-R")
        table = table[table["kind"].isin([LANGUAGE_MODEL, "untrained"])]
    table = table.sort_values(["kind", "family", "seed", "n_parameters"], ignore_index=True)
    return table[[*_COLUMNS, *_RULES]]


def training_fits(table: pd.DataFrame) -> dict[tuple[str, str], list[LineFit]]:
    """Lines of left minus right on log10 parameters, by family.

    Parameters
    ----------
    table
        From `training_table`.

    Returns
    -------
    dict
        (family, kind) -> one line, or one per seed of untrained models; families with fewer than
        three models are left out.

    Raises
    ------
    InputError
        Where no family has three models.
    """
    fits = {}
    for (family, kind), part in table.groupby(["family", "kind"], sort=False):
        seeds = [rows for _, rows in part.groupby("seed", dropna=False)]
        lines = [
            fit_line(log_parameters(rows), rows["score"].to_numpy())
            for rows in seeds
            if rows["n_parameters"].nunique() >= MINIMUM_POINTS
        ]
        if lines:
            fits[family, kind] = lines
    if not fits:
        counts = table[table["kind"] == LANGUAGE_MODEL].groupby("family")["model"].nunique()
        given = ", ".join(f"{family} {n}" for family, n in counts.items())
        raise InputError(
            f"A line needs at least {MINIMUM_POINTS} models of one family; there are {given}."
        )
    return fits


def fits_table(fits: Mapping[tuple[str, str], list[LineFit]]) -> pd.DataFrame:
    """`training_fits` for a page: family, weights, models, mean r and slope, their range over seeds."""
    rows = []
    for (family, kind), lines in fits.items():
        slopes, r = (np.array([getattr(line, name) for line in lines]) for name in ("slope", "r"))
        rows.append(
            {
                "family": family,
                "weights": "trained" if kind == LANGUAGE_MODEL else "untrained",
                "models": lines[0].n,
                "seeds": len(lines),
                "r with log parameters": r.mean(),
                "slope per decade": slopes.mean(),
                "lowest slope": slopes.min(),
                "highest slope": slopes.max(),
            }
        )
    return pd.DataFrame(rows)


def states_table(table: pd.DataFrame) -> pd.DataFrame:
    """`training_table` for a page: model, family, weights, seed, parameters, left − right."""
    return pd.DataFrame(
        {
            "model": table["model"].str.partition(":")[0],
            "family": table["family"],
            "weights": np.where(table["kind"] == LANGUAGE_MODEL, "trained", "untrained"),
            "seed": table["seed"].astype(object).where(table["seed"].notna(), None),
            "parameters": table["n_parameters"].astype(int),
            "left − right": table["score"],
        }
    )


def training_rows(fits: Mapping[tuple[str, str], list[LineFit]]) -> list[Printed]:
    """What the paper prints of its two families, beside what is found here (first untrained seed)."""
    rows = []
    for family, printed in FAMILIES.items():
        for kind, state, name_of in [
            (LANGUAGE_MODEL, "trained", "trained"),
            ("untrained", "untrained seed1", "untrained, first seed"),
        ]:
            lines = [
                found
                for (name, of_kind), found in fits.items()
                if family in name and of_kind == kind
            ]
            if lines:
                first = lines[0][0]
                test = f"{printed} rv_LmR {state}"
                rows += correlation(
                    f"{family}, {name_of}", test, first.r, first.p, tolerance=TOLERANCES[kind]
                )
    return rows


def numbers(fits: Mapping[tuple[str, str], list[LineFit]]) -> dict[str, float]:
    """Numbers of the page, means over seeds.

    Returns
    -------
    dict
        `n_models` (trained ones), `r_trained_<family>`, `slope_trained_<family>`,
        `r_untrained_<family>`, `slope_untrained_<family>`.
    """
    found = {}
    for (family, kind), lines in fits.items():
        state = "trained" if kind == LANGUAGE_MODEL else "untrained"
        for name in ("r", "slope"):
            found[f"{name}_{state}_{family}"] = np.mean([getattr(line, name) for line in lines])
    n_models = sum(lines[0].n for (_, kind), lines in fits.items() if kind == LANGUAGE_MODEL)
    return {"n_models": n_models, **found}
