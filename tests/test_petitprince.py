"""Le Petit Prince: known answers of the paper's files, and every way they can be wrong."""

import gzip
import pickle
import shutil
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest

from brainalign.errors import InputError
from brainalign.studies import load_study, petitprince, study_fingerprint
from brainalign.studies.petitprince import N_SCANS, read_reliability, read_words
from brainalign.study import hemispheres

NAME = "petitprince-en"


@pytest.fixture
def study(real_data, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_DATA", str(real_data))
    return load_study(NAME)


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """No data anywhere."""
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path))


@pytest.fixture
def voxels():
    return pd.DataFrame(
        {"x": range(5), "y": 0.0, "z": 0.0, "hemisphere": "L", "roi": "", "parcel": ""}
    )


def word_table(**changes) -> pd.DataFrame:
    """Four words in each of the nine sections; the third one has been lost."""
    n = 4 * len(N_SCANS)
    columns = {
        "word": ["null", "b", "", "d"] * len(N_SCANS),
        "lemma": "x",
        "onset": np.tile([0.5, 1.0, 1.5, 2.0], len(N_SCANS)),
        "offset": np.tile([0.9, 1.4, 1.9, 2.4], len(N_SCANS)),
        "logfreq": 1.5,
        "pos": "NOUN",
        "section": np.repeat(np.arange(1, len(N_SCANS) + 1), 4),
        "top_down": 1,
        "bottom_up": 2,
        "left_corner": 3,
    }
    return pd.DataFrame(columns | changes, index=range(n))


def write(folder, table):
    path = folder / "words.csv"
    table.to_csv(path)
    return path


def test_words_of_a_table(tmp_path):
    runs = read_words(write(tmp_path, word_table()))
    assert len(runs) == 9
    assert runs[8]["word"].tolist() == ["null", "b", "d"]
    assert runs[8]["onset"].tolist() == [0.5, 1.0, 2.0]
    assert list(runs[0].columns) == [
        *("word", "onset", "offset", "lemma", "log_frequency", "part_of_speech"),
        *("top_down", "bottom_up", "left_corner"),
    ]


def test_onsets_that_go_backwards(tmp_path):
    table = word_table()
    table.loc[9, "onset"] = 0.25
    path = write(tmp_path, table)
    with pytest.raises(InputError) as caught:
        read_words(path)
    assert str(caught.value) == (
        f"{path} has word 9 ('b') from 0.25 to 1.4 s, and the word above it starts at 0.5 s; "
        "onsets that never go back, and offsets after them, are expected."
    )
    table.loc[9, ["onset", "offset"]] = [1.3, 1.2]
    with pytest.raises(InputError, match=r"word 9 \('b'\) from 1.3 to 1.2 s; onsets"):
        read_words(write(tmp_path, table))


def test_tables_that_are_not_understood(tmp_path):
    path = write(tmp_path, word_table().drop(columns=["pos"]))
    with pytest.raises(InputError, match=f"{path} cannot be read as a word table .*pos"):
        read_words(path)
    with pytest.raises(InputError, match="could not convert"):
        read_words(write(tmp_path, word_table(onset="early")))
    with pytest.raises(
        InputError, match=r"has the sections \[1, 2\]; those from 1 to 9 are expected"
    ):
        read_words(write(tmp_path, word_table()[:8]))
    path.write_text("")
    with pytest.raises(InputError, match="cannot be read as a word table"):
        read_words(path)
    with pytest.raises(InputError, match="nan"):
        read_words(write(tmp_path, word_table(onset=np.nan)))


def test_options_and_fingerprint():
    with pytest.raises(InputError, match="Study 'petitprince-en' has no option 'seed'"):
        load_study(NAME, seed=3)
    assert study_fingerprint(NAME) == study_fingerprint(NAME) != study_fingerprint("alice")


def test_geometry(study):
    assert study.n_voxels == 25_870
    assert study.voxels["hemisphere"].value_counts().to_dict() == {
        "L": 12_425,
        "R": 12_425,
        "midline": 1_020,
    }
    sizes = study.voxels[study.voxels["hemisphere"] == "L"]["roi"].value_counts().drop("")
    spheres = {"TP": 59, "aSTS": 56, "pSTS": 69, "AG_TPJ": 56, "BA44": 56, "BA45": 53, "BA47": 81}
    assert sizes.to_dict() == spheres
    mirrored = study.voxels.assign(x=-study.voxels["x"])
    both = study.voxels.merge(mirrored, on=["x", "y", "z"])
    assert len(both) == study.n_voxels and (both["roi_x"] == both["roi_y"]).all()
    seed = study.voxels[(study.voxels["roi"] == "BA44") & (study.voxels["hemisphere"] == "L")]
    np.testing.assert_allclose(seed[["x", "y", "z"]].mean(), (-50, 12, 16), atol=1)


def test_published_reliability(study):
    splits = study.reliability()
    assert splits.dims == ("split", "voxel") and splits.shape == (10, 25_870)
    means = [0.3647, 0.3672, 0.3736, 0.3462, 0.3664, 0.3559, 0.3623, 0.3782, 0.3690, 0.3662]
    np.testing.assert_allclose(splits.mean("voxel"), means, atol=5e-5)
    mean = splits.mean("split").to_numpy()
    assert mean.mean() == pytest.approx(0.36496, abs=5e-6)
    assert mean.max() == pytest.approx(0.8557, abs=5e-5)
    threshold = np.quantile(mean, 0.75)
    assert threshold == pytest.approx(0.48730, abs=5e-6)
    reliable = mean > threshold
    sides = {
        rule: pd.Series(hemispheres(study.voxels, rule)[reliable]).value_counts().to_dict()
        for rule in ("published", "anatomical")
    }
    assert sides["published"] == {"L": 3297, "R": 3171}
    assert sides["anatomical"] == {"L": 3159, "R": 3015, "midline": 294}


def test_words(study):
    counts = [len(run.words) for run in study.runs]
    assert counts == [1516, 1690, 1851, 1615, 1518, 1810, 1785, 1583, 1974]
    words = pd.concat([run.words for run in study.runs])
    assert (words["offset"] - words["onset"]).median() == pytest.approx(0.23, abs=0.01)
    for run, n_scans in zip(study.runs, N_SCANS, strict=True):
        assert run.n_scans == n_scans
        assert 0 < n_scans * study.tr - run.words["offset"].iloc[-1] < 20
    assert (study.tr, study.trim, sum(N_SCANS)) == (2.0, (10, 10), 2816)
    assert study.licence == "GPL-3.0; CC0 (the text of the story is under copyright)"
    assert "Bonnasse-Gahot" in study.citation and "Li, J." in study.citation


def test_goes_to_other_processes_without_its_responses(study):
    runs = tuple(replace(run, load=len) for run in study.runs)
    copy = pickle.loads(pickle.dumps(replace(study, runs=runs)))
    np.testing.assert_array_equal(copy.reliability(), study.reliability())


def test_average_listener_is_fetched_on_demand(study, monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    with pytest.raises(
        InputError, match="run-3.gz is not in .*brainalign fetch petitprince-en --all"
    ):
        study.responses(3)
    with pytest.raises(InputError, match="no subject 'sub-EN057'"):
        study.responses(0, "sub-EN057")


def test_responses_of_the_average_listener(tmp_path, monkeypatch):
    path = tmp_path / "average_subject_run-4.gz"
    asked = []
    monkeypatch.setattr(petitprince, "verified_path", lambda file: asked.append(file.path) or path)
    run = petitprince._make_run(4, read_words(write(tmp_path, word_table()))[4], 5)
    assert run.text == "null b d"
    values = np.random.default_rng(0).normal(size=(265, 5))
    joblib.dump(values, path, compress=4)
    found = run.load("average")
    assert found.dtype == np.float32 and asked == [
        "lpp_en_average_subject/average_subject_run-4.gz"
    ]
    np.testing.assert_allclose(found, values, rtol=1e-6)
    joblib.dump(values[:-1], path, compress=4)
    with pytest.raises(InputError, match=r"run-4.gz has shape \(264, 5\); \(265, 5\) is expected"):
        run.load("average")
    values[7, 2] = np.nan
    joblib.dump(values, path, compress=4)
    with pytest.raises(InputError, match="has nan in row 7, voxel 2; finite numbers are expected"):
        run.load("average")


def test_reliability_that_is_another_array(tmp_path, voxels):
    path = tmp_path / "isc.gz"
    joblib.dump(np.ones((10, 4)), path)
    with pytest.raises(InputError, match=r"shape \(10, 4\); \(10, 5\) is expected"):
        read_reliability(path, voxels)
    path.write_bytes(gzip.compress(pickle.dumps(print)))
    with pytest.raises(InputError, match="isc.gz holds something else than one array of numbers"):
        read_reliability(path, voxels)
    joblib.dump(np.arange(50.0).reshape(10, 5), path)
    assert read_reliability(path, voxels).sel(split=1).to_numpy().tolist() == [5, 6, 7, 8, 9]


def test_missing_data(nothing):
    with pytest.raises(
        InputError, match="lacks 13 of its 13 files .*`brainalign fetch petitprince-en`"
    ):
        load_study(NAME)


def test_a_truncated_mask(real_data, nothing, tmp_path):
    for name in ("petitprince", "petitprince-annotation"):
        shutil.copytree(real_data / name, tmp_path / name, copy_function=shutil.copyfile)
    mask = tmp_path / "petitprince" / "mask_lpp_en.nii.gz"
    mask.parent.chmod(0o755)
    mask.chmod(0o644)
    mask.write_bytes(mask.read_bytes()[:2000])
    with pytest.raises(InputError, match=f"{mask} has 2,000 bytes; 3,454 are expected; delete it"):
        load_study(NAME)
