"""Which words carry the prediction of the next word: the same gradients, another scalar.

The scalar is the cross-entropy of the word that comes next, mean over its tokens. It is read at the
output, at the layer that the brain's readout listens to (through the final norm and the output
head: the logit lens), or, at the output, over the very words that the readout pools.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from brainalign.attribution.contexts import Context
from brainalign.attribution.gradients import WordScores, collect
from brainalign.attribution.reading import (
    Batch,
    Reading,
    batches,
    layer_states,
    pooled,
    scan_features,
)
from brainalign.errors import InputError
from brainalign.states import find_blocks

if TYPE_CHECKING:
    from torch import Tensor

Place = Literal["output", "layer", "pooled words"]


def next_word_scores(
    reading: Reading, contexts: Sequence[Context], place: Place = "output"
) -> tuple[WordScores, np.ndarray]:
    """Gradient × input of next-word prediction, and its loss.

    Parameters
    ----------
    reading
        A causal model with its output head, and the layer of "layer".
    contexts
        Of scans.
    place
        "output", "layer" or "pooled words".

    Returns
    -------
    scores : WordScores
        Shape (1, context, distance); zeros where nothing comes next.
    loss : numpy.ndarray
        Shape (context,), in nats per token; NaN where nothing comes next.

    Raises
    ------
    InputError
        For a model without output head, and an unknown place.
    """
    import torch

    losses = np.full(len(contexts), np.nan)

    def token_scores(batch: Batch) -> np.ndarray:
        embeddings = batch.embeddings.requires_grad_()
        loss = _losses(reading, contexts, batch, place)
        (gradient,) = torch.autograd.grad(loss.sum(), embeddings)
        _keep(losses, loss, contexts, batch)
        return (gradient * embeddings.detach()).sum(-1).cpu().numpy()[None]

    _check(reading, place)
    return collect(reading, contexts, 1, token_scores), losses


def next_word_loss(
    reading: Reading, contexts: Sequence[Context], place: Place = "output"
) -> np.ndarray:
    """The loss alone; parameters and errors as for `next_word_scores`."""
    import torch

    _check(reading, place)
    losses = np.full(len(contexts), np.nan)
    with torch.inference_mode():
        for batch in batches(reading, contexts):
            _keep(losses, _losses(reading, contexts, batch, place), contexts, batch)
    return losses


def _keep(losses: np.ndarray, found: "Tensor", contexts: Sequence[Context], batch: Batch) -> None:
    for place, loss in zip(batch.places, found.detach().cpu().numpy(), strict=True):
        if len(contexts[place].next_ids):
            losses[place] = loss


def _check(reading: Reading, place: str) -> None:
    if place not in get_args(Place):
        raise InputError(f"place is {place!r}; one of {get_args(Place)} is expected.")
    if reading.language_model.head is None:
        raise InputError(
            f"Model {reading.language_model.info.name!r} has no output head that predicts the next "
            "word; a causal language model is expected."
        )


def features_and_loss(
    reading: Reading, contexts: Sequence[Context]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Features of every context, and its loss at the output; one forward pass where it serves both.

    Parameters
    ----------
    reading
        Model and layer.
    contexts
        Of scans.

    Returns
    -------
    features : numpy.ndarray
        As `reading.scan_features`.
    loss : numpy.ndarray or None
        As `next_word_loss`; None for models without output head.
    """
    import torch

    if reading.language_model.head is None:
        return scan_features(reading, contexts), None
    last = len(reading.reader.layers) - 1
    if reading.layer < last:
        return scan_features(reading, contexts), next_word_loss(reading, contexts)
    h, losses = [], np.full(len(contexts), np.nan)
    with torch.inference_mode():
        for batch in batches(reading, contexts):
            states = layer_states(reading, batch.embeddings, batch.mask)
            h += zip(batch.places, pooled(states, batch).float().cpu().numpy(), strict=True)
            _keep(losses, _surprise(reading, contexts, batch, "output", states), contexts, batch)
    return np.stack([values for _, values in sorted(h, key=lambda pair: pair[0])]), losses


def _losses(reading: Reading, contexts: Sequence[Context], batch: Batch, place: str) -> "Tensor":
    """Mean cross-entropy of the predicted tokens of every context, differentiable."""
    layer = reading.layer if place == "layer" else len(reading.reader.layers) - 1
    states = layer_states(replace(reading, layer=layer), batch.embeddings, batch.mask)
    if place == "layer" and layer < len(reading.reader.layers) - 1:
        states = final_norm(reading.model)(states)
    return _surprise(reading, contexts, batch, place, states)


def _surprise(
    reading: Reading, contexts: Sequence[Context], batch: Batch, place: str, states: "Tensor"
) -> "Tensor":
    """Mean cross-entropy of the predicted tokens of every context, from states at the output."""
    import torch

    rows, positions, wanted, weights = _predicted(contexts, batch, place == "pooled words")
    logits = reading.language_model.head(states[rows, positions])
    surprise = torch.nn.functional.cross_entropy(
        logits.float(), torch.tensor(wanted, device=logits.device), reduction="none"
    )
    total = surprise.new_zeros(len(batch.places))
    return total.index_add(
        0, torch.tensor(rows, device=total.device), surprise * surprise.new_tensor(weights)
    )


def _predicted(
    contexts: Sequence[Context], batch: Batch, over_pooled: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, position, token to predict and weight of everything that is predicted in a batch."""
    found = []
    for row, place in enumerate(batch.places):
        one = contexts[place]
        if over_pooled:
            tokens = np.flatnonzero(one.pooling.any(0))
            tokens = tokens[tokens > 0]
            wanted = one.ids[tokens]
        else:
            wanted = one.next_ids
            tokens = np.arange(len(one.ids) - len(wanted) + 1, len(one.ids) + 1)
        weights = np.full(len(tokens), 1 / max(len(tokens), 1))
        found.append([np.full(len(tokens), row), batch.first + tokens - 1, wanted, weights])
    rows, positions, wanted, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    return rows, positions, wanted.astype(np.int64), weights


def final_norm(model: Any) -> Any:
    """The normalisation between a model's last block and its output head; nothing without one.

    Parameters
    ----------
    model
        A transformers model without head.

    Returns
    -------
    torch.nn.Module
    """
    import torch

    inside = {module for block in find_blocks(model) for module in block.modules()}
    outside = [
        module
        for name, module in model.named_modules()
        if module not in inside and "norm" in type(module).__name__.lower() and "embed" not in name
    ]
    return outside[-1] if outside else torch.nn.Identity()
