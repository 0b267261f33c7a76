"""Does a voxel respond alike to a concept, whatever shows it: sentence, picture or word cloud?

Consistency C is the mean correlation between paradigms of a voxel's responses to the concepts
(Ryskina et al. 2025, section 2). Noise makes every correlation smaller, so that C also says how
reliable a voxel is. Responses to the same concept in two or more repeats (halves, or single
stimuli) say how much of it is signal, and C without noise follows from that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.study import standardise

#: Lowest reliability that a single voxel's consistency is divided by.
FLOOR = 0.02
# Voxels handled at once: some 20 MB of 180 concepts in three paradigms.
CHUNK = 8192
MINIMUM_CONCEPTS = 4


@dataclass(frozen=True)
class Moments:
    """Variances and covariances over concepts that noise does not bias, per voxel.

    Attributes
    ----------
    shared : numpy.ndarray
        Covariance of two paradigms, shape (pair of paradigms, voxel). Paradigms have no trial in
        common, so that noise adds nothing on average.
    signal : numpy.ndarray
        Variance that repeats of a paradigm have in common, shape (paradigm, voxel); below zero by
        chance.
    total : numpy.ndarray
        Variance of the mean over repeats, shape (paradigm, voxel).
    single : numpy.ndarray
        Variance of single repeats, their average, shape (paradigm, voxel).
    """

    shared: np.ndarray
    signal: np.ndarray
    total: np.ndarray
    single: np.ndarray

    @property
    def reliability(self) -> np.ndarray:
        """Part of the variance of a mean over repeats that is signal, (paradigm, voxel)."""
        return self.signal / self.total


def paradigm_pairs(n_paradigms: int) -> np.ndarray:
    """First and second paradigm of every pair, shape (2, pair)."""
    return np.array(list(combinations(range(n_paradigms), 2))).T


def standardised(responses: np.ndarray) -> np.ndarray:
    """Responses with mean 0 and standard deviation 1 over concepts.

    Parameters
    ----------
    responses
        Shape (paradigm, concept, voxel).

    Returns
    -------
    numpy.ndarray
        Same shape, float32; NaN in all paradigms for voxels that have no value for some concept or
        are constant in some paradigm.
    """
    z = np.stack([standardise(values) for values in responses])
    # Constant voxels were left at zero; where a value lacks, all are NaN.
    z[..., ~(np.einsum("pcv,pcv->pv", z, z) > 0).all(axis=0)] = np.nan
    return z


def consistency(responses: np.ndarray) -> np.ndarray:
    """Mean correlation over concepts between the paradigms, for every voxel.

    With standardised responses z of P paradigms to n concepts that is (|Σ z|² / n − P) / (P(P − 1)),
    without any of the correlations.

    Parameters
    ----------
    responses
        Shape (paradigm, concept, voxel): mean response to each concept, in the same order of
        concepts in every paradigm.

    Returns
    -------
    numpy.ndarray
        Shape (voxel,), float64; NaN for voxels without a value for every concept, and for those
        that are constant in some paradigm.

    Raises
    ------
    InputError
        For fewer than two paradigms or four concepts, and where no voxel has a value for every
        concept.
    """
    check_responses(responses)
    return in_chunks(lambda part: _of_standardised(standardised(part)), responses)


def _of_standardised(z: np.ndarray) -> np.ndarray:
    total = z.sum(axis=0)
    return from_squares(np.einsum("cv,cv->v", total, total, dtype=np.float64), *z.shape[:2])


def from_squares(squares: np.ndarray, n_paradigms: int, n_concepts: int) -> np.ndarray:
    """Consistency from the squared norm over concepts of the sum of standardised paradigms."""
    return (squares / n_concepts - n_paradigms) / (n_paradigms * (n_paradigms - 1))


def moments(repeats: np.ndarray) -> Moments:
    """What paradigms, and repeats within a paradigm, have in common.

    Parameters
    ----------
    repeats
        Shape (paradigm, repeat, concept, voxel): responses in halves, or to single stimuli.

    Returns
    -------
    Moments
        Averages over all pairs of repeats, which is what all splits into halves come to.

    Raises
    ------
    InputError
        As `consistency`, and for fewer than two repeats or a repeat without a single value.
    """
    check_repeats(repeats)
    first, second = paradigm_pairs(len(repeats))
    n_repeats = repeats.shape[1]

    def of_part(part: np.ndarray) -> np.ndarray:
        centred = part.astype(np.float64) - part.mean(axis=2, keepdims=True, dtype=np.float64)
        mean = centred.mean(axis=1)
        freedom = centred.shape[2] - 1
        shared = np.einsum("pcv,pcv->pv", mean[first], mean[second]) / freedom
        total = np.einsum("pcv,pcv->pv", mean, mean) / freedom
        single = np.einsum("prcv,prcv->pv", centred, centred) / (n_repeats * freedom)
        signal = (n_repeats * total - single) / (n_repeats - 1)
        found = np.concatenate([shared, signal, total, single])
        found[:, ~(total > 0).all(axis=0)] = np.nan
        return found

    found = in_chunks(of_part, repeats)
    sizes = [len(first), len(repeats), len(repeats)]
    return Moments(*np.split(found, np.cumsum(sizes)))


def normalised_consistency(found: Moments, floor: float = FLOOR) -> np.ndarray:
    """Consistency of single voxels without noise: correlations divided by their ceilings.

    Parameters
    ----------
    found
        From `moments`.
    floor
        Reliabilities below it are replaced by it, since a quotient of two noisy numbers is of no
        use. That leaves unreliable voxels too low: for regions take `pooled_consistency`, for
        relations with anything that may go with reliability `excess_consistency`.

    Returns
    -------
    numpy.ndarray
        Shape (voxel,): mean over pairs of paradigms p, q of r_pq / √(rel_p rel_q).

    Raises
    ------
    InputError
        For a floor that is not positive.
    """
    if not floor > 0:
        raise InputError(f"floor is {floor}; a positive reliability is expected.")
    first, second = paradigm_pairs(len(found.total))
    reliability = np.maximum(found.reliability, floor)
    scale = found.total * reliability
    return (found.shared / np.sqrt(scale[first] * scale[second])).mean(axis=0)


def pooled_consistency(found: Moments, groups: np.ndarray) -> pd.Series:
    """Consistency of groups of voxels without noise: the part of the signal that is shared.

    Parameters
    ----------
    found
        From `moments`.
    groups
        Label of every voxel, such as its parcel.

    Returns
    -------
    pandas.Series
        By label: ΣS / ΣR over voxels, with the mean covariance of paradigms S and the mean signal
        variance R of `excess_consistency`. It is the correlation between paradigms without noise
        where they have equally much signal, and a little lower elsewhere; NaN for groups without
        signal.

    Raises
    ------
    InputError
        For labels of another number of voxels.
    """
    shared, signal = _relative(found)
    if len(groups) != len(shared):
        raise InputError(
            f"groups has {len(groups)} labels; one for each of {len(shared)} voxels is expected."
        )
    sums = pd.DataFrame({"shared": shared, "signal": signal}).groupby(np.asarray(groups)).sum()
    return sums["shared"] / sums["signal"].where(sums["signal"] > 0)


def excess_consistency(found: Moments) -> np.ndarray:
    """Consistency above what a voxel's reliability gives at the consistency of all voxels.

    Where paradigms share the same part of the signal in every voxel, what they share is this part
    of its reliability on average, whatever its signal and noise. So this difference is
    unrelated to the ratio of signal and noise, which no quotient of a single voxel is.

    Parameters
    ----------
    found
        From `moments`.

    Returns
    -------
    numpy.ndarray
        Shape (voxel,): S − R ΣS / ΣR over voxels, with S the mean covariance of paradigms and R
        the mean signal variance, each divided by the voxel's mean variance of single repeats. That
        one is unrelated to the noise of R; the variance of the mean over repeats is not.
    """
    shared, signal = _relative(found)
    return shared - signal * np.nansum(shared) / np.nansum(signal)


def _relative(found: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Mean covariance of paradigms and mean signal variance, per variance of single repeats."""
    scale = found.single.mean(axis=0)
    return found.shared.mean(axis=0) / scale, found.signal.mean(axis=0) / scale


def stimulus_parts(responses: np.ndarray, n_parts: int, rng: np.random.Generator) -> np.ndarray:
    """Mean responses to each concept in disjoint parts of its stimuli, drawn at random.

    Parts have no trial in common: two give the moments of consistency, others the scores that
    consistency is compared with. The first half of the parts has as many stimuli of a concept as
    the second half, or one more. A mean over parts counts parts alike: a stimulus that is alone in
    its part counts twice as much as one of two.

    Parameters
    ----------
    responses
        Shape (stimulus, concept, voxel), of one participant and paradigm; NaN for stimuli that
        were not shown.
    n_parts
        Number of parts.
    rng
        Seeded generator.

    Returns
    -------
    numpy.ndarray
        Shape (part, concept, voxel), float32.

    Raises
    ------
    InputError
        For a concept with fewer stimuli than parts.
    """
    seen = np.isfinite(responses).any(axis=2)
    if seen.sum(axis=0).min() < n_parts:
        concept = int(seen.sum(axis=0).argmin())
        raise InputError(
            f"Concept {concept + 1} was shown with {seen[:, concept].sum()} stimuli; at least "
            f"{n_parts} are expected, one in each part."
        )
    # Stimuli not shown come last in the order, and are left out.
    order = np.where(seen, rng.random(seen.shape), np.inf).argsort(axis=0).argsort(axis=0)
    total = np.zeros((n_parts, *responses.shape[1:]), dtype=np.float32)
    count = np.zeros((n_parts, responses.shape[1], 1), dtype=np.float32)
    turn = order % n_parts
    # Of four parts first, third, second, fourth, so that those left over go to both halves.
    places = turn // 2 + turn % 2 * ((n_parts + 1) // 2)
    for values, there, part in zip(responses, seen, places, strict=True):
        cells = part[there], np.flatnonzero(there)
        total[cells] += values[there]
        count[cells] += 1
    return total / count


def in_chunks(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """Apply a function along the last axis in parts, so that memory stays small."""
    parts = range(0, values.shape[-1], CHUNK)
    return np.concatenate([function(values[..., k : k + CHUNK]) for k in parts], axis=-1)


def check_responses(responses: np.ndarray) -> None:
    """Raise InputError for responses that have no consistency.

    Parameters
    ----------
    responses
        Shape (paradigm, concept, voxel).

    Raises
    ------
    InputError
        For another shape, fewer than two paradigms or four concepts, and where no voxel has a
        value for every concept.
    """
    shape = np.shape(responses)
    if len(shape) != 3 or shape[0] < 2 or shape[1] < MINIMUM_CONCEPTS or not shape[2]:
        raise InputError(
            f"Responses have shape {shape}; (paradigm, concept, voxel) with at least 2 paradigms "
            f"and {MINIMUM_CONCEPTS} concepts is expected."
        )
    complete = in_chunks(lambda part: np.isfinite(part).all(axis=1), responses)
    if not complete.all(axis=0).any():
        lacking = np.flatnonzero(~complete.any(axis=1))
        where = f"paradigm {lacking[0] + 1}" if len(lacking) else "every paradigm"
        raise InputError(
            f"No voxel has a finite response to each of the {shape[1]} concepts in {where}."
        )


def check_repeats(repeats: np.ndarray) -> None:
    """Raise InputError for repeats that cannot be compared.

    Parameters
    ----------
    repeats
        Shape (paradigm, repeat, concept, voxel).

    Raises
    ------
    InputError
        For another shape, fewer than two repeats, and as `check_responses` for every repeat.
    """
    shape = np.shape(repeats)
    if len(shape) != 4 or shape[1] < 2:
        raise InputError(
            f"Repeats have shape {shape}; (paradigm, repeat, concept, voxel) with at least 2 "
            "repeats is expected."
        )
    for number in range(shape[1]):
        try:
            check_responses(repeats[:, number])
        except InputError as error:
            raise InputError(f"Repeat {number + 1}: {error}") from error
