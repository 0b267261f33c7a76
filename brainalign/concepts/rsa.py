"""Representational similarity: distances between concepts in a model's layers and in brains.

The published comparison takes the layer that fits best where it is scored, which adds chance to
every score. Here the layer is chosen on other concepts and participants, and intervals hold for new
ones of both.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from brainalign.concepts.similarity import MINIMUM_CONCEPTS
from brainalign.errors import InputError


@dataclass(frozen=True)
class Similarity:
    """Mean similarity over participants, with an interval for new participants and concepts.

    Attributes
    ----------
    mean : float
        Over participants.
    low, high : float
        Edges of the interval.
    error : float
        Standard error.
    """

    mean: float
    low: float
    high: float
    error: float


def rank_correlations(models: np.ndarray, brains: np.ndarray) -> np.ndarray:
    """Spearman correlation of every layer's distances with every participant's.

    Parameters
    ----------
    models
        Shape (layer, pair).
    brains
        Shape (participant, pair).

    Returns
    -------
    numpy.ndarray
        Shape (participant, layer).

    Raises
    ------
    InputError
        For different numbers of pairs, and values that are not finite.
    """
    models, brains = np.atleast_2d(models), np.atleast_2d(brains)
    if models.shape[1] != brains.shape[1]:
        raise InputError(
            f"The models have {models.shape[1]} pairs of concepts and the brains "
            f"{brains.shape[1]}; the same concepts are expected."
        )
    if not (np.isfinite(models).all() and np.isfinite(brains).all()):
        raise InputError("Distances of models or brains are missing; finite ones are expected.")
    return _unit_ranks(brains) @ _unit_ranks(models).T


def _unit_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, with mean 0 and norm 1."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=-1)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    norm = np.linalg.norm(ranks, axis=-1, keepdims=True)
    return ranks / np.where(norm > 0, norm, np.inf)


def published_rsa(models: np.ndarray, brains: np.ndarray) -> tuple[int, np.ndarray]:
    """Layer with the highest mean correlation, scored where it was chosen (section 6).

    Parameters
    ----------
    models, brains
        As in `rank_correlations`; the paper's are `correlation_distances`.

    Returns
    -------
    layer : int
    scores : numpy.ndarray
        Shape (participant,).
    """
    scores = rank_correlations(models, brains)
    layer = int(scores.mean(axis=0).argmax())
    return layer, scores[:, layer]


def nested_rsa(
    models: np.ndarray, brains: np.ndarray, rng: np.random.Generator, n_splits: int = 20
) -> np.ndarray:
    """Correlation of distances at a layer chosen on other concepts and other participants.

    Parameters
    ----------
    models, brains
        As in `rank_correlations`.
    rng
        Seeded generator.
    n_splits
        Random splits of the concepts into halves; each half is scored at the layer that is best in
        the other half for the other participants (with one participant, for itself).

    Returns
    -------
    numpy.ndarray
        Shape (participant,): mean over splits and halves.

    Raises
    ------
    InputError
        As `rank_correlations`, and for fewer than eight concepts.
    """
    models, brains = np.atleast_2d(models), np.atleast_2d(brains)
    n_concepts = count_concepts(models.shape[1])
    if n_concepts < 2 * MINIMUM_CONCEPTS:
        raise InputError(
            f"There are {n_concepts} concepts; at least 8 are expected, in two halves."
        )
    apart = 1 - np.eye(len(brains)) if len(brains) > 1 else np.ones((1, 1))
    found = np.zeros(len(brains))
    for _ in range(n_splits):
        order = rng.permutation(n_concepts)
        halves = [order[: n_concepts // 2], order[n_concepts // 2 :]]
        kept = [concept_pairs(half, n_concepts) for half in halves]
        scores = [rank_correlations(models[:, pairs], brains[:, pairs]) for pairs in kept]
        for choice, scored in (scores, scores[::-1]):
            layers = (apart @ choice).argmax(axis=1)
            found += scored[np.arange(len(brains)), layers]
    return found / (2 * n_splits)


def rsa_p_value(
    models: np.ndarray, brains: np.ndarray, n_permutations: int, rng: np.random.Generator
) -> float:
    """p of the highest mean correlation of any layer, when concepts change places.

    Parameters
    ----------
    models, brains
        As in `rank_correlations`.
    n_permutations
        Number of permutations; each is the same for all participants, and the best layer is taken
        in each of them.
    rng
        Seeded generator.

    Returns
    -------
    float
        (1 + permutations as high) / (1 + permutations).
    """
    from scipy.spatial.distance import squareform

    observed = rank_correlations(models, brains).mean(axis=0).max()
    ranks = _unit_ranks(np.atleast_2d(models))
    # Concepts that change places move ranks of the distances about, and leave their values.
    mean = squareform(_unit_ranks(np.atleast_2d(brains)).mean(axis=0))
    first, second = np.triu_indices(len(mean), k=1)
    higher = 0
    for _ in range(n_permutations):
        order = rng.permutation(len(mean))
        higher += (ranks @ mean[order[first], order[second]]).max() >= observed - 1e-9
    return float((1 + higher) / (1 + n_permutations))


def count_concepts(n_pairs: int) -> int:
    """Number of concepts that have so many pairs."""
    return int(round((1 + np.sqrt(1 + 8 * n_pairs)) / 2))


def concept_pairs(concepts: np.ndarray, n_concepts: int) -> np.ndarray:
    """Places of the pairs of some concepts among the pairs of all.

    Parameters
    ----------
    concepts
        Numbers of concepts; one that was drawn twice makes no pair with itself.
    n_concepts
        Number of all concepts.

    Returns
    -------
    numpy.ndarray of int
        Shape (pair,).
    """
    first, second = np.asarray(concepts)[np.stack(np.triu_indices(len(concepts), k=1))]
    low, high = np.minimum(first, second), np.maximum(first, second)
    places = low * n_concepts - low * (low + 1) // 2 + high - low - 1
    return places[low < high]


def two_factor_interval(
    scores: Callable[[np.ndarray], np.ndarray],
    n_concepts: int,
    n_boot: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> Similarity:
    """Interval for other participants and other concepts (Schütt et al. 2023, eLife 12:e82566).

    A bootstrap of both at once counts the noise of measurement three times; the variance is
    2 (V_participants + V_concepts) − V_both, from bootstraps of each alone and of both.

    Parameters
    ----------
    scores
        Takes the concepts drawn, shape (n_concepts,), gives a score for every participant.
    n_concepts
        Number of concepts.
    n_boot
        Bootstrap samples.
    rng
        Seeded generator.
    level
        Of the interval.

    Returns
    -------
    Similarity
        The mean ± t standard errors, with one degree of freedom fewer than there are participants
        or concepts, whatever is fewer. A single participant leaves an interval over concepts.
    """
    from scipy import stats

    own = np.asarray(scores(np.arange(n_concepts)), dtype=float)
    n = len(own)
    drawn = np.array([scores(rng.integers(n_concepts, size=n_concepts)) for _ in range(n_boot)])
    people = rng.integers(n, size=(n_boot, n))
    over_people = own[people].mean(axis=1).var(ddof=1)
    over_concepts = drawn.mean(axis=1).var(ddof=1)
    both = np.take_along_axis(drawn, people, axis=1).mean(axis=1).var(ddof=1)
    least = max(over_people, over_concepts)
    error = np.sqrt(np.clip(2 * (over_people + over_concepts) - both, least, max(both, least)))
    freedom = (min(n, n_concepts) if n > 1 else n_concepts) - 1
    half = stats.t.ppf((1 + level) / 2, freedom) * error
    mean = own.mean()
    return Similarity(float(mean), float(mean - half), float(mean + half), float(error))


def rsa_scores(model: np.ndarray, brains: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Score of one layer for `two_factor_interval`.

    Parameters
    ----------
    model
        Distances, shape (pair,).
    brains
        Shape (participant, pair).

    Returns
    -------
    callable
    """
    n_concepts = count_concepts(len(model))

    def scores(concepts: np.ndarray) -> np.ndarray:
        pairs = concept_pairs(concepts, n_concepts)
        return rank_correlations(model[pairs], brains[:, pairs])[:, 0]

    return scores
