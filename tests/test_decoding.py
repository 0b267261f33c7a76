"""What a model knows of a made-up story whose latents are features of its words."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from synthetic_layers import found
from tiny_study import WORDS, tiny_study

from brainalign.decoding import knowledge_r, knowledge_table, latent_decoding
from brainalign.errors import InputError
from brainalign.layers import layer_table
from brainalign.studies.testbed.latents import FAMILIES


@pytest.fixture
def study(monkeypatch, tmp_path):
    """Every family of latents is one number per word form, and an unlearnable one per token."""
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    study = tiny_study()
    rng = np.random.default_rng(2)
    by_form = rng.normal(size=(len(WORDS), len(FAMILIES)))
    values, runs = [], []
    for number, run in enumerate(study.runs):
        forms = [WORDS.index(word) for word in run.words["word"]]
        values.append(by_form[forms])
        values[-1][:, 0] = rng.normal(size=len(forms))
        runs += [number] * len(forms)
    latents = xr.DataArray(
        np.vstack(values),
        dims=("word", "latent"),
        coords={
            "run": ("word", runs),
            "latent_family": ("latent", list(FAMILIES)),
            "latent": list(FAMILIES),
        },
    )
    return replace(study, simulated=True, truth=xr.Dataset({"latents": latents}))


def test_features_of_words_are_decoded_from_embeddings_and_noise_is_not(study):
    table = latent_decoding(study, ["random-embeddings-64", "random-vectors-64"])
    assert list(table.columns) == ["model", "layer", "relative_depth", "latents", "r"]
    r = table.set_index(["model", "latents"])["r"]
    assert r["random-embeddings-64"][list(FAMILIES[1:])].min() > 0.8
    assert r["random-embeddings-64"]["surface"] < 0.4
    assert r["random-vectors-64"].abs().max() < 0.4


def test_a_study_that_does_not_know_its_latents_is_one_sentence():
    with pytest.raises(InputError, match="Study 'tiny' does not know what its listeners follow"):
        latent_decoding(tiny_study(), ["random-vectors-8"])


def test_knowledge_beside_scores():
    scores = layer_table(found(noise=0.001, vectors=False))
    rows = scores[["model", "layer"]].drop_duplicates().query("model == 'nano-gpt2-128x4'")
    decoded = rows.assign(latents="discourse", r=[0.1, 0.4, 0.5, 0.6, 0.6])
    known = knowledge_table(scores, decoded)
    assert known["layer"].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(known["left"] - known["right"], known["left − right"], atol=1e-9)
    assert knowledge_r(known) == pytest.approx(
        np.corrcoef(known["discourse decoded (r)"], known["left − right"])[0, 1]
    )
    assert knowledge_r(known) > 0.9
