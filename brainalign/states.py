"""Hidden states of a language model, and what each of them is.

Architectures differ in what their list of hidden states holds, and configurations do not say it.
So a probe compares, on a few tokens, the list with what goes into and comes out of every block.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from brainalign.errors import InputError
from brainalign.loading import LanguageModel, Precision

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

_PROBE_TOKENS = 8


@dataclass(frozen=True)
class Reader:
    """What a probe has found of a model.

    Attributes
    ----------
    layers : tuple of str
        Meaning of each layer that `read_words` gives: "embedding", "block 1", "block 2", ...,
        and for the last one "block N, after the final norm" where the architecture has one.
    n_units : int
        Width of the widest layer.
    add_embedding : bool
        Whether the model's own list lacks the embedding (Mamba), which is then put in front.
    looks_right : bool
        Whether a token's states depend on the tokens after it.
    max_tokens : int or None
        Tokens of text in a window, without the added ones; None without a limit.
    prefix, suffix : tuple of int
        Tokens that the tokenizer adds before and after a text; the suffix only where the model
        looks to the right.
    pad : int
        Token that fills shorter windows of a batch, masked.
    """

    layers: tuple[str, ...]
    n_units: int
    add_embedding: bool
    looks_right: bool
    max_tokens: int | None
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    pad: int


def probe(language_model: LanguageModel) -> Reader:
    """Find out how a model's hidden states are to be read.

    Parameters
    ----------
    language_model
        A loaded model.

    Returns
    -------
    Reader
    """
    import torch

    model, tokenizer = language_model.model, language_model.tokenizer
    limit = max_positions(model)
    length = _PROBE_TOKENS if limit is None else min(_PROBE_TOKENS, limit)
    numbers = np.random.default_rng(0).integers(model.config.vocab_size, size=(1, length))
    ids = torch.tensor(numbers, device=model.device)
    layers, n_units, lacks_embedding = _name_layers(model, ids)
    looks_right = _looks_right(model, ids)
    prefix, suffix = added_tokens(tokenizer)
    suffix = suffix if looks_right else ()
    if limit is not None:
        limit -= len(prefix) + len(suffix)
    pad = tokenizer.pad_token_id or 0
    return Reader(layers, n_units, lacks_embedding, looks_right, limit, prefix, suffix, pad)


def max_positions(model: Any) -> int | None:
    """Positions that a model has, from its configuration; None where it has no limit."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return None
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            # RoBERTa and its kin count positions from behind the padding token.
            return positions - padding - 1
    return positions


def added_tokens(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tokens that a tokenizer puts before and behind every text, such as BOS or [CLS] and [SEP]."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    full = tokenizer("a")["input_ids"]
    for start in range(len(full) - len(plain) + 1):
        if full[start : start + len(plain)] == plain:
            return tuple(full[:start]), tuple(full[start + len(plain) :])
    return (), ()


def read_words(
    model: Any,
    reader: Reader,
    ids: np.ndarray,
    windows: np.ndarray,
    pooling: "csr_array",
    batch_size: int,
    precision: Precision = "float32",
) -> np.ndarray:
    """Word vectors from the hidden states of the tokens that windows keep.

    Each batch is pooled before the next one is read, so that the token states of a whole run are
    never in memory.

    Parameters
    ----------
    model
        A transformers model without head.
    reader
        From `probe`.
    ids
        Tokens of the text, shape (n_tokens,), without added ones.
    windows
        Shape (n_windows, 3): first token, the one after the last, first token that is kept.
    pooling
        Shape (n_words, n_kept_tokens): the weight of each kept token, in the order of the windows,
        in each word's vector.
    batch_size
        Tokens read at once, at least one window; halved as often as the memory asks for it.
    precision
        "bfloat16" multiplies matrices in half precision (autocast); otherwise the weights' own is
        taken.

    Returns
    -------
    numpy.ndarray
        float32, shape (layer, word, unit). Layers narrower than the widest are filled with zeros.

    Raises
    ------
    InputError
        For a single window that the memory does not hold.
    """
    vectors = np.zeros((len(reader.layers), pooling.shape[0], reader.n_units), dtype=np.float32)
    kept = windows[:, 1] - windows[:, 2]
    places = np.split(np.arange(kept.sum()), np.cumsum(kept)[:-1])
    lengths = len(reader.prefix) + windows[:, 1] - windows[:, 0] + len(reader.suffix)
    waiting = np.argsort(-lengths, kind="stable")
    while len(waiting):
        batch = waiting[next(length_batches(lengths[waiting], batch_size))]
        states = _states_that_fit(model, reader, ids, windows[batch], precision)
        if states is None:
            batch_size = len(batch) // 2 * int(lengths[batch[0]])
            continue
        waiting = waiting[len(batch) :]
        part = pooling[:, np.concatenate([places[window] for window in batch])]
        touched = np.flatnonzero(np.diff(part.indptr))
        for target in vectors:
            values = states.pop(0).cpu().float().numpy()
            # Added, since the tokens of one word may be kept by windows of different batches.
            target[touched, : values.shape[1]] += part[touched] @ values
    return vectors


def length_batches(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Windows to be read together: sorted by length, so that little is padded; longest first.

    Parameters
    ----------
    lengths
        Tokens in each window.
    batch_size
        Tokens in a batch, padding included; a longer window is a batch of its own.

    Yields
    ------
    numpy.ndarray of int
        Indices of windows; each window comes once.
    """
    order = np.argsort(-lengths, kind="stable")
    while len(order):
        n_windows = max(1, batch_size // lengths[order[0]])
        yield order[:n_windows]
        order = order[n_windows:]


def _states_that_fit(
    model: Any, reader: Reader, ids: np.ndarray, windows: np.ndarray, precision: Precision
) -> "list[torch.Tensor] | None":
    """What `_kept_states` gives; None where the memory holds fewer windows only."""
    import torch

    try:
        return _kept_states(model, reader, ids, windows, precision)
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        if len(windows) == 1:
            raise InputError(
                f"A window of {windows[0, 1] - windows[0, 0]} tokens does not fit the memory of "
                f"device {str(model.device)!r}; a smaller window, precision 'bfloat16-weights' or "
                "another device is needed."
            ) from error
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _out_of_memory(error: Exception) -> bool:
    import torch

    signs = ("not enough memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        sign in str(error) for sign in signs
    )


def _kept_states(
    model: Any, reader: Reader, ids: np.ndarray, windows: np.ndarray, precision: Precision
) -> "list[torch.Tensor]":
    """States of the tokens that a batch of windows keeps: for each layer (kept token, unit)."""
    import torch

    rows = [[*reader.prefix, *ids[first:stop], *reader.suffix] for first, stop, _ in windows]
    longest = max(map(len, rows))
    batch = np.full((len(rows), longest), reader.pad)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    kept = np.zeros((len(rows), longest), dtype=bool)
    for row, (tokens, (first, stop, keep)) in enumerate(zip(rows, windows, strict=True)):
        batch[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
        kept[row, len(reader.prefix) + keep - first : len(reader.prefix) + stop - first] = True
    # Without a mask, attention needs no scores of all pairs of tokens in memory.
    options = {} if mask.all() else {"attention_mask": torch.tensor(mask, device=model.device)}
    ids_batch = torch.tensor(batch, device=model.device)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        states = _hidden_states(model, ids_batch, reader.add_embedding, **options)
    chosen = torch.tensor(kept, device=model.device)
    for layer, state in enumerate(states):
        # One after the other, so that no second copy of all is needed; each where it was made.
        states[layer] = state[chosen.to(state.device)]
    return states


def _hidden_states(
    model: Any, ids: "torch.Tensor", add_embedding: bool, **options: Any
) -> "list[torch.Tensor]":
    import torch

    with torch.inference_mode(), _recorded(model) as (entry, _):
        hidden = model(input_ids=ids, output_hidden_states=True, **options).hidden_states
    return [entry[0], *hidden] if add_embedding else list(hidden)


def find_blocks(model: Any) -> list[Any]:
    """Blocks of a model: its first list of as many modules as it has layers."""
    import torch

    for module in model.modules():
        n_layers = model.config.num_hidden_layers
        if isinstance(module, torch.nn.ModuleList) and len(module) == n_layers:
            return list(module)
    return []


@contextmanager
def _recorded(model: Any) -> Iterator[tuple[list, list]]:
    """Record what enters the first block and what leaves each block inside the `with`."""
    entry: list = []
    outputs: list = []

    def before(_module, args, kwargs):
        entry.append(args[0] if args else kwargs["hidden_states"])

    def after(_module, _args, output):
        outputs.append(output[0] if isinstance(output, tuple) else output)

    blocks = find_blocks(model)
    hooks = [block.register_forward_hook(after) for block in blocks]
    hooks += [block.register_forward_pre_hook(before, with_kwargs=True) for block in blocks[:1]]
    try:
        yield entry, outputs
    finally:
        for hook in hooks:
            hook.remove()


def _name_layers(model: Any, ids: "torch.Tensor") -> tuple[tuple[str, ...], int, bool]:
    """Meaning of each hidden state, the largest width, and whether the embedding is missing."""
    import torch

    with torch.inference_mode(), _recorded(model) as (entry, outputs):
        answer = model(input_ids=ids, output_hidden_states=True)
    n_units = max(state.shape[-1] for state in answer.hidden_states)
    if not outputs:
        names = tuple(f"hidden state {k}" for k in range(len(answer.hidden_states)))
        return names, n_units, False
    known = [("embedding", entry[0])]
    known += [(f"block {number}", output) for number, output in enumerate(outputs, start=1)]
    names = []
    for index, state in enumerate(answer.hidden_states):
        same = [name for name, value in known if torch.equal(value.to(state.device), state)]
        if same:
            # Blocks that change nothing (at initialisation) leave several candidates.
            expected = known[min(index, len(known) - 1)][0]
            names.append(expected if expected in same else same[0])
        elif index < len(answer.hidden_states) - 1:
            names.append(f"hidden state {index}")
        elif state.shape == entry[0].shape:
            names.append(f"block {len(outputs)}, after the final norm")
        else:
            names.append(f"block {len(outputs)}, projected to {state.shape[-1]} units")
    missing = "embedding" not in names
    return (("embedding", *names) if missing else tuple(names)), n_units, missing


def _looks_right(model: Any, ids: "torch.Tensor") -> bool:
    """Whether another last token changes the states of the tokens before it."""
    import torch

    other = ids.clone()
    other[0, -1] = (ids[0, -1] + 1) % model.config.vocab_size
    with torch.inference_mode():
        one, two = (model(input_ids=tokens).last_hidden_state[0, :-1] for tokens in (ids, other))
    return bool((one - two).abs().max() > 1e-6 * one.abs().max())
