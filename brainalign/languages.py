"""One analysis in several languages: do score and asymmetry grow with size in each of them?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from brainalign import published, published_panels
from brainalign.comparison import Printed, correlation
from brainalign.errors import InputError
from brainalign.scaling import fit_scaling, line_columns, select
from brainalign.scores import PUBLISHED
from brainalign.statistics import MINIMUM_POINTS, LineFit
from brainalign.study import HemisphereRule

if TYPE_CHECKING:
    from brainalign.layer_choice import LayerRule

Language = Literal["en", "fr", "cn"]
LANGUAGE_NAMES = {"en": "English", "fr": "French", "cn": "Chinese"}
QUANTITIES = {"both": "score", "L-R": "left − right"}


def language_scores(
    study: str,
    languages: list[Language],
    layer_rule: "LayerRule" = "nested",
    hemispheres: HemisphereRule = "anatomical",
    **options,
) -> dict[str, pd.DataFrame]:
    """Score table of every language.

    Parameters
    ----------
    study
        "published", or "testbed", where stories, models and listeners are made for each language.
    languages
        Of "en", "fr", "cn".
    layer_rule, hemispheres
        As for `scores.study_scores`.
    **options
        Of the study, such as its seed.

    Returns
    -------
    dict
        Language -> score table. Languages whose scores nobody published (French) have none.

    Raises
    ------
    InputError
        For a study in one language only, and where nothing was published of any of the languages.
    """
    if study == PUBLISHED:
        tables = {"en": published.score_table(), "cn": published_panels.chinese_table()}
        if not set(languages) & set(tables):
            raise InputError(
                "No brain score was published of French listeners; 'en' or 'cn' is expected."
            )
        return {language: tables[language] for language in languages if language in tables}
    if study != "testbed":
        raise InputError(
            f"Study {study!r} has one language; 'published' or 'testbed' is expected where "
            "languages are compared."
        )
    from brainalign.layer_choice import brain_scores
    from brainalign.scores import summarise, voxel_scores

    tables = {}
    for language in languages:
        # The English scores are those that other pages show, and are at hand.
        narrow = language != "en"
        found = voxel_scores(study, None, [], narrow=narrow, language=language, **options)
        scores = brain_scores(found.encoded, layer_rule)
        summary = summarise(found.study, scores, found.reliable, layer_rule, hemispheres)
        tables[language] = summary.table
    return tables


def language_fits(
    tables: Mapping[str, pd.DataFrame], n_boot: int, rng: np.random.Generator
) -> dict[str, dict[str, LineFit]]:
    """Lines of score and of left minus right on log10 parameters, in every language.

    Parameters
    ----------
    tables
        From `language_scores`.
    n_boot
        Bootstrap samples over models.
    rng
        Seeded generator.

    Returns
    -------
    dict
        Language -> "both", "L-R" -> LineFit, over the reliable voxels.

    Raises
    ------
    InputError
        For a language with fewer than three models.
    """
    for language, table in tables.items():
        n = len(select(table, "reliable"))
        if n < MINIMUM_POINTS:
            raise InputError(
                f"{LANGUAGE_NAMES[language]} has {n} models; at least {MINIMUM_POINTS} are "
                "expected for a line."
            )
    return {
        language: {
            side: fit_scaling(table, "reliable", n_boot, rng, hemisphere=side)
            for side in QUANTITIES
        }
        for language, table in tables.items()
    }


def without_smallest(tables: Mapping[str, pd.DataFrame], n: int = 2) -> dict[str, pd.DataFrame]:
    """The tables without each language's smallest models, on which a line may hang.

    Parameters
    ----------
    tables
        From `language_scores`.
    n
        Models to leave out.

    Returns
    -------
    dict
        Languages that keep at least three models.
    """
    result = {}
    for language, table in tables.items():
        order = select(table, "reliable")["model"]
        if len(order) - n >= MINIMUM_POINTS:
            result[language] = table[~table["model"].isin(order[:n])]
    return result


def fits_table(fits: Mapping[str, Mapping[str, LineFit]]) -> pd.DataFrame:
    """The lines of `language_fits` as a table, one row per language and quantity."""
    return pd.DataFrame(
        [
            {
                "language": LANGUAGE_NAMES[language],
                "quantity": QUANTITIES[side],
                **line_columns(fit),
            }
            for language, sides in fits.items()
            for side, fit in sides.items()
        ]
    )


def paper_rows(fits: Mapping[str, Mapping[str, LineFit]]) -> list[Printed]:
    """What the paper prints of every language, beside what is found here.

    Parameters
    ----------
    fits
        From `language_fits`.

    Returns
    -------
    list of Printed
        For `comparison.compare`. The paper prints correlations for English only.
    """
    rows = []
    panels = {"both": "rv_mean", "L-R": "rv_LmR"}
    for language, name in LANGUAGE_NAMES.items():
        for side, quantity in QUANTITIES.items():
            fit = fits.get(language, {}).get(side)
            what = f"{name}, {quantity} on log parameters"
            if language == "en" and fit is not None:
                rows += correlation(what, panels[side], fit.r, fit.p)
            else:
                rows.append(Printed(f"{what}: r", None, None if fit is None else fit.r))
    return rows


def reliability_table() -> pd.DataFrame:
    """What the listeners of the three languages share, from the paper's published maps.

    Returns
    -------
    pandas.DataFrame
        One row per language: listeners, voxels, mean inter-subject correlation, threshold of
        reliable voxels, and their numbers left and right of the midline.
    """
    table = published.isc_summary().set_index("lang").loc[list(LANGUAGE_NAMES)].reset_index()
    columns = {
        "n_subjects": "listeners",
        "n_voxels": "voxels",
        "isc_mean": "mean ISC",
        "isc_p75": "threshold",
        "n_reliable_strict_L": "reliable, left",
        "n_reliable_strict_R": "reliable, right",
    }
    table = table.assign(language=table["lang"].map(LANGUAGE_NAMES))
    return table[["language", *columns]].rename(columns=columns)


def numbers(fits: Mapping[str, Mapping[str, LineFit]]) -> dict[str, float]:
    """Numbers of the page.

    Returns
    -------
    dict
        `n_models_<language>`, `r_log_parameters_<language>`, `slope_per_decade_<language>`, and
        the same of left minus right: `r_log_parameters_difference_<language>`,
        `slope_difference_per_decade_<language>`.
    """
    result = {}
    for language, sides in fits.items():
        score, difference = sides["both"], sides["L-R"]
        result |= {
            f"n_models_{language}": score.n,
            f"r_log_parameters_{language}": score.r,
            f"slope_per_decade_{language}": score.slope,
            f"r_log_parameters_difference_{language}": difference.r,
            f"slope_difference_per_decade_{language}": difference.slope,
        }
    return result
