"""The page of lessons: its brain and models, one table per lesson, and the numbers to keep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brainalign import lessons, lessons_nulls, lessons_slopes, published
from brainalign.comparison import Printed
from brainalign.fitting import load_responses
from brainalign.lessons_brains import (
    fit,
    model_regressors,
    sample_voxels,
    side_by_side,
    silent,
    small_brain,
    true_signal,
    word_regressors,
)
from brainalign.ridge import prepare_responses
from brainalign.study import Study

MODEL, RANDOM, TIME = "language model", "random vectors per word", "bumps in time, no words"
# Of the lesson on leakage: enough to see it, and few enough that it takes seconds.
_RUNS, _EVERY, _RANDOM = 5, 3, "random-vectors-100"
_LAYER = "random-vectors-16"


@dataclass(frozen=True)
class Material:
    """What the lessons are about.

    Attributes
    ----------
    study : Study
        The testbed.
    brain : Study
        Regions of interest and a sample of other voxels, from `lessons_brains.small_brain`.
    responses : list of numpy.ndarray
        Of its average listener: one array (scans, voxels) per run.
    regressors : dict
        Language model, smallest first -> one array (scans, units) per run.
    sizes : dict
        Language model -> number of parameters.
    seed : int
        Of the brains.
    """

    study: Study
    brain: Study
    responses: list[np.ndarray]
    regressors: dict[str, list[np.ndarray]]
    sizes: dict[str, float]
    seed: int

    @property
    def in_regions(self) -> np.ndarray:
        """Voxels of the small brain that are in a region of interest, (voxels,), bool."""
        return (self.brain.voxels["roi"] != "").to_numpy()

    @property
    def third(self) -> np.ndarray:
        """Every third voxel of the regions of interest of the testbed, (voxels,), bool."""
        keep = np.zeros(self.study.n_voxels, dtype=bool)
        keep[np.flatnonzero(sample_voxels(self.study, 0))[::_EVERY]] = True
        return keep

    def model(self, part: float) -> str:
        """The model so far through the list, from 0 (the smallest) to 1 (the largest)."""
        return list(self.regressors)[round(part * (len(self.regressors) - 1))]


def gather(n_elsewhere: int, n_models: int, seed: int = 0) -> Material:
    """A small simulated brain and language models of all sizes.

    Parameters
    ----------
    n_elsewhere
        Voxels outside the regions of interest.
    n_models
        Of the testbed's own, spread over their sizes.
    seed
        Of the brain and of the sample of voxels.
    """
    from brainalign.choices import default_models, spread_models
    from brainalign.models import describe
    from brainalign.studies import load_study

    study = load_study("testbed")
    names = spread_models(default_models("testbed"), n_models)
    brain = small_brain(study, sample_voxels(study, n_elsewhere, seed), seed)
    sizes = {name: float(describe(name).n_parameters) for name in names}
    return Material(
        study, brain, load_responses(brain), model_regressors(study, names), sizes, seed
    )


def leaks(known: Material, blocks: Sequence[int], rng: np.random.Generator) -> pd.DataFrame:
    """`lessons.leakage` of a language model and of two kinds of features that know nothing.

    Parameters
    ----------
    known
        From `gather`.
    blocks, rng
        As for `lessons.leakage`.
    """
    voxels = np.flatnonzero(known.in_regions)[::_EVERY]
    responses = [run[:, voxels] for run in known.responses[:_RUNS]]
    features = {
        MODEL: known.regressors[known.model(0.5)],
        RANDOM: word_regressors(known.study, _RANDOM),
        TIME: lessons.time_bumps([len(run) for run in responses], step=4),
    }
    features = {name: runs[:_RUNS] for name, runs in features.items()}
    return lessons.leakage(features, responses, blocks, rng)


def layer_choices(known: Material, n_layers: int, rng: np.random.Generator) -> pd.DataFrame:
    """`lessons.invented` of random vectors, in the regions of interest.

    Parameters
    ----------
    known
        From `gather`.
    n_layers
        Random vectors, each of which stands for a layer.
    rng
        As for `lessons.invented`.
    """
    layers = [word_regressors(known.study, f"{_LAYER}:seed-{n}") for n in range(n_layers)]
    responses = prepare_responses([run[:, known.in_regions] for run in known.responses])
    return lessons.invented(lessons.layers_of_nothing(layers, responses), rng)


def responses_slowness(known: Material) -> float:
    """Mean correlation of neighbouring scans in the responses of the regions of interest."""
    return float(lessons_nulls.lag_one_correlation(known.responses[0][:, known.in_regions]).mean())


def ceilings(known: Material, n_splits: int = 20) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """True and estimated noise ceilings, and `lessons.divided` for a perfect model.

    Parameters
    ----------
    known
        From `gather`.
    n_splits
        Splits of the listeners into halves.

    Returns
    -------
    true, estimate : numpy.ndarray
        Shape (voxel,).
    groups : pandas.DataFrame
    """
    from brainalign.reliability import noise_ceiling

    true = known.brain.truth["noise_ceiling"].to_numpy()
    estimate = noise_ceiling(known.brain, n_splits, known.seed).to_numpy()
    score = lessons.perfect_scores(true_signal(known.brain), known.responses)
    return true, estimate, lessons.divided(true, estimate, score)


def counts(known: Material, n_brains: int) -> pd.DataFrame:
    """What rules find in brains of pure noise, and in one in which some voxels are silent.

    Parameters
    ----------
    known
        From `gather`.
    n_brains
        Brains of pure noise.

    Returns
    -------
    pandas.DataFrame
        Columns rule; of noise: part (of voxels found), brains (part with at least one); of the
        brain: found, false, missed.
    """
    seeds = range(known.seed, known.seed + n_brains)
    empty = [small_brain(known.study, known.third, s, gains=(0, 0), alone=True) for s in seeds]
    noise = side_by_side([load_responses(brain) for brain in empty])
    r_noise = fit(known.regressors[known.model(0.5)], noise).r
    r = fit(known.regressors[known.model(1)], prepare_responses(known.responses)).r
    found = lessons.discoveries(r, silent(known.brain))
    return lessons.noise_discoveries(r_noise, n_brains).merge(found, on="rule", sort=False)


def counts_page_table(found: pd.DataFrame, known: Material) -> pd.DataFrame:
    """`counts` with the headings of the page."""
    n = int(silent(known.brain).sum())
    names = {
        "rule": "called predicted",
        "part": "noise: part of voxels",
        "brains": "noise: brains with any",
        "found": "brain: voxels found",
        "false": f"of {n:,d} silent",
        "missed": "missed",
    }
    return found.rename(columns=names)


def slopes(known: Material, weaker: Sequence[float], n_brains: int) -> pd.DataFrame:
    """`lessons_slopes.side_table` of brains that are alike, weaker on the right, or planted.

    Parameters
    ----------
    known
        From `gather`.
    weaker
        Factors of the signal on the right.
    n_brains
        Brains of every kind.
    """
    kinds = lessons_slopes.kinds(weaker)
    seeds = range(known.seed, known.seed + n_brains)
    return lessons_slopes.side_table(
        known.study, known.third, known.regressors, known.sizes, kinds, seeds
    )


def score_at(found: pd.DataFrame, features: str, whole: bool) -> float:
    """Score of some features with single scans shuffled, or with whole runs left out."""
    rows = found[found["features"] == features].sort_values("block")
    return float(rows["score"].iloc[-1 if whole else 0])


def folds_table(found: pd.DataFrame) -> pd.DataFrame:
    """Scores with shuffled and with contiguous folds, in three published data sets and here.

    Parameters
    ----------
    found
        From `leaks`.

    Returns
    -------
    pandas.DataFrame
        Columns data, features, shuffled, contiguous.
    """
    printed = published.read("pitfalls").pivot(
        index=["data", "features"], columns="folds", values="value"
    )
    rows = [
        ("here, simulated", name, score_at(found, name, False), score_at(found, name, True))
        for name in (MODEL, TIME)
    ]
    here = pd.DataFrame(rows, columns=["data", "features", "shuffled", "contiguous"])
    columns = ["data", "features", "shuffled", "contiguous"]
    return pd.concat([here, printed.reset_index()[columns]], ignore_index=True)


def paper_rows(found: pd.DataFrame) -> list[Printed]:
    """What shuffling added to scores in three published data sets, beside what it adds here.

    Parameters
    ----------
    found
        From `leaks`.
    """
    table = folds_table(found)
    table["gain"] = table["shuffled"] - table["contiguous"]
    here = table[table["data"] == "here, simulated"].set_index("features")["gain"]
    rows = []
    for theirs, ours in [("GPT2-XL", MODEL), ("OASM", TIME)]:
        for row in table[table["features"] == theirs].itertuples():
            rows.append(Printed(f"{row.data}, {theirs}; here: {ours}", row.gain, here[ours]))
    return rows


def numbers(
    leaked: pd.DataFrame,
    chosen: pd.DataFrame,
    rates: pd.DataFrame,
    groups: pd.DataFrame,
    counted: pd.DataFrame,
    sides: pd.DataFrame,
) -> dict[str, float]:
    """Numbers of the page.

    Parameters
    ----------
    leaked, chosen, rates, groups, counted, sides
        From `leaks`, `layer_choices`, `lessons_nulls.false_positives`, `ceilings`, `counts`, `slopes`.
    """
    found = {}
    for features, name in [(MODEL, "model"), (RANDOM, "random"), (TIME, "time")]:
        found[f"shuffled_{name}"] = score_at(leaked, features, whole=False)
        found[f"whole_runs_{name}"] = score_at(leaked, features, whole=True)
    last = chosen.iloc[-1]
    found["invented_by_choice"] = last[lessons.CHOSEN] - last[lessons.NESTED]
    names = ("pearson", "fewer_scans", "blocks", "shifts")
    slowest = rates[rates["lag_one"] == rates["lag_one"].max()].set_index("test")["rate"]
    for test, name in zip(lessons_nulls.TESTS, names, strict=True):
        found[f"false_positives_{name}"] = slowest[test]
    weakest = groups.iloc[0]
    found |= {"quotient_low": weakest["low"], "quotient_high": weakest["high"]}
    found["quotient_undefined"] = weakest["undefined"]
    names = ("as_if_independent", "uncorrected", "fdr", "holm")
    for row, name in zip(counted.itertuples(), names, strict=True):
        found |= {f"noise_{name}": row.part, f"noise_brains_{name}": row.brains}
    means = lessons_slopes.brain_slopes(sides).groupby("kind", sort=False).mean()
    for kind, row in means.iterrows():
        name = kind.replace(" × ", "_").replace(" ", "_")
        found |= {f"{column}_{name}": row[column] for column in lessons_slopes.SLOPES}
    return found
