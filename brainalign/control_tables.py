"""What `controls.control_scores` found, as tables, numbers and sentences."""

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.controls import (
    BOXCARS,
    CODINGS,
    IMPULSES,
    JOINT,
    MODEL,
    RANDOM,
    SAMPLED_VOXELS,
)
from brainalign.statistics import bootstrap_indices, jackknife_interval, percentile_interval
from brainalign.wording import number, short_name

SHIFTED = "shifted features"
_NUMBER_NAMES = {
    BOXCARS: "word_rate",
    IMPULSES: "word_rate_impulses",
    JOINT: "joint",
    RANDOM: "random_embeddings",
}
_TESTS = ("p", "q", "p_blocks", "q_blocks")


def feature_name(features: str, model: str) -> str:
    """Name of a set of features on a page: the language model by its own name."""
    return features.replace(MODEL, short_name(model), 1) if features in (MODEL, JOINT) else features


def score_table(controls: xr.Dataset, n_boot: int, rng: np.random.Generator) -> pd.DataFrame:
    """Every score with its intervals, one row per region and features.

    Parameters
    ----------
    controls
        From `controls.control_scores`.
    n_boot
        Bootstrap samples of listeners.
    rng
        Seeded generator.

    Returns
    -------
    pandas.DataFrame
        Columns region, features, score, low, high (average listener and its interval), listeners,
        listeners low, listeners high (mean of the individual listeners and its interval), p, q
        (of the model, by shifts), p blocks, q blocks (by blocks). The features "shifted features"
        have the mean over shifts as score, and nothing and the 95 % point of the shifts as low and
        high.
    """
    low, high = jackknife_interval(
        controls["score"].to_numpy(), controls["without"].transpose("listener", ...).to_numpy()
    )
    alone = controls["alone"].transpose("listener", "features", "region").to_numpy()
    samples = alone[bootstrap_indices(len(alone), n_boot, rng)].mean(axis=1)
    alone_low, alone_high = percentile_interval(samples)
    rows = []
    for place, region in enumerate(controls["region"].values):
        tests = {name.replace("_", " "): float(controls[name][place]) for name in _TESTS}
        for k, features in enumerate(controls["features"].values):
            rows.append(
                {
                    "region": region,
                    "features": feature_name(features, controls.attrs["model"]),
                    "score": float(controls["score"][k, place]),
                    "low": low[k, place],
                    "high": high[k, place],
                    "listeners": alone[:, k, place].mean(),
                    "listeners low": alone_low[k, place],
                    "listeners high": alone_high[k, place],
                }
                | (tests if features == MODEL else {})
            )
        shift = controls["shift"].to_numpy()[:, place]
        edges = {"low": np.nan, "high": np.quantile(shift, 0.95)}
        rows.append({"region": region, "features": SHIFTED, "score": shift.mean(), **edges})
    return pd.DataFrame(rows)


def _spread(table: pd.DataFrame, score: str, low: str, high: str, digits: int = 2) -> pd.DataFrame:
    """Regions in rows, features in columns, "0.53 (0.45, 0.62)" in the cells."""
    columns = [[number(value, digits) for value in table[name]] for name in (score, low, high)]
    text = [f"{middle} ({left}, {right})" for middle, left, right in zip(*columns, strict=True)]
    shown = table.assign(text=text).pivot(index="region", columns="features", values="text")
    return shown.loc[table["region"].unique(), table["features"].unique()].rename_axis(columns=None)


def average_table(controls: xr.Dataset, table: pd.DataFrame) -> pd.DataFrame:
    """Scores of the average listener with their intervals, and the noise ceiling, in columns."""
    shown = _spread(table[table["features"] != SHIFTED], "score", "low", "high")
    ceilings = controls["ceiling"].to_series().map(lambda value: number(value, 2))
    return shown.assign(**{"noise ceiling": ceilings})


def listener_table(table: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of the individual listeners with their intervals."""
    part = table[table["features"] != SHIFTED]
    return _spread(part, "listeners", "listeners low", "listeners high")


def chance_table(controls: xr.Dataset, of_voxels: bool) -> pd.DataFrame:
    """The model's score per region beside what chance gives.

    Parameters
    ----------
    controls
        From `controls.control_scores`.
    of_voxels
        Whether regions have voxels of their own, whose share of significant ones is then shown.

    Returns
    -------
    pandas.DataFrame
        Columns region, score, mean of the model's shifted scores, what 95 % of them are below, the
        same of word rate, p and q by shifts, p and q by blocks, and the share of voxels with
        q < .05 by blocks.
    """
    model, ends = short_name(controls.attrs["model"]), chance_levels(controls)
    table = pd.DataFrame(
        {
            "region": controls["region"].values,
            f"score of {model}": controls["score"].sel(features=MODEL),
            "shifted: mean": controls["shift"].mean("shift"),
            "shifted: 95 % are below": ends[MODEL],
            "word rate shifted: 95 % are below": ends[BOXCARS],
            "p (shifted)": controls["p"],
            "q (shifted)": controls["q"],
            "p (blocks)": controls["p_blocks"],
            "q (blocks)": controls["q_blocks"],
        }
    )
    if of_voxels:
        shares = controls["significant"].values
        table["voxels with q < .05 (blocks)"] = [f"{100 * share:.0f} %" for share in shares]
    return table


def chance_caption(controls: xr.Dataset, of_voxels: bool) -> str:
    """Caption of `chance_table`: how many shifts and permutations, and the least p they allow."""
    shifts, permutations = controls.sizes["shift"], controls.attrs["n_permutations"]
    sampled = f" Shifts: {SAMPLED_VOXELS} voxels of each region." if of_voxels else ""
    return (
        f"The model's score beside what chance gives: {shifts:,} shifts, {permutations:,} "
        f"permutations of blocks.{sampled} The smallest possible p is 1/{shifts + 1:,} by shifts "
        f"and 1/{permutations + 1:,} by blocks."
    )


def chance_levels(controls: xr.Dataset) -> dict[str, np.ndarray]:
    """What 95 % of the scores after shifts are below, of the model and of word rate, (region,)."""
    shifts = {MODEL: controls["shift"], BOXCARS: controls["shift_word_rate"]}
    return {name: np.quantile(values.to_numpy(), 0.95, axis=0) for name, values in shifts.items()}


def _differences(hrf: str) -> list[tuple[str, str]]:
    """Pairs of features whose difference says what the first one adds.

    The joint model is compared with the word rate that is coded as its own, if there is one.
    """
    joint = [(JOINT, CODINGS[hrf])] if hrf in CODINGS else []
    return [(MODEL, BOXCARS), (MODEL, IMPULSES), *joint, (MODEL, RANDOM)]


def difference_table(controls: xr.Dataset) -> pd.DataFrame:
    """What some features score more than others, with the interval over listeners.

    Returns
    -------
    pandas.DataFrame
        Columns region, difference, value, low, high; the same pairs in every region. Both scores
        come from the same averages, so that what listeners share cancels out.
    """
    model, parts = controls.attrs["model"], []
    for first, second in _differences(controls.attrs["hrf"]):
        names = [feature_name(name, model) for name in (first, second)]
        score, without = (
            controls[name].sel(features=first) - controls[name].sel(features=second)
            for name in ("score", "without")
        )
        low, high = jackknife_interval(score.to_numpy(), without.to_numpy())
        columns = {"region": controls["region"].values, "difference": " − ".join(names)}
        parts.append(pd.DataFrame({**columns, "value": score, "low": low, "high": high}))
    return pd.concat(parts, ignore_index=True)


def difference_page_table(differences: pd.DataFrame) -> pd.DataFrame:
    """Differences for the page: regions in rows, digits enough to see what is above zero."""
    renamed = differences.rename(columns={"difference": "features"})
    return _spread(renamed, "value", "low", "high", digits=3)


def sensitivity_table(scores: xr.DataArray, model: str) -> pd.DataFrame:
    """Scores under other choices for the page, one row per choice and features."""
    rows = [
        {
            "choice": choice,
            "features": feature_name(features, model),
            **dict(zip(scores["region"].values, values, strict=True)),
        }
        for choice, both in zip(scores["choice"].values, scores.values, strict=True)
        for features, values in zip(scores["features"].values, both, strict=True)
    ]
    return pd.DataFrame(rows)


def numbers(controls: xr.Dataset, table: pd.DataFrame) -> dict[str, float]:
    """Numbers of a page of one model.

    Parameters
    ----------
    controls
        From `controls.control_scores`.
    table
        Its `score_table`.

    Returns
    -------
    dict
        `n_models`; `r_log_parameters` and `slope_per_decade`, which do not exist for one model;
        `score_<features>_<region>` and `ci_low_…`, `ci_high_…` of the average listener,
        `listeners_…` of the individual ones, where features are the model, `word_rate`,
        `word_rate_impulses`, `joint` and `random_embeddings`; `score_shifted_<region>` (mean over
        shifts), `shifted_95_<region>`, `shifted_95_word_rate_<region>`; `p_<region>` and
        `q_<region>` by shifts, `p_blocks_<region>` and `q_blocks_<region>`; `ceiling_<region>`.
    """
    model = controls.attrs["model"]
    keys = {feature_name(name, model): key for name, key in _NUMBER_NAMES.items()}
    keys[feature_name(MODEL, model)] = model
    result = {"n_models": 1, "r_log_parameters": np.nan, "slope_per_decade": np.nan}
    of_rate = dict(zip(controls["region"].values, chance_levels(controls)[BOXCARS], strict=True))
    result |= {f"ceiling_{name}": value for name, value in controls["ceiling"].to_series().items()}
    for row in table.to_dict("records"):
        region = row["region"]
        if row["features"] == SHIFTED:
            result[f"score_shifted_{region}"] = row["score"]
            result[f"shifted_95_{region}"] = row["high"]
            result[f"shifted_95_word_rate_{region}"] = of_rate[region]
            continue
        end = f"{keys[row['features']]}_{region}"
        result[f"score_{end}"] = row["score"]
        result |= {f"ci_low_{end}": row["low"], f"ci_high_{end}": row["high"]}
        result[f"listeners_{end}"] = row["listeners"]
        if row["features"] == feature_name(MODEL, model):
            result |= {f"{name}_{region}": row[name.replace("_", " ")] for name in _TESTS}
    return result


def _range(scores: xr.DataArray) -> str:
    """Lowest and highest score with their regions: "0.40 (LPreM) to 0.53 (LATL)"."""
    ends = (scores.isel(region=end) for end in (scores.argmin("region"), scores.argmax("region")))
    return " to ".join(f"{number(end.item(), 2)} ({end['region'].item()})" for end in ends)


def better_coding(controls: xr.Dataset) -> str:
    """The coding of word rate that scores more, mean over regions."""
    return max(
        BOXCARS, IMPULSES, key=lambda name: controls["score"].sel(features=name).mean().item()
    )


def _places(above: np.ndarray, regions: np.ndarray) -> str:
    """How many regions, and which: "2 of 6 regions (LATL, RATL)"."""
    names = f" ({', '.join(regions[above])})" if above.any() else ""
    return f"{int(above.sum())} of {len(regions)} regions{names}"


def findings(controls: xr.Dataset, differences: pd.DataFrame, choices: xr.DataArray) -> str:
    """What the page finds and how far it depends on choices, with its numbers, as Markdown.

    Parameters
    ----------
    controls, differences
        From `controls.control_scores` and `difference_table`.
    choices
        From `controls.sensitivity`.

    Returns
    -------
    str
    """
    model, score = short_name(controls.attrs["model"]), controls["score"]
    regions, best = controls["region"].values, better_coding(controls)
    parts = dict(list(differences.groupby("difference", sort=False)))
    hardest = parts.pop(f"{model} − {best}")
    led = ";\n".join(
        f"- {name}: above zero in {int((part['value'] > 0).sum())} of {len(regions)} regions, with "
        f"the whole interval in {int((part['low'] > 0).sum())}"
        for name, part in parts.items()
    )
    ends = chance_levels(controls)
    chance, of_rate = (f"{number(e.min(), 2)} to {number(e.max(), 2)}" for e in ends.values())
    above = int((score.sel(features=MODEL).to_numpy() > ends[MODEL]).sum())
    sure = int((controls["q"] < 0.05).sum())
    gained = choices.sel(features=MODEL) - choices.sel(features=best)
    spans = [
        f"{feature_name(name, model)} {number(values.min(), 2)} to {number(values.max(), 2)}"
        for name in (MODEL, BOXCARS, IMPULSES)
        for values in [choices.sel(features=name).to_numpy()]
    ]
    return (
        f"**What is found.** Against the better coding of word rate ({best}), the whole interval of "
        f"the difference is above zero in {_places((hardest['low'] > 0).to_numpy(), regions)}. "
        f"{model} scores {_range(score.sel(features=MODEL))}; word rate scores "
        f"{_range(score.sel(features=BOXCARS))} as boxcars and "
        f"{_range(score.sel(features=IMPULSES))} as impulses. The other differences are\n\n{led}."
        f"\n\n**What chance gives.** Shifted in time, the features of {model} score "
        f"{number(float(controls['shift'].mean()), 2)} on average, but 5 % of the shifts score above "
        f"{chance}, depending on the region; of word rate, above {of_rate}. So a score of {model} "
        f"below that says nothing. The true one is above it in {above} of {len(regions)} regions, "
        f"with q < .05 over regions in {sure}.\n\n"
        f"**How far it depends on choices.** Over the {choices.sizes['choice']} choices of the "
        f"table above and all regions, scores are: {'; '.join(spans)}. {model} minus {best} is "
        f"{number(gained.min().item(), 2)} to {number(gained.max().item(), 2)}; it is above zero "
        f"under every choice in {_places((gained > 0).all('choice').to_numpy(), regions)}."
    )
