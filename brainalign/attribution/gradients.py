"""Gradient × input of words, for any readout of the pooled states, in one forward pass per context.

With token embeddings e, features h(e) and predictions (h - mean) / scale @ W, a scalar s of the
predictions has the attributions <e_i, (dh/de_i)ᵀ c> with c = (W / scale) ds/dprediction: one
vector-Jacobian product with a vector of features, whatever the number of voxels. All scalars of one
context share its forward pass.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from brainalign.attribution.contexts import Context
from brainalign.attribution.reading import Batch, Reading, batches, features
from brainalign.errors import InputError

#: Tokens in a batch of contexts; what gradients go back through should stay in the cache.
BATCH_TOKENS = 1024


@dataclass(frozen=True)
class WordScores:
    """Attributions of the words of contexts.

    Attributes
    ----------
    values : numpy.ndarray
        Shape (..., context, distance): the newest word has distance 0; NaN where a context has no
        word so far back.
    others : numpy.ndarray
        Shape (..., context): sum over tokens that belong to no word of the context: those that the
        tokenizer adds, and those of the word that comes next.
    """

    values: np.ndarray
    others: np.ndarray


def word_scores(
    token_scores: np.ndarray, batch: Batch, contexts: Sequence[Context], n_columns: int
) -> WordScores:
    """Sum the attributions of tokens over words.

    Parameters
    ----------
    token_scores
        Shape (target, context, token), of one batch.
    batch
        Where the tokens lie.
    contexts
        All contexts that the batch was taken from.
    n_columns
        Words in the longest context.
    """
    n_targets = len(token_scores)
    values = np.full((n_targets, len(batch.places), n_columns), np.nan, dtype=np.float32)
    others = token_scores.sum(2)
    for row, place in enumerate(batch.places):
        one = contexts[place]
        own = token_scores[:, row, batch.first : batch.first + len(one.ids)]
        sums = np.zeros((n_targets, len(one.words) + 1), dtype=token_scores.dtype)
        np.add.at(sums.T, one.word_of_token, own.T)
        values[:, row, : len(one.words)] = sums[:, :-1][:, ::-1]
        others[:, row] -= sums[:, :-1].sum(1)
    return WordScores(values, others)


def gradient_times_input(
    reading: Reading, contexts: Sequence[Context], cotangents: np.ndarray
) -> WordScores:
    """Gradient × input of scalars that are read from the features.

    Parameters
    ----------
    reading
        Model and layer.
    contexts
        Of scans.
    cotangents
        Shape (target, scan, feature), or (target, 1, feature) for scalars that are alike in all
        scans: derivatives of the scalars with respect to the features.

    Returns
    -------
    WordScores
        Shape (target, scan, distance).

    Raises
    ------
    InputError
        For cotangents of another shape.
    """
    import torch

    cotangents = np.asarray(cotangents, dtype=np.float32)
    if cotangents.ndim != 3 or cotangents.shape[1] not in (1, len(contexts)):
        raise InputError(
            f"cotangents has shape {cotangents.shape}; (targets, {len(contexts)} or 1, features) is "
            "expected."
        )
    cotangents = np.broadcast_to(cotangents, (len(cotangents), len(contexts), cotangents.shape[2]))

    def token_scores(batch: Batch) -> np.ndarray:
        embeddings = batch.embeddings.requires_grad_()
        h = features(reading, batch)
        made = []
        for number, wanted in enumerate(cotangents[:, batch.places]):
            cotangent = torch.tensor(wanted, device=h.device)
            keep = number < len(cotangents) - 1
            (gradient,) = torch.autograd.grad(h, embeddings, cotangent, retain_graph=keep)
            made.append((gradient * embeddings.detach()).sum(-1).cpu().numpy())
        return np.stack(made)

    return collect(reading, contexts, len(cotangents), token_scores)


def _attention(batch: Batch) -> AbstractContextManager:
    """On a CPU the plain form of attention, whose backward pass takes half the time there."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH) if batch.embeddings.device.type == "cpu" else nullcontext()


def collect(
    reading: Reading, contexts: Sequence[Context], n_targets: int, token_scores
) -> WordScores:
    """Word scores of all contexts from a function that scores the tokens of a batch."""
    n_columns = max(len(one.words) for one in contexts)
    values = np.full((n_targets, len(contexts), n_columns), np.nan, dtype=np.float32)
    others = np.zeros((n_targets, len(contexts)), dtype=np.float32)
    for batch in batches(reading, contexts, BATCH_TOKENS):
        with _attention(batch):
            found = token_scores(batch)
        part = word_scores(found, batch, contexts, n_columns)
        values[:, batch.places], others[:, batch.places] = part.values, part.others
    return WordScores(values, others)
