"""The shipped language models: their tokenizer, their weights, and that training reproduces them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brainalign.errors import InputError
from brainalign.files import file_sha256
from brainalign.loading import load_language_model
from brainalign.models import describe, zoo_names
from brainalign.studies.testbed import zoo
from brainalign.studies.testbed.config import StoryConfig
from brainalign.studies.testbed.languages import ENGLISH
from brainalign.studies.testbed.story import as_text, write
from brainalign.studies.testbed.tokens import encode_sentences, make_tokenizer


def test_ladder_is_shipped_whole_smallest_first():
    assert zoo_names() == list(zoo.LADDER)
    sizes = [describe(name).n_parameters for name in zoo_names()]
    assert sizes == sorted(sizes) and len(sizes) >= 9
    assert sizes[0] < 7e3 and 8e5 < sizes[-1] < 1e6


@pytest.mark.parametrize("name", list(zoo.LADDER))
def test_weights_are_what_training_left(name):
    folder = zoo.WEIGHTS / name
    record = json.loads((folder / "training.json").read_text())
    assert record["sha256"] == file_sha256(folder / "model.safetensors")
    recipe = zoo.LADDER[name]
    assert {key: record[key] for key in ("width", "layers", "words", "seed")} == {
        "width": recipe.width,
        "layers": recipe.layers,
        "words": recipe.words,
        "seed": recipe.seed,
    }


def test_larger_models_predict_words_better():
    losses = zoo.zoo_table()["validation_loss"].to_numpy()
    assert np.corrcoef(np.arange(len(losses)), losses)[0, 1] < -0.8
    assert losses[-1] < losses[0] - 0.3


def test_shipped_model_has_the_recorded_loss():
    import torch
    from transformers import AutoModelForCausalLM

    name = zoo_names()[2]
    model = AutoModelForCausalLM.from_pretrained(zoo.WEIGHTS / name, dtype=torch.float32).eval()
    sequences = zoo._sequences(zoo.LADDER[name], 1, 60_000)
    record = json.loads((zoo.WEIGHTS / name / "training.json").read_text())
    # Shipped in half precision, recorded before rounding.
    assert zoo.validation_loss(model, sequences) == pytest.approx(
        record["validation_loss"], abs=2e-3
    )


def test_tokenizer_and_direct_encoding_agree():
    sentences = write(ENGLISH, StoryConfig(), np.random.default_rng(3), 2000)
    tokens = make_tokenizer()(as_text(sentences), truncation=False)["input_ids"]
    assert tokens == encode_sentences(sentences).tolist()
    shipped = load_language_model(zoo_names()[0]).tokenizer
    assert shipped(as_text(sentences), truncation=False)["input_ids"] == tokens


def test_training_again_gives_the_shipped_loss(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    name = zoo_names()[0]
    shipped = json.loads((zoo.WEIGHTS / name / "training.json").read_text())
    again = zoo.train_model(zoo.LADDER[name], tmp_path)
    assert again["validation_loss"] == pytest.approx(shipped["validation_loss"], abs=1e-3)


def test_interrupted_training_continues_to_the_same_weights(tmp_path, monkeypatch):
    from safetensors.numpy import load_file

    monkeypatch.setattr(zoo, "CHECKPOINT_EVERY", 10)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    recipe = replace(zoo.LADDER[zoo_names()[0]], words=15_000)
    zoo.train_model(recipe, tmp_path / "whole")

    calls = []

    def interrupt(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return checkpoint(*arguments)

    checkpoint = zoo._checkpoint
    monkeypatch.setattr(zoo, "_checkpoint", interrupt)
    with pytest.raises(KeyboardInterrupt):
        zoo.train_model(recipe, tmp_path / "parts")
    monkeypatch.setattr(zoo, "_checkpoint", checkpoint)
    assert not (tmp_path / "parts").exists()
    zoo.train_model(recipe, tmp_path / "parts")
    whole, parts = (
        load_file(tmp_path / part / recipe.name / "model.safetensors")
        for part in ("whole", "parts")
    )
    assert all(np.array_equal(whole[key], parts[key]) for key in whole)


def test_unknown_model_is_one_sentence():
    with pytest.raises(InputError, match="The zoo has no model 'gpt5'"):
        zoo.train(["gpt5"])


def test_trained_models_are_found_again_and_copied(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    small = replace(zoo.LADDER[zoo_names()[0]], words=15_000)
    monkeypatch.setattr(zoo, "LADDER", {small.name: small})
    first = zoo.train(jobs=1, folder=tmp_path / "one")
    monkeypatch.setattr(zoo, "train_model", None)  # must not be called again
    second = zoo.train(jobs=1, folder=tmp_path / "two")
    assert first.equals(second)
    assert (
        describe(str(tmp_path / "two" / small.name)).n_parameters == first["n_parameters"].iloc[0]
    )


def test_the_books_table_is_the_shipped_ladder():
    text = (Path(__file__).parents[1] / "book" / "testbed.md").read_text(encoding="utf-8")
    for name, row in zoo.zoo_table().iterrows():
        loss, perplexity = row["validation_loss"], row["perplexity"]
        shown = f"| `{name}` | {int(row['n_parameters']):,} | {loss:.2f} | {perplexity:.1f} |"
        assert shown in text
