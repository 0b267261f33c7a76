"""The paper's other figures as tables: layers, training, Chinese, individuals, parcels, abilities.

All have the columns of the computed tables where these exist, so that one piece of code draws both;
`published.score_table` and `published.region_table` hold the scores of the main figures.
"""

import numpy as np
import pandas as pd

from brainalign.published import (
    HEMISPHERES,
    SCORE_COLUMNS,
    Column,
    Language,
    labelled,
    models,
    panel_rows,
    read,
)

CHECKPOINTS_OF = "pythia-6.9b"
_LAYER_PANELS = {
    f"{area}_{side}": (voxels, hemisphere)
    for area, voxels in [("wb", "all"), ("rv", "reliable")]
    for side, hemisphere in [("mean", "both"), ("LmR", "L-R")]
}


def sizes(language: Language = "en") -> pd.DataFrame:
    """The paper's models by name: index model; family, n_parameters, n_layers, n_hidden."""
    return (
        models(language)
        .set_index("name")
        .rename_axis("model")[["family", "n_parameters", "n_layers", "n_hidden"]]
    )


def _with_panel(table: pd.DataFrame) -> pd.DataFrame:
    """Voxels, statistic and hemisphere of layer panels, and family and size of their models."""
    voxels, hemispheres = zip(*table["panel"].map(_LAYER_PANELS), strict=True)
    table = table.assign(voxels=voxels, statistic="mean", hemisphere=hemispheres)
    return labelled(table.join(sizes(), on="model").assign(kind="language model", seed=pd.NA))


def layer_curves() -> pd.DataFrame:
    """Score of every layer of the 28 models: mean over voxels, and left minus right.

    Returns
    -------
    pandas.DataFrame
        Columns of a score table and layer, n_layers, relative_depth (0 to 1), hidden (True where
        the curve lies below another one in the figure), half_pixel (resolution, in score) and
        panel_mse (misfit of the whole panel: below 1 is exact, above 9 is uncertain). Voxels
        "all" and "reliable", hemisphere "both" and "L-R".
    """
    table = _with_panel(read("layer_curves_digitised").rename(columns={"value": "score"}))
    table["hidden"] = table["hidden"].astype(bool)
    columns = ["layer", "n_layers", "relative_depth", "hidden", "half_pixel", "panel_mse"]
    return table.assign(layer_rule="each layer")[SCORE_COLUMNS + columns]


def best_layers() -> pd.DataFrame:
    """Layer with the highest mean score in reliable voxels; integers, exact.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, n_parameters, n_layers, best_layer (0 is the first hidden state),
        relative_depth (k / n_layers), relative_depth_published (k / (n_layers + 1)).
    """
    table = sizes().join(models().set_index("name")[["best_layer_rv", "best_layer_rv_relative"]])
    table = table.reset_index(names="model").drop(columns="n_hidden")
    return table.rename(
        columns={
            "best_layer_rv": "best_layer",
            "best_layer_rv_relative": "relative_depth_published",
        }
    ).assign(relative_depth=lambda rows: rows["best_layer"] / rows["n_layers"])


def training_curve() -> pd.DataFrame:
    """Scores of the checkpoints of Pythia-6.9b in reliable voxels.

    Returns
    -------
    pandas.DataFrame
        Columns of a score table, step and unc95 (95 % uncertainty of the reading); hemisphere
        "both" and "L-R", by step. Their size is not among the paper's tables: n_parameters is NaN.
    """
    table = read("brain_scores_digitised").rename(columns={"value": "score"})
    step = table["model"].str.extract(rf"^{CHECKPOINTS_OF}_step(?P<step>\d+)$")
    table = table.join(step).dropna(subset="step").astype({"step": int})
    table["hemisphere"] = table["panel"].str.removeprefix("rv_").map(HEMISPHERES)
    about = {"model": CHECKPOINTS_OF, "family": "Pythia", "kind": "language model", "seed": pd.NA}
    table = labelled(
        table.assign(**about, n_parameters=np.nan, voxels="reliable", statistic="mean")
    )
    columns = [*SCORE_COLUMNS, "step", "unc95"]
    return table.sort_values(["hemisphere", "step"], ignore_index=True)[columns]


def trained_untrained() -> pd.DataFrame:
    """Left minus right of trained GPT-2 and Qwen1.5 models and of their untrained copies.

    Returns
    -------
    pandas.DataFrame
        Columns of a score table; kind "language model" or "untrained" (one seed), reliable voxels.
        Values are those of the training figure; its larger pixels make the trained ones coarser
        than in `score_table`.
    """
    table = panel_rows(r"rv_LmR_(?P<state>trained_fig|untrained_seed1)")
    untrained = table["state"] == "untrained_seed1"
    table.loc[untrained, "kind"] = "untrained"
    table.loc[untrained, "model"] += ":untrained-1"
    table.loc[untrained, "seed"] = 1
    return table.assign(voxels="reliable", statistic="mean", hemisphere="L-R")[SCORE_COLUMNS]


def chinese_table() -> pd.DataFrame:
    """Scores of ten models in Chinese listeners, and of the random features.

    Returns
    -------
    pandas.DataFrame
        Columns of a score table; reliable voxels, hemisphere "both" and "L-R".
    """
    table = panel_rows(r"cn_rv_(?P<side>mean|LmR)", language="cn")
    table["hemisphere"] = table["side"].map(HEMISPHERES)
    return table.assign(voxels="reliable", statistic="mean")[SCORE_COLUMNS]


def individuals() -> pd.DataFrame:
    """Scores of nine models in the first five English listeners, one by one.

    Returns
    -------
    pandas.DataFrame
        Columns listener and those of a score table; voxels "all", statistic "mean" or "90th
        percentile", hemisphere "both", "L", "R", "L-R".
    """
    table = panel_rows(r"ind_(?P<listener>EN\d+)_(?P<p90>p90)?_?(?P<side>mean|L|R|LmR)?")
    table["statistic"] = np.where(table["p90"].notna(), "90th percentile", "mean")
    table["hemisphere"] = table["side"].fillna("mean").map(HEMISPHERES)
    return table.assign(voxels="all")[["listener", *SCORE_COLUMNS]]


def isc_normalised(column: Column = "value_pixel_only") -> pd.DataFrame:
    """Scores divided by inter-subject correlation, mean over the reliable voxels of a side.

    Returns
    -------
    pandas.DataFrame
        Columns of a score table; statistic "mean of score / ISC", hemisphere "L", "R", "L-R".
    """
    table = panel_rows(r"rv_iscnorm_(?P<side>L|R|LmR)", column)
    table["hemisphere"] = table["side"].map(HEMISPHERES)
    return table.assign(voxels="reliable", statistic="mean of score / ISC")[SCORE_COLUMNS]


def parcels() -> pd.DataFrame:
    """Harvard-Oxford parcels: left minus right of ISC, and how the score's grows.

    Returns
    -------
    pandas.DataFrame
        Columns parcel, isc_difference, stars (of the paper's test over voxels), isc_unc95,
        isc_difference_cn, stars_cn, isc_unc95_cn, slope_difference (of left minus right, per
        decade), slope_unc95, certain (False where the slope was given to the parcel by an ISC
        difference that others share).
    """
    table = read("parcels_isc").rename(
        columns={
            "en_isc_LmR": "isc_difference",
            "en_stars": "stars",
            "en_unc": "isc_unc95",
            "cn_isc_LmR": "isc_difference_cn",
            "cn_stars": "stars_cn",
            "cn_unc": "isc_unc95_cn",
        }
    )
    return table.assign(
        slope_difference=table["en_slope_LmR_per_lnN"] * np.log(10),
        slope_unc95=table["slope_unc"] * np.log(10),
        certain=~table["slope_parcel_assignment"].str.startswith("ambiguous"),
    ).drop(columns=["parcel_index", "en_slope_LmR_per_lnN", "slope_unc", "slope_parcel_assignment"])


def abilities() -> pd.DataFrame:
    """What the 28 models can do: held-out perplexity (WikiText-2) and HellaSwag.

    Returns
    -------
    pandas.DataFrame
        Index model; perplexity, completion (part of the endings chosen rightly, 0 to 1).
    """
    table = models().set_index("name").rename_axis("model")
    return pd.DataFrame(
        {"perplexity": table["wikitext2_perplexity"], "completion": table["hellaswag"] / 100}
    )
