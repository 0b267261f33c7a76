"""Activations against one forward pass per word, and what happens to odd words."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import tiny_models
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken

from brainalign import activations
from brainalign.activations import (
    ActivationSettings,
    activation_key,
    extract,
    overlapping_windows,
    word_windows,
)
from brainalign.errors import InputError
from brainalign.loading import load_language_model
from brainalign.states import probe

POSITIONS = 24
FAMILIES = list(tiny_models.TOKENIZERS)
PREFIX = {"opt": 1, "opt-350m": 1, "llama": 1, "mistral": 1, "gemma": 1, "bert": 1}
# float16 keeps three digits.
CLOSE = {"rtol": 2e-3, "atol": 2e-3}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One tiny model of every family."""
    root = tmp_path_factory.mktemp("models")
    return {family: tiny_models.save_model(root / family, family, POSITIONS) for family in FAMILIES}


@pytest.fixture(scope="module")
def study():
    """Two runs that are longer than the models' windows, and one that is shorter."""
    return tiny_models.study_of([tiny_models.text_of(6), tiny_models.text_of(5, 1), "Anna cut"])


def tokens_and_words(language_model, run):
    """Tokens, and for each word of a text split at spaces the tokens on its characters."""
    encoded = language_model.tokenizer(
        run.text, add_special_tokens=False, return_offsets_mapping=True
    )
    on_words, position = [], 0
    for word in run.words["word"]:
        first = run.text.index(word, position)
        position = first + len(word)
        overlapping = [
            token
            for token, (start, end) in enumerate(encoded["offset_mapping"])
            if start < position and end > first
        ]
        on_words.append(overlapping)
    return encoded["input_ids"], on_words


def naive_states(language_model, family, tokens):
    """Hidden states of one window read alone, the added tokens cut off: (layer, token, unit)."""
    special = [2] if family == "bert" else [0] * PREFIX.get(family, 0)
    end = [3] if family == "bert" else []
    ids = torch.tensor([special + list(tokens) + end])
    with torch.inference_mode():
        embedded = language_model.model.get_input_embeddings()(ids)
        hidden = language_model.model(ids, output_hidden_states=True).hidden_states
    hidden = [embedded, *hidden] if family == "mamba" else hidden
    width = max(state.shape[-1] for state in hidden)
    padded = [torch.nn.functional.pad(state[0], (0, width - state.shape[-1])) for state in hidden]
    return torch.stack(padded)[:, len(special) : len(special) + len(tokens)].numpy()


def naive_window(language_model, family, ids, start, stop):
    """States of the tokens from `start` to `stop`, read alone."""
    return naive_states(language_model, family, ids[start:stop])


def naive_word(read, family, n_tokens, tokens, size, context):
    """Mean over a word's tokens, each read in its own window as the settings define it."""
    vectors = []
    for token in tokens:
        if family == "bert":
            stop = tokens[-1] + 1
            start = max(0, stop - size)
        elif token < size or n_tokens <= size:
            start, stop = 0, min(size, n_tokens)
        else:
            steps = -(-(token + 1 - size) // (size - context))
            start = min(steps * (size - context), n_tokens - size)
            stop = start + size
        vectors.append(read(start, stop)[:, token - start])
    return np.mean(vectors, axis=0)


@pytest.mark.parametrize("family", ["gpt2", "opt", "opt-350m", "llama", "mamba", "bert"])
def test_equals_one_window_per_word(folders, study, tmp_path, family):
    size = POSITIONS - PREFIX.get(family, 0) - (family == "bert")
    settings = ActivationSettings(minimum_context=15, batch_size=3)
    arrays = extract(study, str(folders[family]), settings, tmp_path)
    language_model = load_language_model(str(folders[family]))
    assert len(arrays) == len(study.runs)
    for run, array in zip(study.runs, arrays, strict=True):
        ids, on_words = tokens_and_words(language_model, run)
        assert array.attrs["n_tokens"] == len(ids)
        if family == "mamba":
            size = len(ids)
        read = cache(partial(naive_window, language_model, family, tuple(ids)))
        for word, tokens in enumerate(on_words):
            expected = naive_word(read, family, len(ids), tokens, size, 15)
            np.testing.assert_allclose(array[word], expected, **CLOSE)


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama", "mamba", "bert"])
def test_nothing_after_a_word_matters(folders, tmp_path, family):
    text = "Anna saw the red boat of the cook"
    whole = tiny_models.study_of([text])
    (array,) = extract(whole, str(folders[family]), folder=tmp_path)
    for n_words in (1, 3, 5):
        shorter = tiny_models.study_of([" ".join(text.split()[:n_words])])
        (part,) = extract(shorter, str(folders[family]), folder=tmp_path)
        np.testing.assert_allclose(array[:n_words], part[:], **CLOSE)


LAYER_NAMES = {
    "gpt2": ["embedding", "block 1", "block 2", "block 3, after the final norm"],
    "opt": ["embedding", "block 1", "block 2", "block 3, after the final norm"],
    "opt-350m": ["embedding", "block 1", "block 2", "block 3, projected to 8 units"],
    "llama": ["embedding", "block 1", "block 2", "block 3, after the final norm"],
    "mistral": ["embedding", "block 1", "block 2", "block 3, after the final norm"],
    "gemma": ["embedding", "block 1", "block 2", "block 3, after the final norm"],
    "gpt_neox": ["embedding", "block 1", "block 2", "block 3, after the final norm"],
    "stablelm": ["embedding", "block 1", "block 2", "block 3, after the final norm"],
    "qwen2": ["embedding", "block 1", "block 2", "block 3, after the final norm"],
    "mamba": ["embedding", "block 1", "block 2", "block 3", "block 3, after the final norm"],
    "bert": ["embedding", "block 1", "block 2", "block 3"],
}
FINAL_NORM = {
    "gpt2": lambda model: model.ln_f,
    "opt": lambda model: model.decoder.final_layer_norm,
    "opt-350m": lambda model: model.decoder.project_out,
    "llama": lambda model: model.norm,
    "mistral": lambda model: model.norm,
    "gemma": lambda model: model.norm,
    "gpt_neox": lambda model: model.final_layer_norm,
    "stablelm": lambda model: model.norm,
    "qwen2": lambda model: model.norm,
    "mamba": lambda model: model.norm_f,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_what_their_names_say(folders, study, tmp_path, family):
    """The last layer is the named module's output, the first what the embedding gives."""
    language_model = load_language_model(str(folders[family]))
    reader = probe(language_model)
    assert list(reader.layers) == LAYER_NAMES[family]
    assert reader.looks_right == (family == "bert")
    model, seen = language_model.model, {}
    ids = torch.arange(10)[None]

    def keep(name):
        return lambda _module, _inputs, output: seen.setdefault(name, output)

    if family in FINAL_NORM:
        FINAL_NORM[family](model).register_forward_hook(keep("last"))
    with torch.inference_mode():
        answer = model(ids, output_hidden_states=True)
    if family in FINAL_NORM:
        torch.testing.assert_close(answer.hidden_states[-1], seen["last"])
    if family == "mamba":
        # The list of this architecture starts behind the first block.
        assert not torch.equal(answer.hidden_states[0], model.embeddings(ids))
    if family == "llama":
        torch.testing.assert_close(answer.hidden_states[0], model.embed_tokens(ids))
    if family == "gpt2":
        embedded = model.wte(ids) + model.wpe(torch.arange(10))
        torch.testing.assert_close(answer.hidden_states[0], embedded)
    arrays = extract(study, str(folders[family]), folder=tmp_path)
    assert arrays[0].attrs["layers"] == LAYER_NAMES[family]
    assert arrays[0].shape[1] == len(LAYER_NAMES[family])


def test_default_context_is_two_thirds_of_the_window(folders, study, tmp_path):
    gpt2, mamba, bert = (
        extract(study, str(folders[family]), folder=tmp_path)
        for family in ("gpt2", "mamba", "bert")
    )
    assert gpt2[0].attrs["context"] == "windows of 24 tokens, at least 16 of them context"
    assert gpt2[2].attrs["context"] == mamba[0].attrs["context"] == "one pass"
    assert bert[0].attrs["context"] == "one window per word, ending at it, at most 22 tokens"


def test_last_token_and_mean_differ_only_for_words_of_several_tokens(folders, tmp_path):
    text = "the zebra"
    study = tiny_models.study_of([text])
    name = str(folders["llama"])
    (mean,) = extract(study, name, ActivationSettings(), tmp_path)
    (last,) = extract(study, name, ActivationSettings(word_vector="last"), tmp_path)
    language_model = load_language_model(name)
    ids, (_, tokens) = tokens_and_words(language_model, study.runs[0])
    states = naive_states(language_model, "llama", ids)
    assert len(tokens) > 1
    np.testing.assert_allclose(last[1], states[:, tokens[-1]], **CLOSE)
    np.testing.assert_allclose(mean[1], states[:, tokens].mean(axis=1), **CLOSE)


def test_words_merged_into_one_token_share_it(tmp_path):
    tokenizer = tiny_models.word_level()
    tokenizer.add_tokens([AddedToken("red boat")])
    folder = tiny_models.save_model(tmp_path / "model", tokenizer=tokenizer)
    study = tiny_models.study_of(["Anna saw the red boat"])
    (array,) = extract(study, str(folder), folder=tmp_path)
    assert array.attrs["n_tokens"] == 4
    np.testing.assert_array_equal(array[3], array[4])
    assert not np.array_equal(array[2], array[3])


def test_unknown_words_and_characters_get_the_unknown_token(folders, tmp_path):
    study = tiny_models.study_of(["Anna \N{SNOWMAN} the xylophone na\u00efve \u732b"])
    for family in ("gpt2", "bert", "opt"):
        (array,) = extract(study, str(folders[family]), folder=tmp_path)
        assert (np.abs(array[:]).max(axis=(1, 2)) > 0).all()
    (array,) = extract(study, str(folders["gpt2"]), folder=tmp_path)
    assert array.attrs["n_unknown_tokens"] == 4
    # At the embedding only the position tells one unknown word from another.
    model = load_language_model(str(folders["gpt2"])).model
    expected = (model.wte.weight[0] + model.wpe.weight[1]).detach().numpy()
    np.testing.assert_allclose(array[1, 0], expected, **CLOSE)


@pytest.mark.parametrize("name", ["gpt2", "bert", "random-vectors-5", "random-embeddings-5"])
def test_empty_words_add_nothing_or_take_the_next_vector(folders, tmp_path, name):
    words = ["Anna", np.nan, " ", "saw", "it", None]
    study = tiny_models.study_of(["Anna saw it"], [words])
    plain = tiny_models.study_of(["Anna saw it"])
    name = str(folders.get(name, name))
    (zero,) = extract(study, name, folder=tmp_path)
    (following,) = extract(study, name, ActivationSettings(empty_words="next"), tmp_path)
    assert not zero[[1, 2, 5]].any()
    np.testing.assert_array_equal(following[:][[1, 2]], zero[:][[3, 3]])
    assert not following[5].any()
    np.testing.assert_array_equal(following[:][[0, 3, 4]], zero[:][[0, 3, 4]])
    if not name.startswith("random-vectors"):
        (alone,) = extract(plain, name, folder=tmp_path)
        np.testing.assert_array_equal(zero[:][[0, 3, 4]], alone[:])


def test_random_embeddings_belong_to_word_forms(tmp_path):
    study = tiny_models.study_of(["the cat saw The dog", "a dog"])
    one, two = extract(study, "random-embeddings-300:seed-1", folder=tmp_path)
    assert one.shape == (5, 1, 300) and one.attrs["layers"] == ["random embeddings"]
    np.testing.assert_array_equal(one[0], one[3])
    np.testing.assert_array_equal(one[4], two[1])
    values = one[:][[0, 1, 2, 4]]
    assert values.min() >= 0 and values.max() <= 1 and abs(values.mean() - 0.5) < 0.03
    assert len(np.unique(values[:, 0, 0])) == 4
    other, _ = extract(study, "random-embeddings-300:seed-2", folder=tmp_path)
    assert not np.array_equal(one[0], other[0])


def test_random_vectors_belong_to_word_tokens(tmp_path):
    study = tiny_models.study_of(["the " * 200, "the the"])
    one, two = extract(study, "random-vectors-16", folder=tmp_path)
    values = one[:].astype(float)
    assert abs(values.mean()) < 0.06 and abs(values.std() - 1) < 0.05
    assert not np.array_equal(one[0], one[1]) and not np.array_equal(one[0], two[0])
    again, _ = extract(study, "random-vectors-16:seed-0", folder=tmp_path / "again")
    np.testing.assert_array_equal(one[:], again[:])


def test_files_are_chunked_by_layer_and_say_how_they_were_made(folders, study, tmp_path):
    settings = ActivationSettings(minimum_context=10)
    array = extract(study, str(folders["gpt2"]), settings, tmp_path)[0]
    n_words = len(study.runs[0].words)
    assert array.dtype == np.float16 and array.chunks == (n_words, 1, tiny_models.WIDTH)
    assert array.attrs["settings"]["minimum_context"] == 10
    assert array.attrs["key"] == activation_key(study, str(folders["gpt2"]), settings)
    assert array.attrs["scale"] == [1.0] * 4
    assert zarr.open_array(tmp_path / array.attrs["key"] / "run-1.zarr").shape == array.shape


def test_found_again_by_key_and_resumed_by_run(folders, study, tmp_path, monkeypatch):
    name = str(folders["gpt2"])
    before = [array[:] for array in extract(study, name, folder=tmp_path)]
    (kept,) = {path.parent for path in tmp_path.glob("*/run-1.zarr")}
    stamps = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    monkeypatch.setattr(activations, "load_language_model", None)
    after = [array[:] for array in extract(study, name, folder=tmp_path)]
    monkeypatch.undo()
    for path in sorted((kept / "run-2.zarr").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (kept / "run-2.zarr").rmdir()
    resumed = [array[:] for array in extract(study, name, folder=tmp_path)]
    for one, two, three in zip(before, after, resumed, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
    now = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
    assert now["run-2.zarr"] != stamps["run-2.zarr"]
    del now["run-2.zarr"], stamps["run-2.zarr"]
    assert now == stamps


def test_an_interrupted_run_leaves_nothing_half_written(folders, study, tmp_path, monkeypatch):
    name, read, calls = str(folders["gpt2"]), activations.read_words, []

    def fail_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return read(*arguments)

    monkeypatch.setattr(activations, "read_words", fail_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        extract(study, name, folder=tmp_path)
    assert [path.name for path in tmp_path.glob("*/*")] == ["run-1.zarr"]
    monkeypatch.undo()
    assert len(extract(study, name, folder=tmp_path)) == 3


def test_key_follows_story_model_and_settings(folders, study):
    name = str(folders["gpt2"])
    settings = ActivationSettings()
    keys = [
        activation_key(study, name, settings),
        activation_key(replace(study, runs=study.runs[:2]), name, settings),
        activation_key(study, f"{name}:untrained-0", settings),
        activation_key(study, f"{name}:untrained-1", settings),
        activation_key(study, str(folders["opt"]), settings),
        activation_key(study, name, ActivationSettings(minimum_context=3)),
        activation_key(study, name, ActivationSettings(word_vector="last")),
        activation_key(study, name, ActivationSettings(word_vector="characters")),
        activation_key(study, name, ActivationSettings(precision="bfloat16")),
        activation_key(study, name, ActivationSettings(precision="bfloat16-weights")),
        activation_key(study, name, ActivationSettings(stride=3)),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == activation_key(study, name, ActivationSettings(batch_size=1))
    assert keys[0] == activation_key(replace(study, fingerprint="other brains"), name, settings)
    # Only empty words matter to a baseline.
    baseline = partial(activation_key, study, "random-vectors-4")
    assert baseline(settings) == baseline(ActivationSettings(stride=3, precision="bfloat16"))
    assert baseline(settings) != baseline(ActivationSettings(empty_words="next"))


def test_huge_activations_are_scaled_by_powers_of_two(tmp_path):
    layers = np.ones((2, 3, 4), dtype=np.float32)
    layers[1] *= 3e6
    activations._write(tmp_path / "run-1.zarr", layers, {"model": "m"})
    array = zarr.open_array(tmp_path / "run-1.zarr")
    scale = np.array(array.attrs["scale"])
    assert scale[0] == 1 and np.log2(scale[1]) % 1 == 0
    np.testing.assert_allclose(array[:] * scale[:, None], layers.transpose(1, 0, 2), rtol=1e-3)
    with pytest.raises(InputError, match="'m' gives activations that are not finite"):
        activations._write(tmp_path / "run-2.zarr", layers * np.inf, {"model": "m"})
    assert not (tmp_path / "run-2.zarr").exists()


def test_untrained_model_reads_differently(folders, study, tmp_path):
    trained = extract(study, str(folders["gpt2"]), folder=tmp_path)[0]
    fresh = extract(study, f"{folders['gpt2']}:untrained-5", folder=tmp_path)[0]
    assert trained.shape == fresh.shape and not np.allclose(trained[:], fresh[:], atol=0.1)


def test_bad_settings_and_words_are_named(folders, study, tmp_path):
    name = str(folders["gpt2"])
    with pytest.raises(InputError, match="word_vector is 'first'"):
        ActivationSettings(word_vector="first")
    with pytest.raises(InputError, match="precision is 'float16'"):
        ActivationSettings(precision="float16")
    with pytest.raises(InputError, match="window is 0"):
        ActivationSettings(window=0)
    with pytest.raises(InputError, match="stride is 0"):
        ActivationSettings(stride=0)
    with pytest.raises(InputError, match="stride is 4 and minimum_context 3; one of them"):
        ActivationSettings(stride=4, minimum_context=3)
    with pytest.raises(InputError, match="stride is 25; at most the 24 tokens"):
        extract(study, name, ActivationSettings(stride=25), tmp_path)
    with pytest.raises(InputError, match=r"minimum_context is 24; .* 24 tokens"):
        extract(study, name, ActivationSettings(minimum_context=24), tmp_path)
    with pytest.raises(InputError, match="window is 25; the model has 24 positions"):
        extract(study, name, ActivationSettings(window=25), tmp_path)
    with pytest.raises(InputError, match="Unknown model"):
        extract(study, "no such model", folder=tmp_path)
    missing = tiny_models.study_of(["Anna saw", "Anna saw it"], [["Anna"], ["Anna", "cut", "it"]])
    with pytest.raises(InputError, match=r"Run 2 of study 'tiny': Word 1 \('cut'\) .*line 1, char"):
        extract(missing, name, folder=tmp_path)
    with pytest.raises(InputError, match="Word 1 has 5 tokens; a window holds 4"):
        word_windows(np.array([[0, 2], [2, 7]]), 4)


def test_silent_on_long_texts(folders, tmp_path, capfd):
    study = tiny_models.study_of([tiny_models.text_of(30)])
    extract(study, str(folders["gpt2"]), folder=tmp_path)
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""


@settings(deadline=None, max_examples=100)
@given(n_tokens=st.integers(1, 300), size=st.integers(1, 60), data=st.data(), full=st.booleans())
def test_windows_keep_every_token_once_with_its_context(n_tokens, size, data, full):
    stride = data.draw(st.integers(1, size))
    windows = overlapping_windows(n_tokens, size, stride, full)
    kept = np.concatenate([np.arange(keep, stop) for _, stop, keep in windows])
    np.testing.assert_array_equal(kept, np.arange(n_tokens))
    for first, stop, keep in windows:
        assert 0 <= first < stop <= n_tokens and stop - first <= size
        assert stop - first == min(size, n_tokens) or (not full and stop == n_tokens)
        assert first == 0 or keep - first >= size - stride
        assert full or first % stride == 0
    assert len(windows) <= max(1, 2 + (n_tokens - size) // stride)


def overflowing_states(language_model, text, size, stride):
    """Tokens' places and states as transformers' own windows give them: (token, layer, unit).

    Every window but the first repeats the tokens of the one before it, except for `stride` new ones.
    """
    n_added = len(language_model.tokenizer("")["input_ids"])
    repeated = size - n_added - stride
    windows = language_model.tokenizer(
        text,
        truncation=True,
        max_length=size,
        stride=repeated,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    places, states = [], []
    for number, (ids, offsets) in enumerate(
        zip(windows["input_ids"], windows["offset_mapping"], strict=True)
    ):
        with torch.inference_mode():
            ids = torch.tensor([ids])
            hidden = language_model.model(ids, output_hidden_states=True).hidden_states
            if language_model.model.config.model_type == "mamba":
                hidden = [language_model.model.get_input_embeddings()(ids), *hidden]
        new = n_added + (repeated if number else 0)
        width = max(state.shape[-1] for state in hidden)
        padded = [torch.nn.functional.pad(one[0], (0, width - one.shape[-1])) for one in hidden]
        states.append(torch.stack(padded, dim=1)[new:].numpy())
        places += offsets[new:]
    return np.array(places), np.concatenate(states), len(windows["input_ids"])


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "bert"])
def test_the_papers_windows_are_those_of_the_tokenizer(folders, study, tmp_path, family):
    """Vectors against transformers' own windows, whose last one is shorter."""
    stride = 5
    arrays = extract(study, str(folders[family]), ActivationSettings(stride=stride), tmp_path)
    language_model = load_language_model(str(folders[family]))
    size = 32_000 if family == "mamba" else POSITIONS
    found = []
    for run, array in zip(study.runs, arrays, strict=True):
        places, states, n_windows = overflowing_states(language_model, run.text, size, stride)
        found.append(n_windows)
        position = 0
        for word, vector in zip(run.words["word"], array[:], strict=True):
            first = run.text.index(word, position)
            position = first + len(word)
            on_word = (places[:, 0] < position) & (places[:, 1] > first)
            np.testing.assert_allclose(vector, states[on_word].mean(axis=0), **CLOSE)
    assert max(found) > 3 or family == "mamba" and max(found) == 1


def test_a_text_within_the_positions_is_read_in_one_pass(tmp_path):
    folder = str(tiny_models.save_model(tmp_path / "model", "qwen2", positions=32_768))
    study = tiny_models.study_of([tiny_models.text_of(12)])
    one, other = (
        extract(study, folder, ActivationSettings(stride=stride), tmp_path / str(stride))[0]
        for stride in (64, 7)
    )
    assert one.attrs["context"] == other.attrs["context"] == "one pass"
    np.testing.assert_array_equal(one[:], other[:])


def test_characters_take_the_tokens_that_they_lie_in(folders, tmp_path):
    """A word of two tokens, each weighted by its characters."""
    study = tiny_models.study_of(["the bothering"])
    name = str(folders["llama"])
    (array,) = extract(study, name, ActivationSettings(word_vector="characters"), tmp_path)
    language_model = load_language_model(name)
    encoded = language_model.tokenizer(
        "the bothering", add_special_tokens=False, return_offsets_mapping=True
    )
    states = naive_states(language_model, "llama", encoded["input_ids"])
    of_character = {
        place: token
        for token, (first, stop) in enumerate(encoded["offset_mapping"])
        for place in range(first, stop)
    }
    tokens = [of_character[place] for place in range(4, 13)]
    assert 1 < len(set(tokens)) < 9
    np.testing.assert_allclose(array[1], states[:, tokens].mean(axis=1), **CLOSE)


def test_word_windows_end_at_their_words():
    ranges = np.array([[0, 2], [0, 0], [1, 3], [7, 10]])
    windows, places = word_windows(ranges, 4)
    assert windows.tolist() == [[0, 2, 0], [0, 3, 1], [6, 10, 7]]
    assert places.tolist() == [[0, 2], [2, 2], [2, 4], [4, 7]]
