"""What is lost without the words that a ranking puts first, and what is kept with them alone.

Words are replaced by tokens drawn from the story.
"""

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
from brainalign.attribution.metrics import FINE_EDGES
from brainalign.attribution.next_word import features_and_loss
from brainalign.attribution.reading import Reading
from brainalign.statistics import pearson

#: As many words as the first ranking puts first, at the same distances.
MATCHED = "random words, same distances"
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
    """Predictions, brain score and next-word loss when more and more words are replaced, or kept.

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
        As for `rankings`. The first one also gives `MATCHED`.
    rng
        Seeded generator.
    fractions
        Of the words of each context; those of less than one word are left out, and 0 comes first:
        the text as it is, or nothing of it.

    Returns
    -------
    xarray.DataArray
        Dims (way, measure, ranking, fraction). "deletion" replaces these words, "insertion" all
        others. "prediction" is the change of all voxels' predictions, as
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

    texts = {"deletion": contexts, "insertion": replaced(contexts, there, story, rng)}
    first_point = {way: measured(text) for way, text in texts.items()}
    fractions = [part for part in fractions if round(part * np.median(there.sum(1))) >= 1]
    names = [*ranked, MATCHED]
    curves = {way: {name: [point] for name in names} for way, point in first_point.items()}
    for fraction in fractions:
        chosen = {name: highest_words(values, fraction) for name, values in ranked.items()}
        chosen[MATCHED] = at_matched_distances(chosen[names[0]], there, rng, FINE_EDGES)
        for name, words in chosen.items():
            for way, gone in {"deletion": words, "insertion": there & ~words}.items():
                curves[way][name].append(measured(replaced(contexts, gone, story, rng)))
    values = np.array([[*of_way.values()] for of_way in curves.values()])
    return xr.DataArray(
        np.moveaxis(values, 3, 1),
        {"way": [*curves], "measure": [*MEASURES], "ranking": names, "fraction": [0, *fractions]},
        ("way", "measure", "ranking", "fraction"),
    )
