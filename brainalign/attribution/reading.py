"""A language model with its readout: from token embeddings to the features of scans.

The features that a ridge regression is fitted to are made here, by the very function that gradients
go back through. The model runs up to the layer that is read and no farther.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from brainalign.attribution.contexts import Context
from brainalign.errors import InputError
from brainalign.loading import LanguageModel
from brainalign.states import Reader, find_blocks, length_batches, probe

if TYPE_CHECKING:
    from torch import Tensor

#: Tokens in a batch of contexts.
BATCH_TOKENS = 4096


@dataclass(frozen=True)
class Reading:
    """A language model, and the layer that is read.

    Attributes
    ----------
    language_model : LanguageModel
        Its weights need no gradients.
    reader : Reader
        From `states.probe`.
    layer : int
        A hidden state; 0 is the embedding.
    """

    language_model: LanguageModel
    reader: Reader
    layer: int

    @property
    def model(self) -> Any:
        """The body of the model."""
        return self.language_model.model


@dataclass(frozen=True)
class Batch:
    """Contexts side by side, filled up at the right.

    Attributes
    ----------
    places : numpy.ndarray of int
        Of these contexts in the list that they were taken from.
    embeddings : Tensor
        (context, token, unit), of all tokens, those that the tokenizer adds and fills up included.
    mask : Tensor
        (context, token), 1 where there is a token.
    pooling : Tensor
        (context, delay, token).
    first : int
        Place of the text's first token, behind those that the tokenizer adds.
    """

    places: np.ndarray
    embeddings: "Tensor"
    mask: "Tensor"
    pooling: "Tensor"
    first: int


def reading(language_model: LanguageModel, layer: int) -> Reading:
    """Prepare a model for gradients with respect to its token embeddings.

    Parameters
    ----------
    language_model
        A loaded model; its weights are frozen.
    layer
        A hidden state; 0 is the embedding, -1 the last.

    Returns
    -------
    Reading

    Raises
    ------
    InputError
        For a layer that does not exist, and a model that does not take embeddings as input or has
        no gradient through them.
    """
    import torch

    model, name = language_model.model, language_model.info.name
    reader = probe(language_model)
    n_layers = len(reader.layers)
    if not -n_layers <= layer < n_layers:
        raise InputError(f"layer is {layer}; model {name!r} has layers 0 to {n_layers - 1}.")
    model.requires_grad_(False)
    found = Reading(language_model, reader, layer % n_layers)
    ids = torch.zeros((1, 2), dtype=torch.long, device=model.device)
    embeddings = embed(found, ids).requires_grad_()
    try:
        out = layer_states(found, embeddings, torch.ones_like(ids))
        (gradient,) = torch.autograd.grad(out.square().sum(), embeddings)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"Model {name!r} has no gradients through its token embeddings "
            f"({str(error).splitlines()[0]}); a model that takes inputs_embeds is expected."
        ) from error
    if not gradient.isfinite().all():
        raise InputError(f"Model {name!r} has gradients that are not finite.")
    return found


def embed(reading: Reading, ids: "Tensor") -> "Tensor":
    """Token embeddings, which gradients are taken of; positions are added by the model."""
    return reading.model.get_input_embeddings()(ids).detach()


class _ReachedError(Exception):
    """Raised inside a model whose wanted layer is computed."""


@contextmanager
def _caught(reading: Reading) -> Iterator[list]:
    """Keep the state of the wanted block and stop there, where it is a block's own output."""
    name, blocks, kept = reading.reader.layers[reading.layer], find_blocks(reading.model), []

    def before(_module, args, kwargs):
        kept.append(args[0] if args else kwargs["hidden_states"])
        raise _ReachedError

    def after(_module, _args, output):
        kept.append(output[0] if isinstance(output, tuple) else output)
        raise _ReachedError

    hook = None
    if name == "embedding" and blocks:
        hook = blocks[0].register_forward_pre_hook(before, with_kwargs=True)
    elif name.startswith("block ") and name.removeprefix("block ").isdecimal():
        hook = blocks[int(name.removeprefix("block ")) - 1].register_forward_hook(after)
    try:
        yield kept
    finally:
        if hook is not None:
            hook.remove()


def layer_states(reading: Reading, embeddings: "Tensor", mask: "Tensor") -> "Tensor":
    """Hidden states of the wanted layer, (context, token, unit), differentiable.

    Parameters
    ----------
    reading
        Model and layer.
    embeddings, mask
        As in `Batch`.
    """
    # Causal models never see what is filled up behind a text, so that they need no mask.
    options = {"attention_mask": mask} if reading.reader.looks_right else {}
    with _caught(reading) as kept:
        try:
            answer = reading.model(
                inputs_embeds=embeddings, output_hidden_states=True, use_cache=False, **options
            )
        except _ReachedError:
            return kept[0]
    hidden = answer.hidden_states
    return hidden[reading.layer - reading.reader.add_embedding]


def batches(
    reading: Reading, contexts: Sequence[Context], batch_tokens: int = BATCH_TOKENS
) -> Iterator[Batch]:
    """Contexts in batches of similar length, the longest first.

    Parameters
    ----------
    reading
        Model and layer.
    contexts
        From `contexts.run_contexts`.
    batch_tokens
        Tokens in a batch.

    Yields
    ------
    Batch
        Every context is in one.
    """
    import torch

    reader, device = reading.reader, reading.model.device
    added = len(reader.prefix) + len(reader.suffix)
    lengths = np.array([len(one.ids) + added for one in contexts])
    for places in length_batches(lengths, batch_tokens):
        longest, n_delays = lengths[places].max(), len(contexts[places[0]].pooling)
        ids = np.full((len(places), longest), reader.pad)
        mask = np.zeros((len(places), longest), dtype=np.int64)
        pooling = np.zeros((len(places), n_delays, longest), dtype=np.float32)
        first = len(reader.prefix)
        for row, place in enumerate(places):
            one = contexts[place]
            tokens = [*reader.prefix, *one.ids, *reader.suffix]
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
            pooling[row, :, first : first + len(one.ids)] = one.pooling
        as_tensor = [torch.tensor(values, device=device) for values in (ids, mask, pooling)]
        yield Batch(places, embed(reading, as_tensor[0]), *as_tensor[1:], first)


def features(reading: Reading, batch: Batch, embeddings: "Tensor | None" = None) -> "Tensor":
    """Pooled states of every delay side by side, (context, delay * unit), differentiable.

    Parameters
    ----------
    reading
        Model and layer.
    batch
        Contexts.
    embeddings
        Instead of the batch's own: any number of rows, of which every so many belong to its
        contexts in turn.
    """
    embeddings = batch.embeddings if embeddings is None else embeddings
    times = len(embeddings) // len(batch.embeddings)
    return pooled(layer_states(reading, embeddings, batch.mask.repeat(times, 1)), batch)


def pooled(states: "Tensor", batch: Batch) -> "Tensor":
    """Features of states (row, token, unit), whose rows belong to the batch's contexts in turn."""
    return (batch.pooling.repeat(len(states) // len(batch.pooling), 1, 1) @ states).flatten(1)


def scan_features(reading: Reading, contexts: Sequence[Context]) -> np.ndarray:
    """Features of every context, to fit a readout to.

    Parameters
    ----------
    reading
        Model and layer.
    contexts
        Of the scans of one run.

    Returns
    -------
    numpy.ndarray
        float32, shape (n_scans, n_delays * n_units).
    """
    import torch

    made = []
    with torch.inference_mode():
        for batch in batches(reading, contexts):
            made.append((batch.places, features(reading, batch).float().cpu().numpy()))
    result = np.empty((len(contexts), made[0][1].shape[1]), dtype=np.float32)
    for places, values in made:
        result[places] = values
    return result
