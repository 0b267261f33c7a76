"""Batches of windows against one window at a time, and what precision changes."""

from functools import cache

import numpy as np
import pytest
import tiny_models
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from brainalign.activations import ActivationSettings, extract
from brainalign.alignment import word_pooling
from brainalign.errors import InputError
from brainalign.loading import load_language_model
from brainalign.states import length_batches, probe, read_words

FAMILIES = ["gpt2", "opt-350m", "llama", "gemma", "gpt_neox", "mamba", "bert"]
N_TOKENS = 18


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Function that loads a tiny model of a family and probes it, once."""
    root = tmp_path_factory.mktemp("models")

    @cache
    def load(family):
        language_model = load_language_model(str(tiny_models.save_model(root / family, family)))
        return language_model.model, probe(language_model)

    return load


def alone(model, reader, tokens):
    """States of a window that is read alone, without the added tokens: (layer, token, unit)."""
    ids = torch.tensor([[*reader.prefix, *tokens, *reader.suffix]])
    with torch.inference_mode():
        hidden = model(ids, output_hidden_states=True).hidden_states
        if reader.add_embedding:
            hidden = [model.get_input_embeddings()(ids), *hidden]
    width = max(state.shape[-1] for state in hidden)
    padded = [torch.nn.functional.pad(state[0], (0, width - state.shape[-1])) for state in hidden]
    first = len(reader.prefix)
    return torch.stack(padded)[:, first : first + len(tokens)].numpy()


def draw_windows(rng, n_windows):
    """Windows of any length, in any order, which keep any of their tokens."""
    first, keep, last = np.sort(rng.integers(N_TOKENS, size=(n_windows, 3)), axis=1).T
    return np.column_stack([first, last + 1, keep])


def draw_reading(rng, model, n_windows):
    """Tokens, windows, and words of up to three kept tokens, some of which share tokens."""
    ids = rng.integers(4, model.config.vocab_size, N_TOKENS)
    windows = draw_windows(rng, n_windows)
    n_kept = (windows[:, 1] - windows[:, 2]).sum()
    first = rng.integers(n_kept, size=7)
    return (
        ids,
        windows,
        np.column_stack([first, np.minimum(first + rng.integers(4, size=7), n_kept)]),
    )


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10_000), n_windows=st.integers(1, 9), batch_size=st.integers(1, 90))
def test_batches_equal_one_window_at_a_time(loaded, family, seed, n_windows, batch_size):
    model, reader = loaded(family)
    ids, windows, ranges = draw_reading(np.random.default_rng(seed), model, n_windows)
    parts = [
        alone(model, reader, ids[first:stop])[:, keep - first :] for first, stop, keep in windows
    ]
    states = np.concatenate(parts, axis=1)
    pooling = word_pooling(ranges, states.shape[1], "mean")
    vectors = read_words(model, reader, ids, windows, pooling, batch_size)
    assert vectors.dtype == np.float32 and vectors.shape[0] == len(reader.layers)
    close = {"rtol": 0, "atol": 1e-5 * np.abs(states).max()}
    for word, (start, stop) in enumerate(ranges):
        if start == stop:
            assert not vectors[:, word].any()
        else:
            np.testing.assert_allclose(
                vectors[:, word], states[:, start:stop].mean(axis=1), **close
            )


@given(
    lengths=st.lists(st.integers(1, 50), min_size=0, max_size=60), batch_size=st.integers(1, 300)
)
def test_every_window_is_in_one_batch_with_its_likes(lengths, batch_size):
    lengths = np.array(lengths, dtype=int)
    batches = list(length_batches(lengths, batch_size))
    together = np.concatenate([*batches, np.zeros(0, dtype=int)])
    np.testing.assert_array_equal(np.sort(together), np.arange(len(lengths)))
    assert (np.diff(lengths[together]) <= 0).all()
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= batch_size


def test_windows_of_one_length_are_not_padded(loaded, monkeypatch):
    model, reader = loaded("gpt2")
    options = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda **o: options.append(o) or forward(**o))
    windows = np.array([[0, 8, 0], [4, 12, 8], [8, 16, 12], [0, 3, 2]])
    pooling = word_pooling(np.array([[0, 17]]), 17, "mean")
    read_words(model, reader, np.arange(16), windows, pooling, batch_size=16)
    assert [tuple(given["input_ids"].shape) for given in options] == [(2, 8), (2, 8)]
    assert ["attention_mask" in given for given in options] == [False, True]


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to ..."),
    MemoryError(),
]


def of_little_memory(monkeypatch, model, n_windows, error):
    """Make a model's forward pass fail for more windows than these; give the sizes it is asked for."""
    forward, asked = model.forward, []

    def limited(**options):
        asked.append(len(options["input_ids"]))
        if asked[-1] > n_windows:
            raise error
        return forward(**options)

    monkeypatch.setattr(model, "forward", limited)
    return asked


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("family", ["gpt2", "mamba"])
def test_batches_are_halved_where_the_memory_is_short(loaded, monkeypatch, family, error):
    model, reader = loaded(family)
    ids, windows, ranges = draw_reading(np.random.default_rng(1), model, 9)
    pooling = word_pooling(ranges, (windows[:, 1] - windows[:, 2]).sum(), "mean")
    wanted = read_words(model, reader, ids, windows, pooling, 10_000)
    asked = of_little_memory(monkeypatch, model, 3, error)
    found = read_words(model, reader, ids, windows, pooling, 10_000)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    # Once it has been found what fits, nothing larger is tried again.
    assert asked[:3] == [9, 4, 2] and max(asked[2:]) <= 3 and sum(asked[2:]) == 9


def test_a_window_that_does_not_fit_is_one_sentence(loaded, monkeypatch):
    model, reader = loaded("gpt2")
    windows, pooling = np.array([[0, 8, 0]]), word_pooling(np.array([[0, 8]]), 8, "mean")
    of_little_memory(monkeypatch, model, 0, OUT_OF_MEMORY[0])
    with pytest.raises(
        InputError, match="A window of 8 tokens does not fit the memory of .* 'cpu'"
    ):
        read_words(model, reader, np.arange(8), windows, pooling, 100)
    of_little_memory(monkeypatch, model, 0, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        read_words(model, reader, np.arange(8), windows, pooling, 100)


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_close_but_not_equal(loaded, family):
    model, reader = loaded(family)
    ids, windows, _ = draw_reading(np.random.default_rng(0), model, 6)
    n_kept = (windows[:, 1] - windows[:, 2]).sum()
    tokens = np.arange(n_kept)
    pooling = word_pooling(np.column_stack([tokens, tokens + 1]), n_kept, "last")
    full, half = (
        read_words(model, reader, ids, windows, pooling, 64, precision)
        for precision in ("float32", "bfloat16")
    )
    assert half.dtype == np.float32
    difference = np.abs(half - full).max() / np.abs(full).max()
    assert 1e-5 < difference < 0.1


def test_the_fused_activation_function_is_the_same(loaded, tmp_path):
    model, _ = loaded("gpt2")
    plain = transformers.AutoModel.from_pretrained(model.config.name_or_path, dtype=torch.float32)
    assert plain.config.activation_function == "gelu_new" != model.config.activation_function
    ids = torch.arange(10)[None]
    with torch.inference_mode():
        one, two = (m(ids).last_hidden_state for m in (plain.eval(), model))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "mamba", "bert"])
def test_a_run_without_words_has_zeros(tmp_path, family):
    folder = tiny_models.save_model(tmp_path / "model", family)
    study = tiny_models.study_of(["", "Anna cut", "Anna"], [[""], ["Anna", "cut"], [None, ""]])
    silent, heard, written = extract(study, str(folder), ActivationSettings(), tmp_path)
    assert silent.shape[1:] == heard.shape[1:] == written.shape[1:]
    assert not silent[:].any() and not written[:].any() and heard[:].any()
