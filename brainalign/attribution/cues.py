"""Whether words that are known to be cues score higher than others like them."""

from collections.abc import Sequence

import numpy as np

from brainalign.attribution.metrics import distance_bins
from brainalign.errors import InputError
from brainalign.inference import draw_counts
from brainalign.statistics import percentile_interval


def score_by_word(
    values: np.ndarray, word_index: np.ndarray, n_words: int, edges: Sequence[int] = (0,)
) -> np.ndarray:
    """Mean score of every word over the contexts that it occurs in.

    Parameters
    ----------
    values
        Shape (scan, distance); NaN where there is no word.
    word_index
        Shape (scan, distance): number of the word, below `n_words`; -1 where there is none.
    n_words
        Words of the story.
    edges
        First distance of every bin; the default is one bin.

    Returns
    -------
    numpy.ndarray
        Shape (word, bin); NaN for words that are in no context at that distance.

    Raises
    ------
    InputError
        As `metrics.distance_bins`, and for shapes that differ.
    """
    if np.shape(values) != np.shape(word_index):
        raise InputError(
            f"values has shape {np.shape(values)} and word_index {np.shape(word_index)}; "
            "the same is expected."
        )
    used = (word_index >= 0) & ~np.isnan(values)
    bins = np.broadcast_to(distance_bins(values.shape[1], edges), values.shape)
    place, n = word_index[used] * len(edges) + bins[used], n_words * len(edges)
    counts = np.bincount(place, minlength=n)
    sums = np.bincount(place, values[used], minlength=n)
    means = np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)
    return means.reshape(n_words, len(edges))


def cue_area(
    scores: np.ndarray,
    cue: np.ndarray,
    strata: np.ndarray,
    blocks: np.ndarray,
    n_boot: int = 1000,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
) -> tuple[float, tuple[float, float]]:
    """Area under the ROC curve for finding cue words among controls of the same stratum.

    The chance that a cue scores higher than a control, ties counting half (Hanley & McNeil 1982),
    averaged over strata with weights n₁ n₀ / (n₁ + n₀), which grow with what a stratum of n₁ cues
    and n₀ controls can tell (van Elteren 1960).

    Parameters
    ----------
    scores
        Shape (word,): the higher, the more a word is taken for a cue. Words with NaN are left out.
    cue
        bool, shape (word,).
    strata
        Shape (word,): label of what cues and controls have in common, such as their part of speech.
    blocks
        Shape (word,): label of what is drawn by the bootstrap, runs or blocks of words.
    n_boot, rng
        Bootstrap samples and their seeded generator.
    level
        Of the interval.

    Returns
    -------
    area : float
        0.5 is chance.
    interval : tuple of float
        Percentiles over bootstrap samples.

    Raises
    ------
    InputError
        For shapes that differ, and where no stratum has both cues and controls.
    """
    arrays = [np.asarray(one) for one in (scores, np.asarray(cue, bool), strata, blocks)]
    if len({one.shape for one in arrays}) > 1:
        raise InputError(
            f"scores, cue, strata and blocks have shapes {[one.shape for one in arrays]}; one value "
            "per word is expected."
        )
    scores, cue, strata, blocks = (one[~np.isnan(arrays[0])] for one in arrays)
    rng = np.random.default_rng(0) if rng is None else rng
    names, block = np.unique(blocks, return_inverse=True)
    members = [strata == stratum for stratum in np.unique(strata)]
    members = [own for own in members if cue[own].any() and not cue[own].all()]
    if not members:
        raise InputError(
            "No stratum has both cues and controls; at least one that has is expected."
        )
    # The first row is the data themselves.
    counts = np.vstack([np.ones(len(names)), draw_counts(len(names), n_boot, rng)])
    sums = [
        _wins_and_pairs(scores[own], cue[own], np.eye(len(names))[block[own]], counts)
        for own in members
    ]
    wins, pairs = np.sum(sums, axis=0)
    areas = np.divide(wins, pairs, out=np.full(len(wins), np.nan), where=pairs > 0)
    return float(areas[0]), tuple(float(edge) for edge in percentile_interval(areas[1:], level))


def _wins_and_pairs(
    scores: np.ndarray, cue: np.ndarray, onehot: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of one stratum that the cue wins and all pairs, both over n1 + n0, for each sample.

    `onehot` is (word, block); `counts`, (sample, block), says how often a sample has each block.
    """
    won = onehot[cue].T @ _below(scores[cue], scores[~cue], onehot[~cue])
    n1, n0 = (counts @ onehot[kind].sum(0) for kind in (cue, ~cue))
    # A stratum that a sample leaves empty has no pairs.
    total = np.maximum(n1 + n0, 1)
    return ((counts @ won) * counts).sum(1) / total, n1 * n0 / total


def _below(found: np.ndarray, control: np.ndarray, onehot: np.ndarray) -> np.ndarray:
    """Controls of each block that score lower than each cue, ties counting half, (cue, block)."""
    order = np.argsort(control)
    total = np.concatenate([np.zeros((1, onehot.shape[1])), onehot[order].cumsum(0)])
    edges = [np.searchsorted(control[order], found, side) for side in ("left", "right")]
    return (total[edges[0]] + total[edges[1]]) / 2
