"""What Bonnasse-Gahot & Pallier (2024) printed and drew, as tables.

Values were digitised from the figures that the authors' notebooks stored; `published/README.md`
says how. `score_table` gives them the columns of a computed score table, so that one piece of code
draws both.
"""

from typing import Literal

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.files import PACKAGE

FOLDER = PACKAGE / "published"
SOURCE = "published values (digitised)"
Column = Literal["value_pixel_only", "value"]
Language = Literal["en", "fr", "cn"]
SCORE_COLUMNS = [
    *("model", "family", "kind", "seed", "n_parameters"),
    *("voxels", "statistic", "hemisphere", "score"),
    *("source", "layer_rule", "hemisphere_rule"),
]
HEMISPHERES = {"mean": "both", "L": "L", "R": "R", "LmR": "L-R"}
_VOXELS = {"wb": ("all", "mean"), "rv": ("reliable", "mean"), "p90": ("all", "90th percentile")}
_BASELINES = {
    "random_vector_300d": ("random-vectors-300", "random vectors"),
    "random_vector_1024d": ("random-vectors-1024", "random vectors"),
    "random_embedding_300d": ("random-embeddings-300", "random embeddings"),
    "random_embedding_1024d": ("random-embeddings-1024", "random embeddings"),
    "glove": ("glove-300", "word vectors"),
}


def read(name: str) -> pd.DataFrame:
    """One of the tables in the folder `published`, as it is."""
    return pd.read_csv(FOLDER / f"{name}.csv")


def models(language: Language = "en") -> pd.DataFrame:
    """The paper's language models: name, hub address, family, parameters, layers, width."""
    if language not in ("en", "fr", "cn"):
        raise InputError(f"language is {language!r}; 'en', 'fr' or 'cn' is expected.")
    return read(f"models_{language}")


def brain_scores() -> pd.DataFrame:
    """Every digitised brain score: model, panel, value, unc95, value_pixel_only, source, ..."""
    return read("brain_scores_digitised")


def tests() -> pd.DataFrame:
    """Every correlation printed on a figure, with its p value and what the points give."""
    return read("published_tests")


def single_predictor_fits() -> pd.DataFrame:
    """Line of every mean score on ln(parameters), from the digitised points."""
    return read("derived_single_predictor_fits")


def ols() -> pd.DataFrame:
    """The printed regressions on ln(parameters), number of layers and width."""
    return read("ols")


def roi_slopes() -> pd.DataFrame:
    """Slope of the score on ln(parameters) in each region of interest and hemisphere."""
    return read("roi_slopes")


def critical_reading() -> pd.DataFrame:
    """What a critical reading of these tables noted: name, what, value, tolerance or factor."""
    return read("critical_reading")


def concepts() -> pd.DataFrame:
    """What Ryskina et al. (2025) and their maps say: name, what, value, tolerance, source."""
    return read("concepts")


def isc_summary() -> pd.DataFrame:
    """Voxels, hemispheres and inter-subject correlation of the three languages."""
    return read("isc_summary")


def printed_correlation(
    dependent: str, predictor: str = "ln n_parameters", n: int | None = None
) -> pd.Series:
    """The printed test of one score against one predictor.

    Parameters
    ----------
    dependent
        Panel: "wb_mean", "rv_LmR", "p90_LmR", "roi_TP L-R", "ind_EN057_mean", ...
    predictor
        As in the table of tests.
    n
        Number of models, where the paper tests several choices of them; None takes the largest.

    Returns
    -------
    pandas.Series
        Row of `tests()`.

    Raises
    ------
    InputError
        If the paper printed no such test.
    """
    table = tests()
    found = table[(table["dependent"] == dependent) & (table["predictor"] == predictor)]
    found = found[found["n"] == (found["n"].max() if n is None else n)]
    if len(found) != 1:
        raise InputError(f"The paper prints no correlation of {dependent!r} with {predictor!r}.")
    return found.iloc[0]


def _values(column: Column, names: list[str] | None, language: Language) -> pd.DataFrame:
    """Model, panel and score of the digitised points, with family, kind, size and source."""
    if column not in ("value_pixel_only", "value"):
        raise InputError(f"column is {column!r}; 'value_pixel_only' or 'value' is expected.")
    known = models(language).rename(columns={"name": "model"})
    unknown = sorted(set(names or []) - set(known["model"]))
    if unknown:
        raise InputError(
            f"The published scores have no model {unknown[0]!r}; they have "
            f"{', '.join(known['model'])}."
        )
    table = brain_scores()
    # Of panels that were never shifted to agree with the print, and of printed values, `value` is
    # the only column.
    table["score"] = table[column].fillna(table["value"])
    wanted = known["model"] if names is None else names
    points = table[table["model"].isin(wanted)].merge(
        known[["model", "family", "n_parameters"]], on="model"
    )
    points = points.assign(kind="language model", seed=pd.NA)
    return labelled(pd.concat([points, _baselines(table)]))


def _baselines(table: pd.DataFrame) -> pd.DataFrame:
    controls = table[table["model"].isin(_BASELINES)].copy()
    controls["kind"] = [_BASELINES[name][1] for name in controls["model"]]
    controls["model"] = [_BASELINES[name][0] for name in controls["model"]]
    return controls.assign(family=controls["kind"], n_parameters=np.nan, seed=pd.NA)


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """The columns that say of every published score where it is from and by which rules."""
    return table.assign(
        seed=table["seed"].astype("Int64"),
        source=SOURCE,
        layer_rule="published",
        hemisphere_rule="published",
    )


def panel_rows(
    pattern: str,
    column: Column = "value_pixel_only",
    names: list[str] | None = None,
    language: Language = "en",
) -> pd.DataFrame:
    """Digitised points of the panels whose whole name matches a pattern.

    Parameters
    ----------
    pattern
        Regular expression with at least one named group, for instance `rv_(?P<side>L|R)`.
    column, names
        As for `score_table`.
    language
        Whose models to take.

    Returns
    -------
    pandas.DataFrame
        Columns of `brain_scores`, family, kind, seed, n_parameters, score, source, layer_rule,
        hemisphere_rule and the named groups of the pattern.

    Raises
    ------
    InputError
        For another column or an unknown model.
    """
    values = _values(column, names, language).reset_index(drop=True)
    groups = values["panel"].str.extract(f"^{pattern}$")
    found = groups.notna().any(axis=1)
    return values[found].join(groups[found]).reset_index(drop=True)


def score_table(
    column: Column = "value_pixel_only", names: list[str] | None = None
) -> pd.DataFrame:
    """Scores of the 28 models and of the paper's controls, in the columns of a score table.

    Parameters
    ----------
    column
        "value_pixel_only" is what the pixels give; "value" was shifted to agree with the printed
        regressions.
    names
        Language models to keep; None keeps all 28. Controls are always kept.

    Returns
    -------
    pandas.DataFrame
        One row per model, voxels ("all", "reliable"), statistic ("mean", "90th percentile") and
        hemisphere ("both", "L", "R", "L-R"), where the paper gives the value. Of the untrained
        models it gives L-R in reliable voxels only.

    Raises
    ------
    InputError
        For another column or an unknown model.
    """
    values = panel_rows(
        r"(?P<area>wb|rv|p90)_(?P<side>mean|L|R|LmR)(?P<untrained>_untrained_seed1)?", column, names
    )
    untrained = values["untrained"].notna()
    values.loc[untrained, "kind"] = "untrained"
    values.loc[untrained, "model"] += ":untrained-1"
    values.loc[untrained, "seed"] = 1
    values["voxels"] = [_VOXELS[area][0] for area in values["area"]]
    values["statistic"] = [_VOXELS[area][1] for area in values["area"]]
    values["hemisphere"] = values["side"].map(HEMISPHERES)
    return values[SCORE_COLUMNS]


def region_table(
    column: Column = "value_pixel_only", names: list[str] | None = None
) -> pd.DataFrame:
    """Scores in the seven regions of interest, with the columns of `regions.roi_table`.

    Parameters
    ----------
    column, names
        As for `score_table`.

    Returns
    -------
    pandas.DataFrame
        One row per model, region and hemisphere ("L", "R").
    """
    values = panel_rows(r"roi_(?P<roi>\w+)_(?P<hemisphere>[LR])", column, names)
    values["n_voxels"] = values["roi"].map(roi_slopes().set_index("roi")["n_voxels_per_hemisphere"])
    columns = [name for name in SCORE_COLUMNS if name not in ("voxels", "statistic")]
    columns.insert(columns.index("hemisphere"), "roi")
    columns.insert(columns.index("score"), "n_voxels")
    return values[columns]
