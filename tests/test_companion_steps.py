"""Activations and scores as commands: what they print, keep and refuse."""

import numpy as np
import pandas as pd
import pytest
from tiny_study import tiny_study

from brainalign import studies
from brainalign.companion import steps
from brainalign.encoding import encode
from brainalign.errors import InputError
from brainalign.fitting import encoding_settings
from brainalign.layer_choice import brain_scores
from brainalign.scores import study_settings

MODELS = ["random-embeddings-6", "word-rate"]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A small study under the name "tiny"; `asked` lists the options it was loaded with."""
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    made = tiny_study()
    made.voxels["roi"] = ["", "ATL", "ATL"] * 4
    asked = []
    monkeypatch.setattr(
        studies, "load_study", lambda name, **options: asked.append((name, options)) or made
    )
    made.options["asked"] = asked
    return made


def test_options_of_a_study_are_yaml():
    texts = ["n_folds=4", "confounds=[movement, sound power]", "high_pass=null", "name=x=y"]
    assert steps.study_options(texts) == {
        "n_folds": 4,
        "confounds": ["movement", "sound power"],
        "high_pass": None,
        "name": "x=y",
    }
    for texts, expected in [
        (["n_folds"], "not of the form name=value"),
        (["a=1", "a=2"], "given twice"),
        (["a=[1"], "YAML of option a"),
    ]:
        with pytest.raises(InputError, match=expected):
            steps.study_options(texts)


def test_activations_are_kept_and_listed(study):
    table = steps.extract_table("tiny", MODELS * 2, {"n": 1}, {})
    assert study.options["asked"] == [("tiny", {"n": 1})]
    assert table["model"].tolist() == MODELS
    assert table["units"].tolist() == [6, 1] and table["layers"].tolist() == [1, 1]
    n_words = sum(len(run.words) for run in study.runs)
    assert table["words"].tolist() == [n_words] * 2
    np.testing.assert_allclose(table["MB"], [2e-6 * 6 * n_words, 2e-6 * n_words])
    for folder in table["folder"]:
        assert len(list(pd.io.common.Path(folder).glob("run-*.zarr"))) == 3


def test_scores_are_means_over_regions_and_sides(study, tmp_path):
    output = tmp_path / "new" / "scores.csv"
    settings = {"hrf": "impulse", "alphas": (0.0, 4.0, 5), "subject": "s1"}
    table = steps.encode_table("tiny", MODELS, {}, settings, output=output)
    found = encode(study, MODELS, encoding_settings(**settings))
    scores = brain_scores(found).values
    side, roi = study.voxels["hemisphere"].to_numpy(), study.voxels["roi"].to_numpy()
    assert len(table) == 2 * 2 * 2
    for row in table.itertuples():
        keep = (side == row.hemisphere) & ((roi == row.roi) | (row.roi == steps.ALL))
        expected = np.mean(scores[MODELS.index(row.model)][keep])
        assert row.n_voxels == keep.sum() and np.isclose(row.score, expected)
    pd.testing.assert_frame_equal(pd.read_csv(output), table, check_dtype=False)


def test_a_study_without_regions_has_all_voxels_alone(study):
    study.voxels["roi"] = ""
    assert set(steps.encode_table("tiny", MODELS, {}, {})["roi"]) == {steps.ALL}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"subject": "s9"}, "no subject 's9'"),
        ({"hrf": "gamma"}, "hrf is 'gamma'"),
        ({"window": 0}, "window is 0"),
        ({"alphas": (5.0, 2.0, 3)}, "alphas is"),
    ],
)
def test_unsuitable_settings_are_refused(study, tmp_path, settings, expected):
    with pytest.raises(InputError, match=expected):
        steps.encode_table("tiny", MODELS, {}, settings, output=tmp_path / "scores.csv")
    assert not (tmp_path / "scores.csv").exists()


def test_what_cannot_work_is_refused_before_any_work(study, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "file").write_text("")
    for options, expected in [
        ({"device": "cuda"}, "'cuda' is not available"),
        ({"output": tmp_path}, "is a folder"),
        ({"output": tmp_path / "file" / "scores.csv"}, "is a file"),
    ]:
        with pytest.raises(InputError, match=expected):
            steps.encode_table("tiny", MODELS, {}, {}, **options)
    with pytest.raises(InputError, match="Unknown model 'gpt'"):
        steps.extract_table("tiny", ["gpt"], {}, {})
    assert study.options["asked"] == []


def test_paper_stands_for_the_models_of_the_language(study, monkeypatch):
    monkeypatch.setattr("brainalign.models.paper_names", lambda language: [language, *MODELS])
    with pytest.raises(InputError, match="Unknown model 'en'"):
        steps.encode_table("tiny", ["paper"], {}, {})
    monkeypatch.setattr("brainalign.models.paper_names", lambda language: MODELS)
    table = steps.extract_table("tiny", ["word-rate", "paper"], {}, {}, device="auto")
    assert table["model"].tolist() == ["word-rate", MODELS[0]]


def test_a_scheduler_is_asked_for_what_is_missing(study, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "brainalign.distributed.distribute", lambda *given, **more: asked.append((*given, more))
    )
    steps.extract_table("tiny", MODELS, {"n": 1}, {}, "cuda", "tcp://host:1")
    steps.encode_table("tiny", MODELS, {}, {"window": 9}, "cpu", None, "local", 2)
    alone, chosen = (encoding_settings(**study_settings("tiny", **s)) for s in ({}, {"window": 9}))
    assert asked == [
        ("tcp://host:1", "tiny", {"n": 1}, MODELS, alone, "cuda", None, {"fit": False}),
        ("local", "tiny", {}, MODELS, chosen, "cpu", 2, {}),
    ]
