"""Do the words that an attribution ranks high matter? Texts with these words replaced.

Deletion replaces the highest words, insertion all but the highest. What is measured afterwards is
the caller's: predictions, brain scores, the loss of next-word prediction.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from brainalign.attribution.contexts import Context
from brainalign.attribution.metrics import EDGES
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
