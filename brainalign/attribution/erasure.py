"""Do the words that an attribution ranks high matter? Texts with words replaced.

Leaving one word out at a time is an attribution itself. Deletion replaces the highest words of
another one, insertion all others. What is measured afterwards is the caller's:
predictions, brain scores, the loss of next-word prediction.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brainalign.attribution.contexts import Context
from brainalign.attribution.metrics import EDGES
from brainalign.attribution.next_word import features_and_loss
from brainalign.attribution.reading import Reading
from brainalign.errors import InputError

#: Parts of the words that are replaced (Proietti et al. 2025: the highest 1 %).
FRACTIONS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


def highest_words(scores: np.ndarray, fraction: float) -> np.ndarray:
    """The words with the largest scores of every context.

    Parameters
    ----------
    scores
        Shape (context, distance); NaN where there is no word.
    fraction
        Of the words of a context; at least one word.

    Returns
    -------
    numpy.ndarray of bool
        Same shape. Of equal scores the newer word comes first.

    Raises
    ------
    InputError
        For a fraction that is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise InputError(f"fraction is {fraction}; a number above 0 and up to 1 is expected.")
    there = np.isfinite(scores)
    order = np.argsort(np.where(there, -scores, np.inf), axis=1, kind="stable")
    ranks = np.argsort(order, axis=1, kind="stable")
    wanted = np.maximum(np.round(fraction * there.sum(1)), 1)
    return there & (ranks < wanted[:, None])


def at_matched_distances(
    chosen: np.ndarray, there: np.ndarray, rng: np.random.Generator, edges: Sequence[int] = EDGES
) -> np.ndarray:
    """As many words drawn at random in every range of distances as were chosen there.

    Parameters
    ----------
    chosen, there
        Shape (context, distance), bool: chosen words, and words at all.
    rng
        Seeded generator.
    edges
        First distance of every range.

    Returns
    -------
    numpy.ndarray of bool
        Same shape.
    """
    drawn = np.zeros_like(chosen)
    for first, stop in zip(edges, [*edges[1:], None], strict=True):
        part = slice(first, stop)
        keys = np.where(there[:, part], rng.random(there[:, part].shape), np.inf)
        ranks = np.argsort(np.argsort(keys, axis=1), axis=1)
        drawn[:, part] = ranks < chosen[:, part].sum(1, keepdims=True)
    return drawn


def replaced(
    contexts: Sequence[Context],
    words: np.ndarray,
    tokens: np.ndarray | int,
    rng: np.random.Generator | None = None,
) -> list[Context]:
    """The same contexts with the tokens of some words replaced; positions stay.

    Parameters
    ----------
    contexts
        Of scans.
    words
        Shape (context, distance), bool: words to replace; the newest has distance 0.
    tokens
        One token for all, or many to draw from.
    rng
        Seeded generator, where there are many.

    Returns
    -------
    list of Context
    """
    result = []
    for one, chosen in zip(contexts, words, strict=True):
        # The newest word comes first in `words` and last in a context; the next word stays.
        of_word = np.append(chosen[: len(one.words)][::-1], False)
        places = of_word[one.word_of_token]
        ids = one.ids.copy()
        ids[places] = tokens if rng is None else rng.choice(tokens, places.sum())
        result.append(replace(one, ids=ids))
    return result


def left_out(
    reading: Reading, contexts: Sequence[Context], token: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """What changes when one word's tokens are replaced, for every word: with it minus without.

    Features are all that readouts see, so that one forward pass per word serves every voxel, and
    every other readout, exactly.

    Parameters
    ----------
    reading
        Model and layer.
    contexts
        Of scans.
    token
        What the tokens of the word are replaced by; the others keep their positions.

    Returns
    -------
    features : numpy.ndarray
        float32, shape (context, distance, feature); zeros where there is no word.
    loss : numpy.ndarray or None
        Shape (context, distance): of next-word prediction, NaN where there is no word or nothing
        comes next; None for models without output head.
    """
    h, before = features_and_loss(reading, contexts)
    lengths = np.array([len(one.words) for one in contexts])
    changes = np.zeros((len(h), lengths.max(), h.shape[1]), dtype=np.float32)
    losses = np.full(changes.shape[:2], np.nan)
    for distance in range(lengths.max()):
        rows = np.flatnonzero(lengths > distance)
        words = np.arange(lengths.max()) == np.full((len(rows), 1), distance)
        after = features_and_loss(reading, replaced([contexts[k] for k in rows], words, token))
        changes[rows, distance] = h[rows] - after[0]
        if before is not None:
            losses[rows, distance] = before[rows] - after[1]
    return changes, losses if before is not None else None


def squared_changes(changes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Squared change of the prediction, mean over voxels.

    Every voxel counts with its own prediction (`pred_roi` for a region of one voxel): those that
    prefer opposite things do not cancel, as they do in the region's mean.

    Parameters
    ----------
    changes
        Shape (context, distance, feature), from `left_out`.
    weights
        Shape (feature, voxel), of a readout.

    Returns
    -------
    numpy.ndarray
        Shape (context, distance).
    """
    products = weights @ weights.T / weights.shape[1]
    return np.maximum(((changes @ products.astype(np.float32)) * changes).sum(-1), 0)
