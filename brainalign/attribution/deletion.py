"""What is lost when the words that a ranking puts first are replaced by random words of the story."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from brainalign.attribution.contexts import Context
from brainalign.attribution.erasure import (
    FRACTIONS,
    at_matched_distances,
    highest_words,
    replaced,
)
from brainalign.attribution.heads import Head
from brainalign.attribution.next_word import features_and_loss
from brainalign.attribution.reading import Reading
from brainalign.statistics import pearson

#: Measures of `deletion_curves`, as figures name them.
MEASURES = ("prediction", "brain score", "next-word loss")


def rankings(scores: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Attributions by which words are deleted, and the rankings that these are held against.

    Parameters
    ----------
    scores
        Name -> (context, distance), the larger the sooner deleted; NaN where there is no word.
    rng
        Seeded generator.

    Returns
    -------
    dict
        These, "lowest words" of the first of them, and "random words".
    """
    first = next(iter(scores.values()))
    drawn = np.where(np.isfinite(first), rng.random(first.shape), np.nan)
    return {**scores, "lowest words": -first, "random words": drawn}


def deletion_curves(
    read: Reading,
    contexts: Sequence[Context],
    head: Head,
    responses: np.ndarray,
    scores: dict[str, np.ndarray],
    rng: np.random.Generator,
    fractions: Sequence[float] = FRACTIONS,
) -> xr.DataArray:
    """Predictions, brain score and next-word loss when more and more words are replaced.

    Parameters
    ----------
    read
        Model and layer; one without output head has no next-word loss.
    contexts
        Of scans.
    head
        Readout of their fold.
    responses
        Shape (scan, voxel), of these scans.
    scores
        As for `rankings`. The first one also gives "random words, same distances".
    rng
        Seeded generator.
    fractions
        Of the words of each context; 0, the text as it is, comes before them.

    Returns
    -------
    xarray.DataArray
        Dims (measure, ranking, fraction). "prediction" is the change of all voxels' predictions, as
        a part of their own size; "brain score" the mean r over voxels; "next-word loss" in nats.
    """
    ranked = rankings(scores, rng)
    first = next(iter(ranked.values()))
    there = np.isfinite(first)
    story = np.concatenate([one.ids for one in contexts])
    intact = head.predict(features_and_loss(read, contexts)[0])

    def measured(texts: Sequence[Context]) -> list[float]:
        h, loss = features_and_loss(read, texts)
        predicted = head.predict(h)
        change = np.linalg.norm(predicted - intact) / np.linalg.norm(intact)
        r = np.nanmean(pearson(predicted.T, responses.T))
        return [change, r, np.nan if loss is None else np.nanmean(loss)]

    curves = {name: [measured(contexts)] for name in [*ranked, "random words, same distances"]}
    for fraction in fractions:
        chosen = {name: highest_words(values, fraction) for name, values in ranked.items()}
        matched = at_matched_distances(next(iter(chosen.values())), there, rng)
        for name, words in (chosen | {"random words, same distances": matched}).items():
            curves[name].append(measured(replaced(contexts, words, story, rng)))
    return xr.DataArray(
        np.moveaxis(np.array([*curves.values()]), 2, 0),
        {"measure": [*MEASURES], "ranking": [*curves], "fraction": [0, *fractions]},
        ("measure", "ranking", "fraction"),
    )
