"""What listeners' responses say of language models: scores, what they go with, geometry, leaks.

Consistency that scores are compared with comes from two parts of the stimuli, scores from the other
two. The published way takes all stimuli for both.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from brainalign.concepts.consistency import consistency, excess_consistency, moments
from brainalign.concepts.decoupling import (
    Relation,
    cell_means,
    over_participants,
    published_relation,
    quartile_cells,
    relation,
)
from brainalign.concepts.encoding import Stimuli, encode_concepts
from brainalign.concepts.rsa import (
    count_concepts,
    nested_rsa,
    published_rsa,
    rsa_p_value,
    rsa_scores,
    two_factor_interval,
)
from brainalign.concepts.similarity import correlation_distances, crossnobis, repeat_residuals
from brainalign.parallel import progress

#: Penalties for some hundred standardised responses.
ALPHAS = tuple(10.0 ** np.arange(0, 6))
TRAINED, UNTRAINED = "trained", "untrained"
SHARED = "shared by all three"
PUBLISHED, DEFAULT = "published", "default"


def voxel_values(
    data: xr.Dataset, vectors: Mapping[str, np.ndarray], n_folds: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """What is compared over the voxels of the regions on the left.

    Parameters
    ----------
    data
        From `listeners.listener_data`.
    vectors
        From `reading.stimulus_vectors`.
    n_folds
        Folds of concepts.
    seed
        Of the folds, the same for all listeners.

    Returns
    -------
    dict
        Arrays (listener, voxel): `consistency` and `score` from all parts; `excess` from two of
        the four parts, `score_other` and `reliability` from the other two; `selectivity`. Scores
        are means over paradigms.
    """
    # Of all stimuli of a concept, whoever saw which of them.
    features = [list(vectors[name].mean(axis=1)) for name in data["paradigm"].to_numpy()]
    made = [
        _listener_values(values.to_numpy(), features, n_folds, seed)
        for values in progress(data["parts"], desc="scores")
    ]
    found = {name: np.stack([values[name] for values in made]) for name in made[0]}
    return found | {"selectivity": data["selectivity"].to_numpy()}


def _listener_values(
    parts: np.ndarray, features: list[list[np.ndarray]], n_folds: int, seed: int
) -> dict[str, np.ndarray]:
    """Values of one listener from parts of shape (paradigm, part, concept, voxel)."""
    whole, other = parts.mean(axis=1), parts[:, 2:].mean(axis=1)
    concepts = np.arange(parts.shape[2])
    scores = np.zeros(2 * parts.shape[3])
    for X, *responses in zip(features, whole, other, strict=True):
        stimuli = Stimuli(X, np.concatenate(responses, axis=1), concepts)
        rng = np.random.default_rng(seed)
        scores += encode_concepts(stimuli, rng, n_folds=n_folds, alphas=ALPHAS).r / len(parts)
    score, score_other = np.split(scores, 2)
    return {
        "consistency": consistency(whole),
        "score": score,
        "excess": excess_consistency(moments(parts[:, :2])),
        "score_other": score_other,
        "reliability": moments(parts[:, 2:]).reliability.mean(axis=0),
    }


def quartile_scores(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean score by quartile of consistency and of selectivity, (listener, 4, 4), as published."""
    names = ("score", "consistency", "selectivity")
    return np.stack(
        [
            cell_means(score, quartile_cells(own, selectivity))
            for score, own, selectivity in zip(*(values[name] for name in names), strict=True)
        ]
    )


def relation_table(values: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Does the score go with consistency, or with selectivity, the other one held fixed?

    Parameters
    ----------
    values
        From `voxel_values`.

    Returns
    -------
    pandas.DataFrame
        Columns `analysis`, `what`, `r`, `low`, `high` (95 % interval over listeners) and `p`.
        Published: correlation of the mean scores of quartiles with the quartile, in every listener.
        Default: partial correlation over voxels of score and excess consistency, from different
        stimuli, without selectivity and the reliability of the stimuli that are scored.
    """
    cells = quartile_scores(values)
    each = [published_relation(own[None]) for own in cells]
    rows = []
    for what in ("consistency", "selectivity"):
        means = np.array([np.nanmean(getattr(own, what)) for own in each])
        rows.append(_row(PUBLISHED, what, over_participants(means)))
    score, selectivity, excess, reliability = (
        values[name] for name in ("score_other", "selectivity", "excess", "reliability")
    )
    for what, args in {
        "consistency": (excess, score, selectivity, reliability),
        "selectivity": (selectivity, score, excess, reliability),
    }.items():
        rows.append(_row(DEFAULT, what, relation(*args)))
    return pd.DataFrame(rows)


def _row(analysis: str, what: str, found: Relation) -> dict:
    values = {"r": found.mean, "low": found.low, "high": found.high, "p": found.p}
    return {"analysis": analysis, "what": what} | values


def leak_table(
    data: xr.Dataset, vectors: Mapping[str, np.ndarray], n_folds: int, seed: int = 0
) -> pd.DataFrame:
    """Scores of regions with folds of concepts and with folds of single stimuli.

    Parameters
    ----------
    data
        From `listeners.listener_data`, of unrelated codes: nothing that is learned of some concepts
        holds for others.
    vectors
        From `reading.stimulus_vectors`.
    n_folds
        Folds.
    seed
        Of the folds.

    Returns
    -------
    pandas.DataFrame
        Columns `paradigm`, `folds` ("of concepts", "of stimuli"), `subject`, `r`: mean over
        regions and folds.
    """
    rows = []
    for subject, own in data["stimuli"].groupby("subject"):
        for paradigm, responses in own.squeeze("subject").groupby("paradigm"):
            values = responses.squeeze("paradigm").to_numpy()
            stimuli = _shown(values, vectors[str(paradigm)])
            for folds, grouped in {"of concepts": True, "of stimuli": False}.items():
                rng = np.random.default_rng(seed)
                scores = encode_concepts(stimuli, rng, None, n_folds, ALPHAS, grouped)
                r = float(np.nanmean(scores.r_fold))
                rows.append({"paradigm": paradigm, "folds": folds, "subject": subject, "r": r})
    return pd.DataFrame(rows)


def transfer_table(
    data: xr.Dataset,
    vectors: Mapping[str, np.ndarray],
    groups: Mapping[str, np.ndarray],
    n_folds: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Does a model of responses to sentences predict those to pictures of other concepts?

    Parameters
    ----------
    data, vectors, n_folds, seed
        As in `voxel_values`.
    groups
        Name of a group of regions -> whether each voxel on the left belongs to it.

    Returns
    -------
    pandas.DataFrame
        Columns `paradigm` (that is predicted, by a fit to the first one), `regions`, `subject`,
        `r`: mean over voxels.
    """
    names, rows = list(data["paradigm"].to_numpy()), []
    concepts = np.arange(data.sizes["concept"])
    for subject, own in progress(data["parts"].mean("part").groupby("subject"), desc="transfer"):
        shown = [
            Stimuli(list(vectors[name].mean(axis=1)), responses, concepts)
            for name, responses in zip(names, own.squeeze("subject").to_numpy(), strict=True)
        ]
        for name, test in zip(names, [None, *shown[1:]], strict=True):
            rng = np.random.default_rng(seed)
            r = encode_concepts(shown[0], rng, test, n_folds, ALPHAS).r
            for regions, inside in groups.items():
                row = {"paradigm": name, "regions": regions, "subject": subject}
                rows.append(row | {"r": float(np.nanmean(r[inside]))})
    return pd.DataFrame(rows)


def _shown(responses: np.ndarray, vectors: np.ndarray) -> Stimuli:
    """Rows for the stimuli that were shown; responses have shape (stimulus, concept, region)."""
    stimulus, concept = np.nonzero(np.isfinite(responses).all(axis=2))
    return Stimuli(list(vectors[:, stimulus, concept]), responses[stimulus, concept], concept)


def geometry_table(
    data: xr.Dataset,
    vectors: Mapping[str, Mapping[str, np.ndarray]],
    groups: Mapping[str, np.ndarray],
    n_boot: int,
    n_permutations: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Are concepts that are alike for a model alike for a brain?

    Parameters
    ----------
    data
        From `listeners.listener_data`.
    vectors
        Name of a model -> its `reading.stimulus_vectors`.
    groups
        Name of a group of regions -> whether each voxel on the left belongs to it.
    n_boot, n_permutations
        Bootstrap samples of listeners and concepts; permutations of concepts.
    seed
        Of both, and of splits.

    Returns
    -------
    pandas.DataFrame
        Columns `model`, `regions`, `concepts as` (a paradigm, or `SHARED`), `r`, `low`, `high`:
        Spearman correlation of distances, crossnobis in the brain, all layers of the model together;
        `p` of the best layer; `nested`, the layer chosen on other concepts and listeners;
        `best layer`, chosen where it is scored, with correlation distances (published).
    """
    rows = []
    parts = data["parts"].to_numpy()
    for regions, inside in groups.items():
        brains = _brain_distances(parts[..., inside], list(data["paradigm"].to_numpy()))
        for model, own in vectors.items():
            models = _model_distances(own, list(data["paradigm"].to_numpy()))
            for shown, distances in progress(models.items(), desc=f"{regions}, {model}"):
                row = {"model": model, "regions": regions, "concepts as": shown}
                rng = np.random.default_rng(seed)
                rows.append(row | _compared(distances, *brains[shown], n_boot, n_permutations, rng))
    return pd.DataFrame(rows)


def _compared(
    models: np.ndarray,
    brains: np.ndarray,
    correlations: np.ndarray,
    n_boot: int,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """One row of `geometry_table`."""
    together = stats.rankdata(models, axis=1).mean(axis=0)
    n_concepts = count_concepts(models.shape[1])
    found = two_factor_interval(rsa_scores(together, brains), n_concepts, n_boot, rng)
    return {
        "r": found.mean,
        "low": found.low,
        "high": found.high,
        "p": rsa_p_value(models, brains, n_permutations, rng),
        "nested": float(nested_rsa(models, brains, rng, n_splits=5).mean()),
        "best layer": float(published_rsa(models, correlations)[1].mean()),
    }


def _brain_distances(
    parts: np.ndarray, paradigms: list[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Crossnobis and correlation distances of all listeners, (listener, pair), by paradigm.

    Within a paradigm folds are halves of the stimuli, for what is shared they are paradigms. The
    noise comes from repeats that are not the folds.
    """
    found = {}
    halves = np.stack([parts[:, :, :2].mean(axis=2), parts[:, :, 2:].mean(axis=2)], axis=2)
    for number, name in enumerate(paradigms):
        others = np.arange(len(paradigms)) != number
        cross = [
            crossnobis(h[number], repeat_residuals(p[others]))
            for h, p in zip(halves, parts, strict=True)
        ]
        plain = [correlation_distances(h[number].mean(axis=0)) for h in halves]
        found[name] = np.stack(cross), np.stack(plain)
    means = parts.mean(axis=2)
    cross = [crossnobis(m, repeat_residuals(p)) for m, p in zip(means, parts, strict=True)]
    plain = [correlation_distances(m.mean(axis=0)) for m in means]
    return found | {SHARED: (np.stack(cross), np.stack(plain))}


def _model_distances(
    vectors: Mapping[str, np.ndarray], paradigms: list[str]
) -> dict[str, np.ndarray]:
    """Correlation distances in every configuration, (configuration, pair), by paradigm."""
    means = {name: vectors[name].mean(axis=1) for name in paradigms}
    means[SHARED] = np.mean([means[name] for name in paradigms], axis=0)
    return {
        name: np.stack([correlation_distances(layer) for layer in values])
        for name, values in means.items()
    }
