"""Alice: times, text, cleaning against known answers, and every way its files can be wrong."""

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import compute_regressor

from brainalign.alignment import locate_words
from brainalign.errors import InputError
from brainalign.studies import load_study, study_fingerprint
from brainalign.studies.alice import REGIONS, join_words, read_columns, read_responses, read_words
from brainalign.studies.registry import verified_paths

TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 12
xmax = 30
tiers? <exists>
size = 1
item []:
    item [1]:
        class = "IntervalTier"
        name = "word"
        xmin = 12
        xmax = 30
        intervals: size = {n}
{intervals}"""


def textgrid(folder, *intervals):
    blocks = [
        f"        intervals [{k}]:\n            xmin = {start}\n            xmax = {end}\n"
        f'            text = "{label}"\n'
        for k, (start, end, label) in enumerate(intervals, 1)
    ]
    path = folder / "words.TextGrid"
    path.write_text(TEXTGRID.format(n=len(blocks), intervals="".join(blocks)))
    return path


@pytest.fixture
def alice(real_data, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_DATA", str(real_data))
    return load_study("alice")


@pytest.fixture
def copied(real_data, tmp_path, monkeypatch):
    """A copy of the files that can be spoilt; gives their folder."""
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path))
    shutil.copytree(real_data / "alice", tmp_path / "alice", copy_function=shutil.copyfile)
    for folder in [tmp_path / "alice", *(p for p in tmp_path.rglob("*") if p.is_dir())]:
        folder.chmod(0o755)
    return tmp_path / "alice" / "brain-data" / "syntax-in-rnng" / "alice_data_shared"


def columns_of(folder, values):
    path = folder / "s18-timecourses.txt"
    np.savetxt(path, values)
    return path


def test_words_of_a_textgrid(tmp_path):
    path = textgrid(
        tmp_path,
        (12, 20.5, "sp"),
        (20.5, 21, "it"),
        (21, 22.5, "'s"),
        (22.5, 23, ""),
        (23, 24, "I"),
    )
    words = read_words(path)
    assert words["word"].tolist() == ["it", "'s", "I"]
    assert words["onset"].tolist() == [0.5, 1.0, 3.0]
    assert words["offset"].tolist() == [1.0, 2.5, 4.0]


def test_words_that_go_backwards(tmp_path):
    path = textgrid(tmp_path, (20, 21, "a"), (25, 26, "b"), (22, 23, "c"))
    with pytest.raises(InputError) as caught:
        read_words(path)
    assert str(caught.value) == (
        f"{path} has word 2 ('c') from 2 to 3 s, and the word above it starts at 5 s; onsets that "
        "never go back, and offsets after them, are expected."
    )
    path = textgrid(tmp_path, (20, 21, "a"), (25, 24, "b"))
    with pytest.raises(InputError, match=r"word 1 \('b'\) from 5 to 4 s; onsets"):
        read_words(path)


@pytest.mark.parametrize(
    "change", [("word", "phone"), ("20.5", "early"), ("xmin", "x"), (None, "")]
)
def test_files_that_are_no_textgrid(tmp_path, change):
    path = textgrid(tmp_path, (20.5, 21, "a"))
    path.write_text(path.read_text().replace(*change) if change[0] else "")
    with pytest.raises(InputError, match=f"{path} cannot be read as a TextGrid with a tier 'word'"):
        read_words(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UnicodeDecodeError"):
        read_words(path)


def test_clitics_are_joined_to_the_word_before():
    words = pd.Series("it 's what I did n't say not a".split())
    assert join_words(words) == "it's what I didn't say not a"


def test_columns(tmp_path):
    values = np.random.default_rng(0).normal(100, 5, (362, 6))
    found = read_responses(columns_of(tmp_path, values))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=1e-6)
    column = read_columns(columns_of(tmp_path, values[:, 0]), ("a",))
    assert column.shape == (362, 1)


def test_columns_of_another_shape(tmp_path):
    values = np.random.default_rng(0).normal(size=(362, 6))
    for wrong in (values[:-1], values[:, :5], np.zeros((0, 6))):
        path = columns_of(tmp_path, wrong)
        with pytest.raises(InputError, match=f"{path} has .* 362 rows and 6 column"):
            read_responses(path)
    path.write_text("LATL RATL\n1 2\n")
    with pytest.raises(InputError, match="is not a table of numbers"):
        read_responses(path)
    path.write_text("1 2\n1\n")
    with pytest.raises(InputError, match="is not a table of numbers"):
        read_responses(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(tmp_path, value):
    values = np.random.default_rng(0).normal(size=(362, 6))
    values[9, 3] = value
    path = columns_of(tmp_path, values)
    with pytest.raises(InputError, match=f"{path} has {value} in row 10 of column LIPL; finite"):
        read_responses(path)


def test_a_constant_region(tmp_path):
    values = np.random.default_rng(0).normal(size=(362, 6))
    values[:, 1] = 7
    path = columns_of(tmp_path, values)
    with pytest.raises(InputError, match=f"{path} has 7 in all rows of column RATL; numbers that"):
        read_responses(path)


def test_options():
    with pytest.raises(InputError, match="has no option 'radius'; it has confounds, gap"):
        load_study("alice", radius=6)
    with pytest.raises(InputError, match="confounds has 'sound'; 'movement' and 'sound power' are"):
        load_study("alice", confounds=["sound"])
    plain = study_fingerprint("alice")
    assert plain == study_fingerprint("alice", gap=8) == study_fingerprint("alice", confounds=[])
    others = [
        study_fingerprint("alice", **option)
        for option in ({"gap": 4}, {"n_folds": 5}, {"high_pass": None}, {"confounds": ["movement"]})
    ]
    assert len({plain, *others}) == 5
    assert study_fingerprint("alice", confounds="movement") == others[3]


def test_study(alice):
    assert (len(alice.subjects), alice.n_voxels, alice.tr) == (27, 6, 2.0)
    assert "s33" not in alice.subjects and alice.subjects[0] == "s18"
    assert alice.voxels["parcel"].tolist() == list(REGIONS)
    assert alice.voxels["roi"].tolist() == ["ATL", "ATL", "PTL", "IPL", "PreM", "IFG"]
    assert "".join(alice.voxels["hemisphere"]) == "LRLLLL"
    assert alice.voxels["x"].isna().all() and alice.mask is None and not alice.simulated
    assert alice.licence == "CC BY 4.0" and alice.citation.startswith("Brennan, J. R.")
    assert alice.fingerprint == study_fingerprint("alice")
    assert (len(alice.folds()), alice.folds()[1][1].start - alice.folds()[0][1].stop) == (6, 8)


def test_words(alice):
    (run,) = alice.runs
    assert len(run.words) == 2127
    assert run.words["word"].iloc[[0, -1]].tolist() == ["Alice", "cake"]
    assert run.words["onset"].iloc[0] == pytest.approx(0.0589, abs=1e-4)
    assert run.words["offset"].iloc[-1] == pytest.approx(723.335, abs=1e-3)
    spans, skipped = locate_words(run.words["word"], run.text)
    assert skipped == 0 and (spans[:, 1] > spans[:, 0]).all()


def test_words_fall_into_their_scans(alice):
    """Word ends through nilearn's response follow the rate that came with the data."""
    (run,) = alice.runs
    offsets = run.words["offset"].to_numpy()
    events = np.stack([offsets, np.zeros_like(offsets), np.ones_like(offsets)])
    paths = verified_paths("alice")
    shipped = np.loadtxt(next(path for name, path in paths.items() if "s18-rate" in name))
    correlations = []
    for shift in (-2, 0, 2):
        times = 2.0 * np.arange(362) + shift
        regressor = compute_regressor(events, "spm", times)[0][:, 0]
        correlations.append(np.corrcoef(regressor, shipped)[0, 1])
    assert np.argmax(correlations) == 1 and correlations[1] > 0.97


def test_intersubject_correlation(alice):
    """Known answers, computed independently of this package."""
    responses = alice.responses(0, alice.subjects).to_numpy()
    responses = responses - responses.mean(axis=1, keepdims=True)
    responses /= responses.std(axis=1, keepdims=True)
    total = responses.sum(axis=0)
    found = [
        np.mean([np.corrcoef(own[:, k], (total - own)[:, k])[0, 1] for own in responses])
        for k in range(6)
    ]
    np.testing.assert_allclose(found, [0.277, 0.225, 0.397, 0.267, 0.249, 0.193], atol=6e-4)


def test_confounds(alice):
    assert alice.runs[0].confounds is None
    both = load_study("alice", confounds=["sound power", "movement"])
    values = both.runs[0].confounds("s22")
    assert values.shape == (362, 7)
    paths = verified_paths("alice")
    movement = np.loadtxt(next(path for name, path in paths.items() if "/s22-rp_" in name))
    power = np.loadtxt(next(path for name, path in paths.items() if "/s22-sndpwr" in name))
    np.testing.assert_allclose(values[:, :6], movement[10:], rtol=1e-6)
    np.testing.assert_allclose(values[:, 6], power, rtol=1e-6)
    only = load_study("alice", confounds="sound power", high_pass=None)
    cleaned = only.responses(0, "s22").to_numpy()[0]
    assert abs(np.corrcoef(cleaned.T, power)[:6, 6]).max() < 1e-5


def test_goes_to_other_processes_without_its_responses(alice):
    study = load_study("alice", confounds="movement")
    copy = pickle.loads(pickle.dumps(replace(study, runs=(replace(study.runs[0], load=len),))))
    assert copy.runs[0].text == alice.runs[0].text and copy.options == {"confounds": "movement"}


def test_missing_data(tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path))
    with pytest.raises(
        InputError, match="lacks 118 of its 118 files in .*`brainalign fetch alice`"
    ):
        load_study("alice")


def test_a_file_that_was_changed(copied):
    path = copied / "6mm" / "s22-timecourses.txt"
    path.write_text(path.read_text().replace("1", "2", 1))
    with pytest.raises(InputError, match=f"{path} has sha256:.* is expected; delete it and call"):
        load_study("alice")
    path.write_text(path.read_text()[:1000])
    with pytest.raises(InputError, match=f"{path} has 1,000 bytes; 35,114 are expected"):
        load_study("alice")
    path.unlink()
    with pytest.raises(
        InputError, match="s22-timecourses.txt is not in .*`brainalign fetch alice`"
    ):
        load_study("alice")


def test_spoilt_responses_are_named_when_they_are_read(copied):
    study = load_study("alice")
    path = copied / "6mm" / "s22-timecourses.txt"
    values = np.loadtxt(path)
    values[:, 4] = 0
    np.savetxt(path, values)
    with pytest.raises(InputError, match=f"{path} has 0 in all rows of column LPreM"):
        study.responses(0)
