"""The shipped language models: architectures, weights, and that training reproduces them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from brainalign import published
from brainalign.errors import InputError
from brainalign.files import file_sha256
from brainalign.loading import load_language_model
from brainalign.models import ZOO, checkpoint_steps, describe, zoo_names
from brainalign.studies.testbed import training, zoo
from brainalign.studies.testbed.architectures import make_model
from brainalign.studies.testbed.recipes import LADDER, RECIPES
from brainalign.studies.testbed.tokens import make_tokenizer, token_numbers

FAMILIES = {recipe.family: recipe for recipe in reversed(RECIPES.values())}  # the smallest of each
SMALLEST = next(iter(LADDER.values()))


def record(name):
    return json.loads((ZOO / name / "training.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sequences():
    """The whole training story of the English models."""
    return training.story_sequences(SMALLEST, 0, SMALLEST.words)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("language", ["en", "fr", "cn"])
def test_there_is_a_counterpart_for_each_of_the_papers_models(language):
    found = zoo.zoo_table().loc[zoo_names(language), "counterpart"]
    paper = published.models(language).set_index("name")["n_parameters"].sort_values()
    # In the paper's order of size, too.
    assert found.tolist() == paper.index.tolist()


def test_sizes_span_two_decades_and_fit_into_forty_megabytes():
    sizes = [describe(name).n_parameters for name in zoo_names()]
    assert sizes == sorted(sizes) and len(sizes) == 28
    assert 1.9 < np.log10(sizes[-1] / sizes[0]) < 2.3
    mamba = [describe(name).n_parameters for name in zoo_names() if "mamba" in name]
    assert len(mamba) == 5 and 7e3 < min(mamba) and max(mamba) < 2e5
    assert sum(path.stat().st_size for path in ZOO.rglob("*.*")) < 40e6


@pytest.mark.parametrize("name", list(RECIPES))
def test_weights_are_what_training_left(name):
    kept = record(name)
    assert kept["sha256"] == file_sha256(ZOO / name / "model.safetensors")
    wanted = vars(RECIPES[name]) | {"checkpoints": list(RECIPES[name].checkpoints)}
    assert {key: kept[key] for key in wanted} == wanted


@pytest.mark.parametrize("recipe", FAMILIES.values(), ids=FAMILIES)
def test_every_family_is_built_saved_and_loaded_again(recipe, tmp_path):
    import torch

    n_tokens = len(token_numbers(recipe.language))
    model = make_model(recipe, n_tokens).eval()
    model.save_pretrained(tmp_path)
    make_tokenizer(recipe.language, recipe.positions).save_pretrained(tmp_path)
    again = load_language_model(str(tmp_path))
    assert again.info.n_parameters == sum(part.numel() for part in model.parameters())
    assert (again.info.n_layers, again.info.n_hidden) == (recipe.layers, recipe.width)
    rng = np.random.default_rng(0)
    tokens = torch.as_tensor(rng.integers(1, n_tokens, (2, recipe.positions)))
    with torch.inference_mode():
        found = again.model(tokens, output_hidden_states=True).hidden_states
        wanted = model(tokens, output_hidden_states=True).hidden_states
        loss = model(tokens, labels=tokens).loss.item()
    assert len(found) == recipe.layers + 1
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)
    assert loss == pytest.approx(np.log(n_tokens), abs=0.5)
    # No dropout: training changes nothing but the weights.
    assert torch.equal(model.train()(tokens).logits, model.eval()(tokens).logits)
    special = (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id)
    assert all(0 <= number < n_tokens for number in special)


@pytest.mark.parametrize("name", list(LADDER))
def test_training_starts_with_the_recorded_loss(name, sequences):
    import torch

    recipe = LADDER[name]
    first = np.random.default_rng([recipe.seed, 6]).permutation(len(sequences))[: recipe.batch]
    start = training.Training(recipe, n_steps=100)
    loss = start.step(torch.as_tensor(sequences[first]))
    assert loss == pytest.approx(record(name)["log"][0]["loss"], abs=1e-3)


def test_training_goes_on_as_recorded(sequences):
    import torch

    log = record(SMALLEST.name)["log"]
    order = np.random.default_rng([SMALLEST.seed, 6]).permutation(len(sequences))
    again = training.Training(SMALLEST, len(sequences) // SMALLEST.batch)
    for step in range(log[1]["step"]):
        rows = order[step * SMALLEST.batch : (step + 1) * SMALLEST.batch]
        loss = again.step(torch.as_tensor(sequences[rows]))
    assert loss == pytest.approx(log[1]["loss"], abs=0.02)


@pytest.mark.parametrize("language", ["en", "fr", "cn"])
def test_larger_models_predict_words_better(language):
    table = zoo.zoo_table().loc[zoo_names(language)]
    assert np.corrcoef(np.log(table["n_parameters"]), table["validation_loss"])[0, 1] < -0.7
    assert np.corrcoef(np.log(table["n_parameters"]), table["completion"])[0, 1] > 0.7


def test_shipped_model_has_the_recorded_loss():
    import torch
    from transformers import AutoModelForCausalLM

    name = zoo_names()[2]
    model = AutoModelForCausalLM.from_pretrained(ZOO / name, dtype=torch.float32).eval()
    held_out = training.story_sequences(LADDER[name], 1, training.HELD_OUT_WORDS)
    # Shipped in half precision, recorded before rounding.
    found = training.validation_loss(model, held_out)
    assert found == pytest.approx(record(name)["validation_loss"], abs=2e-3)


def test_checkpoints_run_from_the_first_step_to_the_last():
    steps = checkpoint_steps("nano-pythia-64x4")
    assert steps[0] == 0 and len(steps) >= 8
    assert steps[-1] == record("nano-pythia-64x4")["steps"]
    infos = [describe(f"nano-pythia-64x4:step-{step}") for step in steps]
    assert len({info.n_parameters for info in infos}) == 1
    with pytest.raises(InputError, match="'nano-gpt2-8x2' has no training checkpoints"):
        checkpoint_steps("nano-gpt2-8x2")
    with pytest.raises(InputError, match="Unknown model 'nano-pythia-64x4:step-7'"):
        describe("nano-pythia-64x4:step-7")


def test_interrupted_training_continues_to_the_same_weights(tmp_path, monkeypatch):
    from safetensors.numpy import load_file

    monkeypatch.setattr(training, "CHECKPOINT_EVERY", 10)
    recipe = replace(SMALLEST, words=15_000, checkpoints=(0, 6, 14))
    training.train_model(recipe, tmp_path / "whole")
    save, calls = training.Training.save, []

    def interrupt(self, path):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(self, path)

    monkeypatch.setattr(training.Training, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        training.train_model(recipe, tmp_path / "parts")
    monkeypatch.setattr(training.Training, "save", save)
    assert not (tmp_path / "parts" / recipe.name / "training.json").exists()
    training.train_model(recipe, tmp_path / "parts")
    for file in ("model.safetensors", *(f"step-{k}/model.safetensors" for k in (0, 6, 14))):
        whole, parts = (load_file(tmp_path / p / recipe.name / file) for p in ("whole", "parts"))
        assert all(np.array_equal(whole[key], parts[key]) for key in whole)


def test_unknown_model_is_one_sentence():
    with pytest.raises(InputError, match="The zoo has no model 'gpt5'"):
        zoo.train(["gpt5"])


def test_trained_models_are_found_again_and_copied(tmp_path, monkeypatch):
    small = replace(SMALLEST, words=15_000)
    monkeypatch.setattr(zoo, "RECIPES", {small.name: small})
    first = zoo.train([small.name], jobs=1, folder=tmp_path / "one")
    monkeypatch.setattr(zoo, "train_model", None)  # must not be called again
    second = zoo.train([small.name], jobs=1, folder=tmp_path / "two")
    assert first.equals(second)
    assert describe(str(tmp_path / "two" / small.name)).n_parameters == 6_672


def test_the_books_table_is_that_of_the_zoo():
    text = (Path(__file__).parents[1] / "book" / "testbed.md").read_text(encoding="utf-8")
    for name, row in zoo.zoo_table().loc[zoo_names()].iterrows():
        loss, right = row["validation_loss"], row["completion"]
        shown = f"| `{name}` | {row['counterpart']} | {int(row['n_parameters']):,} |"
        assert f"{shown} {loss:.2f} | {right:.2f} |" in text
