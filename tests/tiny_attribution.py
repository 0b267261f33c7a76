"""A story without listeners, and tiny models that read it, for tests of attributions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tiny_models
import torch

from brainalign.attribution.contexts import Context, run_contexts
from brainalign.attribution.heads import Head, fit_heads
from brainalign.attribution.reading import Reading, embed, reading, scan_features
from brainalign.loading import load_language_model
from brainalign.study import Study, standardise

CAUSAL = ("gpt2", "opt", "opt-350m", "llama", "mamba")
N_WORDS = 6


def text_study() -> Study:
    """Three runs; trimmed so that every scan has words behind it, ends included."""
    texts = [tiny_models.text_of(10, seed) for seed in range(3)]
    return replace(tiny_models.study_of(texts), trim=(4, 1))


def reader(folder: Path) -> Callable[..., Reading]:
    """Function of family and layer that gives the reading of a tiny model."""
    loaded = {}

    def make(family: str, layer: int = 2) -> Reading:
        if family not in loaded:
            path = tiny_models.save_model(folder / family, family, positions=96)
            loaded[family] = load_language_model(str(path), head=family != "bert")
        return reading(loaded[family], layer)

    return make


def contexts_of(study: Study, read: Reading, run: int = 0) -> list[Context]:
    """Contexts of one run."""
    return run_contexts(study, run, read.language_model.tokenizer, N_WORDS, read.reader.max_tokens)


def head_of(n_features: int, n_voxels: int = 7, seed: int = 0) -> Head:
    """A random readout."""
    rng = np.random.default_rng(seed)
    return Head(rng.normal(size=(n_features, n_voxels)), rng.normal(size=n_features))


def features_of(read: Reading, one: Context, embeddings: torch.Tensor) -> torch.Tensor:
    """Features of one context from embeddings (1, token, unit), without `reading.features`."""
    hidden = read.model(inputs_embeds=embeddings, output_hidden_states=True).hidden_states
    states = ([embeddings, *hidden] if read.reader.add_embedding else hidden)[read.layer][0]
    first = len(read.reader.prefix)
    states = states[first : first + len(one.ids)]
    return torch.cat([torch.tensor(row) @ states for row in one.pooling])


def alone(read: Reading, one: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """Token embeddings (1, token, unit) and the features of one context, without `batches`."""
    ids = torch.tensor([[*read.reader.prefix, *one.ids, *read.reader.suffix]])
    embeddings = embed(read, ids).requires_grad_()
    return embeddings, features_of(read, one, embeddings)


def words_of(tokens: np.ndarray, read: Reading, one: Context) -> list:
    """Sums over the tokens of every word, newest first."""
    own = tokens[len(read.reader.prefix) :][: len(one.ids)]
    return [own[one.word_of_token == word].sum() for word in range(len(one.words))][::-1]


class Fitted(NamedTuple):
    """Features of all runs, responses that follow them with noise, heads and their scores."""

    read: Reading
    contexts: list[list[Context]]
    x: list[np.ndarray]
    y: list[np.ndarray]
    heads: list[Head]
    r: np.ndarray


def fitted_to(study: Study, read: Reading) -> Fitted:
    """Readouts of five simulated voxels."""
    contexts = [contexts_of(study, read, run) for run in range(3)]
    x = [scan_features(read, part) for part in contexts]
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(x[0].shape[1], 5))
    y = [standardise(part @ weights + 20 * rng.normal(size=(len(part), 5))) for part in x]
    return Fitted(read, contexts, x, y, *fit_heads(x, y))
