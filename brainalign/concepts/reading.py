"""What a language model makes of single texts: sentences, words, clouds of words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.loading import load_language_model
from brainalign.states import probe, read_words

# Tokens read at once.
_BATCH = 4096


def text_vectors(model: str, texts: Sequence[str]) -> np.ndarray:
    """Vectors of texts, each read on its own (Ryskina et al. 2025, section 3).

    Parameters
    ----------
    model
        Language model.
    texts
        Any texts that fit the model.

    Returns
    -------
    numpy.ndarray
        float32, shape (configuration, text, unit): every layer as the mean over the text's tokens,
        then every layer at its last token.

    Raises
    ------
    InputError
        For an unknown model, no text, and one without tokens or longer than the model takes.
    """
    from scipy.sparse import csr_array

    loaded = load_language_model(model)
    reader = probe(loaded)
    tokens = [loaded.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    lengths = np.array([len(ids) for ids in tokens], dtype=int)
    longest = reader.max_tokens or np.inf
    if not len(texts) or not lengths.all() or lengths.max() > longest:
        raise InputError(
            f"{len(texts)} texts of {lengths.min(initial=0)} to {lengths.max(initial=0)} tokens "
            f"were given; at least one text, of 1 to {longest} tokens each, is expected."
        )
    stops = np.cumsum(lengths)
    windows = np.column_stack([stops - lengths, stops, stops - lengths])
    text = np.repeat(np.arange(len(texts)), lengths)
    mean = csr_array((1 / lengths[text], (text, np.arange(stops[-1]))))
    last = csr_array((np.ones(len(texts)), (np.arange(len(texts)), stops - 1)), shape=mean.shape)
    ids = np.concatenate(tokens)
    return np.concatenate(
        [
            read_words(loaded.model, reader, ids, windows, pooling.astype(np.float32), _BATCH)
            for pooling in (mean, last)
        ]
    )


def stimulus_vectors(model: str, stimuli: pd.DataFrame) -> dict[str, np.ndarray]:
    """Vectors of the words that every stimulus shows.

    Parameters
    ----------
    model
        Language model.
    stimuli
        Table of `studies.concepts.responses.ConceptResponses`.

    Returns
    -------
    dict
        Paradigm -> shape (configuration, stimulus, concept, unit), concepts in alphabetical order.
    """
    distinct, place = np.unique(stimuli["text"].to_numpy(str), return_inverse=True)
    vectors = text_vectors(model, distinct.tolist())
    rows = stimuli.assign(place=place)
    found = {}
    for paradigm, part in rows.groupby("paradigm"):
        table = part.pivot(index="stimulus", columns="concept", values="place")
        found[str(paradigm)] = vectors[:, table.to_numpy()]
    return found
