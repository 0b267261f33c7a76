"""How attribution is spread over the words of contexts, and how far two attributions share words.

Scores have shape (..., distance): the newest word has distance 0, and NaN stands where a context has
no word so far back. Important sets, their overlap, their size and the centre of mass are those of
Proietti, Capobianco & Toneva (2025); what random sets share is added, in general and among words
equally far back.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from brainalign.errors import InputError

Mode = Literal["abs", "positive"]
#: Per cent of the attribution that a set of important words carries.
THRESHOLDS = (1, 2, 3, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98)
#: Distances at which bins begin: 0-3, 4-15, 16-63, 64-255, 256 and more words back.
EDGES = (0, 4, 16, 64, 256)
#: Narrow ranges, for what two attributions share because both favour the same distances.
FINE_EDGES = (*range(8), 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 256, 512)


def shares(scores: np.ndarray, mode: Mode = "abs") -> np.ndarray:
    """Part of a context's attribution that each of its words carries.

    Parameters
    ----------
    scores
        Shape (..., distance); NaN where there is no word.
    mode
        "abs" takes absolute values, "positive" nothing but positive scores. The paper does not say
        which it takes; shares of a signed sum would be unstable, because most of it cancels.

    Returns
    -------
    numpy.ndarray
        float64, of the same shape; NaN where there is no word, and throughout contexts without
        attribution. All functions below give the same for shares as for scores, so that
        ``shares(scores, "positive")`` in place of scores restricts them to the positive part.

    Raises
    ------
    InputError
        For infinite scores, and another mode.
    """
    sizes = _sizes(scores, mode)
    total = np.nansum(sizes, axis=-1, keepdims=True)
    return np.divide(sizes, total, out=np.full(sizes.shape, np.nan), where=total > 0)


def _sizes(scores: np.ndarray, mode: Mode) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if mode not in ("abs", "positive"):
        raise InputError(f"mode is {mode!r}; 'abs' or 'positive' is expected.")
    if np.isinf(scores).any():
        raise InputError("Some attributions are infinite; finite numbers are expected.")
    return np.abs(scores) if mode == "abs" else np.maximum(scores, 0)


def _needed(ranked: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Words needed to reach each threshold, (threshold, ...), from sizes that fall along the row."""
    if not all(0 < threshold <= 100 for threshold in thresholds):
        raise InputError(
            f"thresholds are {list(thresholds)}; per cent above 0 and up to 100 are expected."
        )
    total = ranked.cumsum(-1)
    before = np.concatenate([np.zeros_like(total[..., :1]), total[..., :-1]], axis=-1)
    # A set that misses the threshold by rounding has reached it.
    goal = total[..., -1:] * (1 - 1e-9) / 100
    return np.stack([((before < t * goal) & (ranked > 0)).sum(-1) for t in thresholds])


def important_sets(
    scores: np.ndarray, threshold: float | Sequence[float], mode: Mode = "abs"
) -> np.ndarray:
    """Smallest set of words that carries so many per cent of the attribution (paper: S(t)).

    Parameters
    ----------
    scores
        Shape (..., distance); NaN where there is no word.
    threshold
        Per cent, or several of them.
    mode
        As for `shares`.

    Returns
    -------
    numpy.ndarray of bool
        Of the shape of the scores, behind an axis of thresholds where several are given. Of words
        that score alike the newest comes first; contexts without attribution have the empty set.

    Raises
    ------
    InputError
        As `shares`, and for thresholds outside 0 to 100.
    """
    sizes = np.nan_to_num(_sizes(scores, mode))
    order = np.argsort(-sizes, axis=-1, kind="stable")
    needed = _needed(np.take_along_axis(sizes, order, -1), np.atleast_1d(threshold))
    found = np.argsort(order, axis=-1) < needed[..., None]
    return found if np.ndim(threshold) else found[0]


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of two sets of words, NaN where both are empty (paper: IoU).

    Parameters
    ----------
    a, b
        bool, shape (..., distance).

    Returns
    -------
    numpy.ndarray
        Shape (...).
    """
    return _ratio((a & b).sum(-1), (a | b).sum(-1))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.true_divide(part, whole)


def iou_random(k1: np.ndarray, k2: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Expected intersection over union of two random sets of words.

    The intersection of random sets follows the hypergeometric distribution (Johnson, Kemp & Kotz
    2005, chapter 6), so that the expectation is the sum over i of P(i) i / (k1 + k2 - i).

    Parameters
    ----------
    k1, k2
        Sizes of the sets; any shapes that broadcast.
    n
        Words that both are drawn from.

    Returns
    -------
    numpy.ndarray
        NaN where both sets are empty.

    Raises
    ------
    InputError
        For a set larger than its context.
    """
    from scipy.stats import hypergeom

    k1, k2, n = np.broadcast_arrays(k1, k2, n)
    if (np.minimum(k1, k2) < 0).any() or (np.maximum(k1, k2) > n).any():
        raise InputError("A random set has fewer than 0 or more than n words; 0 to n are expected.")
    # Contexts share few sizes, and each costs a sum over all intersections.
    cases, which = np.unique(np.stack([k1, k2, n], -1).reshape(-1, 3), axis=0, return_inverse=True)
    first, second, total = cases[..., None].swapaxes(0, 1)
    shared = np.arange(np.minimum(first, second).max(initial=0) + 1)
    chance = hypergeom.pmf(shared, total, first, second)
    values = _ratio(shared, np.maximum(first + second - shared, shared))
    means = np.where(chance > 0, chance * values, 0).sum(-1)
    means[(first + second == 0)[:, 0]] = np.nan
    return means[which.reshape(k1.shape)]


def distance_bins(n: int, edges: Sequence[int] = EDGES) -> np.ndarray:
    """Bin of every distance 0 to n - 1; the last bin is open.

    Raises
    ------
    InputError
        For edges that do not begin with 0 and grow.
    """
    edges = np.asarray(edges)
    if edges.ndim != 1 or len(edges) == 0 or edges[0] != 0 or (np.diff(edges) <= 0).any():
        raise InputError(f"edges are {edges.tolist()}; growing numbers from 0 on are expected.")
    return np.searchsorted(edges, np.arange(n), side="right") - 1


def iou_by_position(
    a: np.ndarray,
    b: np.ndarray,
    words: np.ndarray,
    rng: np.random.Generator,
    n_draws: int = 100,
    edges: Sequence[int] = EDGES,
) -> np.ndarray:
    """Intersection over union when `b` is permuted among the words of each distance bin.

    What two sets share because both favour the same bins stays; what they share beyond is lost.
    Favour for single distances within a bin is among the latter: finer edges keep it too.

    Parameters
    ----------
    a, b
        bool, shape (..., distance).
    words
        bool, where there is a word: ``~np.isnan(scores)``.
    rng
        Seeded generator.
    n_draws
        Permutations. Contexts are permuted apart from each other, so that the mean over draws is
        what to compare with; as contexts overlap, the draws' mean over contexts varies too little.
    edges
        First distance of every bin.

    Returns
    -------
    numpy.ndarray
        Shape (draw, ...); NaN where both sets are empty.

    Raises
    ------
    InputError
        As `distance_bins`, and for sets that hold places without a word.
    """
    if ((a | b) & ~words).any():
        raise InputError("A set holds places without a word; sets of words are expected.")
    bins = distance_bins(a.shape[-1], edges)
    onehot = bins[:, None] == np.arange(len(edges))
    in_a, in_b, there = (np.asarray(one, dtype=int) @ onehot for one in (a, b, words))
    # Of a permutation nothing but the size of the intersection counts, and its law is known.
    drawn = rng.hypergeometric(in_a, there - in_a, in_b, size=(n_draws, *in_a.shape)).sum(-1)
    return _ratio(drawn, (in_a + in_b).sum(-1) - drawn)


def spread(scores: np.ndarray, thresholds: Sequence[float] = THRESHOLDS) -> np.ndarray:
    """Number of words needed to reach each threshold: the sizes of `important_sets`.

    Parameters
    ----------
    scores
        Shape (..., distance), or `shares` of them.
    thresholds
        Per cent.

    Returns
    -------
    numpy.ndarray of int
        Shape (threshold, ...).

    Raises
    ------
    InputError
        As `important_sets`.
    """
    return _needed(-np.sort(-np.nan_to_num(_sizes(scores, "abs")), axis=-1), thresholds)


def spread_area(scores: np.ndarray, thresholds: Sequence[float] = THRESHOLDS) -> np.ndarray:
    """Mean part of a context's words that is needed, over all thresholds between first and last.

    The paper's area under the curve of `spread`, by trapezoids over per cent, divided by its width
    and by the words of the context: about 1/2 where all words count alike, 1 / words where one
    carries everything. Contexts of different lengths can be compared.

    Parameters
    ----------
    scores, thresholds
        As for `spread`; two thresholds or more, growing.

    Returns
    -------
    numpy.ndarray
        Shape (...); NaN for contexts without attribution.

    Raises
    ------
    InputError
        As `spread`, and for thresholds that do not grow.
    """
    if len(thresholds) < 2 or (np.diff(thresholds) <= 0).any():
        raise InputError(f"thresholds are {list(thresholds)}; two or more that grow are expected.")
    needed = spread(scores, thresholds)
    area = np.trapezoid(needed, thresholds, axis=0) / (thresholds[-1] - thresholds[0])
    n_words = (~np.isnan(scores)).sum(-1)
    return _ratio(np.where(needed[-1] > 0, area, np.nan), n_words)


def position_profile(scores: np.ndarray) -> np.ndarray:
    """Mean share of attribution by distance, over the contexts that have a word there.

    Parameters
    ----------
    scores
        Shape (..., context, distance); or sets of important words as numbers, for the share of
        important words.

    Returns
    -------
    numpy.ndarray
        Shape (..., distance); NaN where no context has attribution and a word.
    """
    part = shares(scores)
    return _ratio(np.nansum(part, axis=-2), (~np.isnan(part)).sum(-2))


def _moment(scores: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of values, (..., distance), weighted by attribution; NaN without attribution."""
    part = shares(scores)
    mean = np.nansum(part * values, axis=-1)
    return np.where(np.isnan(part).all(-1), np.nan, mean)


def centre_of_mass(scores: np.ndarray) -> np.ndarray:
    """Mean distance weighted by |attribution|, in words, (...); NaN without any (paper: CoM)."""
    return _moment(scores, np.arange(np.shape(scores)[-1]))


def position_sd(scores: np.ndarray) -> np.ndarray:
    """Standard deviation of the distance weighted by |attribution|, in words, (...)."""
    away = np.arange(np.shape(scores)[-1]) - centre_of_mass(scores)[..., None]
    return np.sqrt(_moment(scores, away**2))


def position_entropy(scores: np.ndarray) -> np.ndarray:
    """Entropy of the shares of a context's words in bits, (...); n words alike have log2(n)."""
    part = shares(scores)
    return _moment(scores, -np.log2(np.where(part > 0, part, 1)))


def mass_of_newest(scores: np.ndarray, n: int) -> np.ndarray:
    """Share of |attribution| on a context's newest words, (...); NaN without any.

    Parameters
    ----------
    scores
        Shape (..., distance).
    n
        Words.

    Raises
    ------
    InputError
        For less than one word.
    """
    return _moment(scores, _nearest(np.arange(1, np.shape(scores)[-1] + 1), n))


def mass_of_oldest(scores: np.ndarray, n: int = 1) -> np.ndarray:
    """Share of |attribution| on a context's oldest words (primacy), (...); as `mass_of_newest`."""
    there = ~np.isnan(scores)
    from_oldest = there[..., ::-1].cumsum(-1)[..., ::-1]
    return _moment(scores, _nearest(from_oldest, n))


def _nearest(place: np.ndarray, n: int) -> np.ndarray:
    if n < 1:
        raise InputError(f"n is {n}; 1 word or more is expected.")
    return place <= n
