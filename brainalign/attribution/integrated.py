"""Attributions that add up: captum's integrated gradients on embeddings.

Gradient × input does not sum to anything in a network that is not linear. Integrated gradients sum
to the change of the scalar from a baseline text to the real one (completeness), which is checked
for every context: with a zero embedding or few steps they often do not, where a model normalises
its states.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainalign.attribution.contexts import Context
from brainalign.attribution.gradients import WordScores, collect
from brainalign.attribution.heads import Head
from brainalign.attribution.reading import Batch, Reading, embed, features
from brainalign.errors import InputError
from brainalign.study import standardise

if TYPE_CHECKING:
    from torch import Tensor

#: Takes features (row, feature) and the row's places among the contexts; gives one number per row.
Scalar = Callable[["Tensor", np.ndarray], "Tensor"]

N_STEPS = 40
#: Where so many still miss, integration gives up.
MOST_STEPS = 2560
#: Largest error of completeness, as a part of the larger of the change and the sum of |scores|.
TOLERANCE = 1e-2
# Rows that go through the model at once on the way from the baseline.
_ROWS = 256


@dataclass(frozen=True)
class Integrated:
    """Integrated gradients of one scalar.

    Attributes
    ----------
    scores : WordScores
        Shape (1, context, distance).
    change : numpy.ndarray
        Shape (context,): the scalar at the text minus the scalar at the baseline.
    error : numpy.ndarray
        Shape (context,): |sum of scores - change|, as a part of the larger of |change| and the sum
        of the tokens' |scores|.
    """

    scores: WordScores
    change: np.ndarray
    error: np.ndarray


def linear_scalar(cotangents: np.ndarray) -> Scalar:
    """Scalar that is linear in the features, from its cotangents (context or 1, feature)."""
    import torch

    wanted = torch.tensor(np.asarray(cotangents, dtype=np.float32))

    def scalar(h: "Tensor", places: np.ndarray) -> "Tensor":
        rows = wanted[places] if len(wanted) > 1 else wanted
        return (h * rows.to(h.device)).sum(1)

    return scalar


def squared_error_scalar(head: Head, responses: np.ndarray) -> Scalar:
    """Mean squared error over voxels, which is not linear in the features.

    Parameters
    ----------
    head
        Of the run.
    responses
        Shape (scan, voxel), of the run; standardised here.
    """
    import torch

    weights, mean = (torch.tensor(part, dtype=torch.float32) for part in (head.weights, head.mean))
    measured = torch.tensor(standardise(responses))

    def scalar(h: "Tensor", places: np.ndarray) -> "Tensor":
        predicted = (h - mean.to(h.device)) @ weights.to(h.device)
        return (predicted - measured[places].to(h.device)).square().mean(1)

    return scalar


def integrated_gradients(
    reading: Reading,
    contexts: Sequence[Context],
    scalar: Scalar,
    token: int,
    n_steps: int = N_STEPS,
    tolerance: float = TOLERANCE,
    most_steps: int = MOST_STEPS,
) -> Integrated:
    """Integrated gradients of a scalar (Sundararajan, Taly & Yan 2017), by Gauss-Legendre.

    Contexts whose scores miss the change of their scalar are integrated again with four times as
    many steps.

    Parameters
    ----------
    reading
        Model and layer.
    contexts
        Of scans.
    scalar
        Of the features.
    token
        The baseline has this token wherever the text has one.
    n_steps
        Points on the way from the baseline to the text, at first.
    tolerance
        Largest error of completeness.
    most_steps
        Largest number of steps.

    Returns
    -------
    Integrated

    Raises
    ------
    InputError
        Where the scores of a context miss the change of its scalar by more than `tolerance` with as
        many steps as are allowed.
    """
    width = max(len(one.words) for one in contexts)
    values = np.full((1, len(contexts), width), np.nan, dtype=np.float32)
    others = np.zeros((1, len(contexts)), dtype=np.float32)
    change, error = np.zeros(len(contexts)), np.full(len(contexts), np.inf)
    todo = np.arange(len(contexts))
    while len(todo):
        some = [contexts[place] for place in todo]
        own = _of_places(scalar, todo)
        found = _integrated_once(reading, some, own, token, n_steps)
        values[:, todo, : found.scores.values.shape[2]] = found.scores.values
        others[:, todo] = found.scores.others
        change[todo], error[todo] = found.change, found.error
        # Not a number, an error is no better than a large one.
        todo = np.flatnonzero(~(error <= tolerance))
        if len(todo) and 4 * n_steps > most_steps:
            worst = int(np.nan_to_num(error, nan=np.inf).argmax())
            _give_up(contexts[worst], error[worst], n_steps, tolerance)
        n_steps *= 4
    return Integrated(WordScores(values, others), change, error)


def _of_places(scalar: Scalar, chosen: np.ndarray) -> Scalar:
    """The scalar of some of its contexts, by their places among these."""
    return lambda h, places: scalar(h, chosen[places])


def _give_up(one: Context, error: float, n_steps: int, tolerance: float) -> None:
    raise InputError(
        f"With {n_steps} steps, integrated gradients at scan {one.scan} of run {one.run + 1} miss "
        f"the change of the scalar by {error:.1%}, and at most {tolerance:.1%} is expected: more "
        "steps or another baseline token may help."
    )


def _integrated_once(
    reading: Reading, contexts: Sequence[Context], scalar: Scalar, token: int, n_steps: int
) -> Integrated:
    """Integrated gradients with a given number of steps, whatever their errors."""
    change, error = np.zeros(len(contexts)), np.zeros(len(contexts))

    def token_scores(batch: Batch) -> np.ndarray:
        found, missed = _integrate(reading, batch, contexts, scalar, token, n_steps)
        total = found.sum(1)
        change[batch.places] = total - missed
        size = np.maximum(np.abs(total - missed), np.abs(found).sum(1))
        error[batch.places] = np.abs(missed) / np.maximum(size, np.finfo(np.float32).tiny)
        return found[None]

    return Integrated(collect(reading, contexts, 1, token_scores), change, error)


def _integrate(
    reading: Reading,
    batch: Batch,
    contexts: Sequence[Context],
    scalar: Scalar,
    token: int,
    n_steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a batch's tokens, (context, token), and by how much their sums miss the change."""
    from captum.attr import IntegratedGradients

    def forward(embeddings: "Tensor") -> "Tensor":
        places = np.tile(batch.places, len(embeddings) // len(batch.places))
        return scalar(features(reading, batch, embeddings), places)

    n_rows = len(batch.places)
    found, missed = IntegratedGradients(forward).attribute(
        batch.embeddings,
        baselines=_baseline(reading, batch, contexts, token),
        n_steps=n_steps,
        method="gausslegendre",
        internal_batch_size=n_rows * max(_ROWS // n_rows, 1),
        return_convergence_delta=True,
    )
    return found.sum(-1).cpu().numpy(), missed.detach().cpu().numpy()


def _baseline(reading: Reading, batch: Batch, contexts: Sequence[Context], token: int) -> "Tensor":
    """Embeddings of the same token everywhere in the text; added tokens stay."""
    import torch

    baseline = batch.embeddings.clone()
    own = embed(reading, torch.tensor([token], device=baseline.device))[0]
    for row, place in enumerate(batch.places):
        baseline[row, batch.first : batch.first + len(contexts[place].ids)] = own
    return baseline
