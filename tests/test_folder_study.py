"""A study of one's own: the book's example from its files to scores, and every bad input."""

import os
import shlex
import shutil

import nibabel
import numpy as np
import own_study
import pandas as pd
import pytest
from own_study import N_SCANS, RUNS, SUBJECTS, TOLD, TR, blocks, make_study
from scipy import signal

from brainalign import load_study
from brainalign.cli import main
from brainalign.companion.availability import require, study_lack
from brainalign.companion.compose import source_text
from brainalign.companion.run import plan
from brainalign.errors import InputError
from brainalign.individuals import listener_scores
from brainalign.parcel_slopes import parcel_scores
from brainalign.region_scores import region_scores
from brainalign.studies import check_study, is_path, study_fingerprint, study_preparation
from brainalign.studies.preparation import prepare

MINE = "./my-study"
PLAIN = own_study.STUDY + "high_pass: null\n"


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """Folder that commands are called in, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def folder(inside):
    return make_study(inside / "my-study")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A prepared study whose responses lose no more than a line, and its folder's path."""
    home = tmp_path_factory.mktemp("plain")
    path = make_study(home / "study", PLAIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINALIGN_CACHE", str(home / "cache"))
        prepare(str(path), jobs=1, say=lambda line: None)
        yield load_study(str(path))


def edit(folder, old, new):
    """Change study.yml."""
    text = (folder / "study.yml").read_text()
    assert old in text
    (folder / "study.yml").write_text(text.replace(old, new))


def image_path(folder, subject, run):
    return folder / TOLD["images"].format(subject=subject, run=run)


def events_path(folder, run):
    return folder / TOLD["words"].format(run=run)


def test_the_example_of_the_book_as_it_stands_there(folder, inside, capsys):
    first_lines = events_path(folder, "1").read_text().splitlines()[:3]
    assert "\n".join(first_lines) + "\n" in blocks("text")
    shown = blocks("text")[0]
    for path in [*folder.rglob("*1_events.tsv"), folder / "mask.nii.gz", folder / "study.yml"]:
        assert path.name in shown
    commands = [shlex.split(line)[1:] for line in blocks("bash")[0].splitlines()]
    assert [command[0] for command in commands] == ["prepare", "encode", "run"]
    for command in commands:
        assert main(command) == 0, capsys.readouterr().err
    assert "3 of 3 listener(s) prepared" in capsys.readouterr().out
    scores = pd.read_csv(inside / "my-scores.csv")
    assert set(scores["roi"]) == {"all", "STS"} and set(scores["hemisphere"]) == {"L", "R"}
    # The responses follow the words.
    assert scores[scores["model"] == "word-rate"]["score"].min() > 0.3
    page = (inside / "my-reliability" / "isc_reliability.html").read_text()
    assert "A story" in page and "Doe et al. (2026); CC0" in page and "SIMULATED" not in page


def test_responses_are_the_images_without_a_line(plain):
    """Against numpy alone: a line fitted and taken away, then z-scores."""
    inside = own_study.brain()
    assert plain.subjects == SUBJECTS and plain.n_voxels == inside.sum()
    for run, n_scans in enumerate(N_SCANS):
        listeners = []
        for number, name in enumerate(SUBJECTS):
            values = own_study.measured(number, run)[inside].T
            line = np.vander(np.arange(n_scans), 2)
            left = values - line @ np.linalg.lstsq(line, values, rcond=None)[0]
            listeners.append(left / left.std(axis=0))
            np.testing.assert_allclose(plain.responses(run, name)[0], listeners[-1], atol=1e-3)
        mean = np.mean(listeners, axis=0)
        average = plain.responses(run)[0]
        np.testing.assert_allclose(average, mean / mean.std(axis=0), atol=1e-3)


def test_drifts_are_removed_as_study_yml_says(folder):
    """Against scipy: a line, then a Butterworth filter of order 5 forwards and backwards."""
    edit(folder, "trim", "high_pass: 0.02\ntrim")
    prepare(MINE, ["02"], jobs=1, say=lambda line: None)
    found = load_study(MINE, subjects=["02"]).responses(1, "02")[0]
    values = own_study.measured(1, 1)[own_study.brain()].T.astype(float)
    filtered = signal.butter(5, 0.02, "highpass", fs=1 / TR, output="sos")
    clean = signal.sosfiltfilt(filtered, signal.detrend(values, axis=0), axis=0)
    expected = (clean - clean.mean(axis=0)) / clean.std(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_words_texts_and_geometry_are_those_of_the_files(plain):
    for run, (recorded, label) in enumerate(zip(plain.runs, RUNS, strict=True)):
        written = own_study.events(run)
        assert recorded.words["word"].tolist() == written["word"].tolist(), label
        offsets = written["onset"] + written["duration"]
        np.testing.assert_allclose(recorded.words["offset"], offsets)
        assert recorded.text == own_study.text_of_run(run)
        assert recorded.n_scans == N_SCANS[run]
    assert (plain.language, plain.tr, plain.trim) == ("en", TR, (2, 2))
    left = plain.voxels["hemisphere"] == "L"
    assert left.sum() == (plain.voxels["hemisphere"] == "R").sum() == plain.n_voxels / 2
    in_region = plain.voxels["roi"] == "STS"
    assert in_region.sum() == 2 * own_study.region().sum()
    assert plain.source == "3 measured listeners" and not plain.simulated


def test_runs_and_listeners_are_sorted_by_number(folder):
    for subject in SUBJECTS:
        image_path(folder, subject, "3").rename(image_path(folder, subject, "10"))
    events_path(folder, "3").rename(events_path(folder, "10"))
    (folder / "stimuli/run-3.txt").rename(folder / "stimuli/run-10.txt")
    images = study_preparation(MINE)
    assert images.n_scans == N_SCANS and images.subjects == SUBJECTS
    assert [image.path.name for image in images.images[:3]] == [
        image_path(folder, "01", label).name for label in ("1", "2", "10")
    ]


def test_words_are_joined_where_there_is_no_text(folder):
    edit(folder, "text: stimuli/run-{run}.txt\n", "")
    prepare(MINE, jobs=1, say=lambda line: None)
    text = load_study(MINE).runs[0].text
    assert text == " ".join(own_study.events(0)["word"])


def test_a_story_in_one_run_is_cut_into_folds(folder):
    edit(folder, "_run-{run}_space", "_run-1_space")
    edit(folder, "story_run-{run}_events", "story_run-1_events")
    edit(folder, "run-{run}.txt", "run-1.txt\nn_folds: 3\ngap: 2")
    prepare(MINE, jobs=1, say=lambda line: None)
    study = load_study(MINE)
    assert len(study.runs) == 1 and len(study.folds()) == 3
    assert study.responses(0).shape == (1, N_SCANS[0], study.n_voxels)


def test_csv_with_offsets_and_rows_without_a_word(folder):
    table = own_study.events(0)
    table["offset"] = table.pop("onset") + table.pop("duration")
    table["onset"] = table["offset"] - 0.3
    table["word"] = ["", "null", "n/a", "nan", *table["word"][4:]]
    for run, label in enumerate(RUNS):
        events = table if run == 0 else own_study.events(run)
        events.to_csv(folder / f"words-{label}.csv", index=False)
    edit(folder, TOLD["words"], "words-{run}.csv")
    prepare(MINE, jobs=1, say=lambda line: None)
    words = load_study(MINE).runs[0].words
    assert words["word"].tolist() == ["null", "nan", *table["word"][4:]]
    assert words["onset"].iloc[0] == pytest.approx(own_study.events(0)["onset"][1])


def test_the_fingerprint_is_of_the_contents(folder, inside):
    """Not of places, times and sizes."""
    before = study_fingerprint(MINE)
    shutil.copytree(folder, inside / "elsewhere")
    assert study_fingerprint("./elsewhere") == before
    edit(folder, "citation: Doe", "citation: Roe")
    assert study_fingerprint(MINE) == before
    assert study_fingerprint(MINE, subjects=["01", "02"]) != before
    seen = {before}
    image = image_path(folder, "02", "2")
    known = image.stat()
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    image.write_bytes(content)
    os.utime(image, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert image.stat().st_size == known.st_size
    seen.add(study_fingerprint(MINE))
    with open(events_path(folder, "1"), "a") as stream:
        stream.write("70.5\t0.1\tend\tstory\n")
    seen.add(study_fingerprint(MINE))
    edit(folder, "trim: [2, 2]", "trim: [2, 3]")
    seen.add(study_fingerprint(MINE))
    (folder / "regions/STS.nii.gz").rename(folder / "regions/STG.nii.gz")
    seen.add(study_fingerprint(MINE))
    assert len(seen) == 5


def test_what_has_to_be_prepared_is_known_before_a_page_runs(folder):
    lack = study_lack(MINE)
    assert lack.command == "brainalign prepare ./my-study --subjects all"
    with pytest.raises(InputError, match=r"listeners in ./my-study; prepare with `brainalign prep"):
        require(plan("isc_reliability", {"study": MINE}))
    prepare(MINE, ["01", "03"], jobs=1, say=lambda line: None)
    assert study_lack(MINE).command == "brainalign prepare ./my-study --subjects 02"
    assert study_lack(MINE, {"subjects": ["01", "03"]}) is None
    require(plan("isc_reliability", {"study": MINE, "study_options": {"subjects": ["03", "01"]}}))
    with pytest.raises(InputError, match=r"brainalign prepare ./my-study --subjects 02"):
        load_study(MINE).responses(0)


def test_options_are_checked_before_a_page_runs(folder):
    for options, sentence in [
        ({"subjects": ["99"]}, "has no subject '99'; it has 01, 02, 03"),
        ({"responses": "openneuro"}, "has no option 'responses'; it has subjects"),
        ({"subjects": 3}, "Option subjects of study './my-study' is 3"),
    ]:
        with pytest.raises(InputError, match=sentence):
            plan("isc_reliability", {"study": MINE, "study_options": options})


def test_what_a_page_cannot_do_is_said_before_anything_is_encoded(folder, inside):
    prepare(MINE, jobs=1, say=lambda line: None)
    with pytest.raises(
        InputError, match="'./my-study' has 1 parcel.* on both sides, and a line needs 3"
    ):
        parcel_scores(MINE, ["gpt2", "gpt2-medium", "gpt2-large"])
    edit(folder, "regions: regions\n", "")
    with pytest.raises(InputError, match="'./my-study' has no region with voxels"):
        region_scores(MINE, ["gpt2", "gpt2-medium", "gpt2-large"])
    with pytest.raises(InputError, match="listeners is 4; study './my-study' has 3"):
        listener_scores(MINE, ["gpt2", "gpt2-medium", "gpt2-large"], 4)
    assert not (inside / "cache" / "scores").exists()


def test_a_page_says_whose_responses_it_shows(folder):
    heading, box = source_text({"study": MINE})
    assert heading == "In the study A story"
    assert "**measured** brain responses of the study *A story* (Doe et al. (2026); CC0)" in box


def test_a_path_is_told_from_a_name(folder, inside):
    assert is_path(MINE) and is_path("my-study") and is_path(str(folder))
    assert is_path("./alice") and not is_path("alice") and not is_path("published")
    assert not is_path("no-such-folder")
    with pytest.raises(InputError, match="known are .* and the path of a folder"):
        load_study("no-such-folder")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("trim", "trimm", "study.yml has the unknown key 'trimm'; known keys are name, language"),
        ("tr: 2\n", "", "study.yml lacks the key 'tr'"),
        ("tr: 2", "tr: two", "study.yml: tr is 'two'; input should be a valid number"),
        ("tr: 2", "tr: 0", "study.yml: tr is 0; input should be greater than 0"),
        ("[2, 2]", "[2]", r"study.yml: trim is \[2\]; more values are expected"),
        ("[2, 2]", "[2, -1]", r"study.yml: trim is \[2, -1\]; input should be greater than or"),
        ("name: A story", "name: [A", "The YAML of .*study.yml cannot be read"),
        ("sub-{subject}", "sub-01", "study.yml: images is .* with {subject} and {run} is expected"),
        ("{run}_space", "{session}_space", "study.yml: images is .* with {subject} and {run} is"),
        ("bold.nii", "bald.nii", "study.yml: images is .*; no file below the folder fits it"),
        ("story_run-{run}_ev", "story_ev", "study.yml: words is .* with {run} is expected"),
        ("_events", "_words", "study.yml: words is .*; there is no file .*run-1_words.tsv"),
        ("stimuli/run", "text/run", "study.yml: text is .*; there is no file .*text/run-1.txt"),
        ("stimuli", "/stimuli", "study.yml: text is '/stim.*; a path below the folder with {run}"),
        ("mask: mask", "mask: brain", "study.yml: mask is 'brain.nii.gz'; there is no file"),
        ("regions: regions", "regions: roi", "study.yml: regions is 'roi'; a folder with masks"),
        (
            "tr: 2",
            "tr: 2\nn_scans: [40]",
            "study.yml: n_scans has 1 numbers; one for each of the 3",
        ),
    ],
)
def test_a_study_file_that_does_not_fit_is_one_sentence(folder, old, new, sentence):
    edit(folder, old, new)
    with pytest.raises(InputError, match=sentence) as refusal:
        study_fingerprint(MINE)
    assert "\n" not in str(refusal.value)


def test_a_listener_called_as_the_average_is(folder):
    for run in RUNS:
        path = image_path(folder, "average", run)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(image_path(folder, SUBJECTS[0], run), path)
    with pytest.raises(InputError, match="a listener called 'average', as the average of all"):
        check_study(MINE)


def test_a_study_named_by_where_one_stands_is_kept_in_its_place(folder, inside, monkeypatch):
    monkeypatch.chdir(folder)
    prepare(".", jobs=1, say=lambda line: None)
    assert {path.name for path in (inside / "cache" / "prepared").iterdir()} == {"my-study"}
    prepare("../my-study", jobs=1, say=(said := []).append)
    assert "resampled 0 and cleaned 0" in said[0]


def test_texts_with_a_mark_of_their_byte_order(folder):
    path = folder / TOLD["text"].format(run=RUNS[0])
    passage = path.read_text(encoding="utf-8")
    prepare(MINE, jobs=1, say=lambda line: None)
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_text(passage, encoding=encoding)
        assert load_study(MINE).runs[0].text == passage
    path.write_text(" ", encoding="utf-8")
    with pytest.raises(InputError, match="is empty; a text is expected"):
        load_study(MINE)


def test_a_folder_without_study_yml(folder):
    (folder / "study.yml").unlink()
    for call in (load_study, check_study):
        with pytest.raises(InputError, match="There is no file my-study/study.yml, which would"):
            call(MINE)
    with pytest.raises(InputError, match="Parameter study: There is no file my-study/study.yml"):
        plan("asymmetry", {"study": MINE})
    with pytest.raises(InputError, match='"petitprince-cn" or the name of a folder with a study.y'):
        plan("asymmetry", {"study": "petitprince-de"})


def test_every_listener_needs_every_run(folder):
    image_path(folder, "02", "3").unlink()
    with pytest.raises(InputError, match=r"no derivatives/sub-02/func/sub-02.*run-3.*every listen"):
        check_study(MINE)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table.drop(columns="duration"), "columns word, onset, and offset or dur"),
        (lambda table: table.drop(columns="word"), "columns word, onset, and offset or duration"),
        (lambda table: table.assign(onset="soon"), "columns word, onset, and offset or duration"),
        (lambda table: table.assign(word=""), "has no words"),
        (lambda table: table[::-1], "onsets that never go back"),
        (lambda table: table.assign(onset=1000 * table["onset"]), "has its last word at 76000 s"),
    ],
)
def test_a_table_of_words_that_does_not_fit_is_one_sentence(folder, change, sentence):
    change(own_study.events(0)).to_csv(events_path(folder, "1"), sep="\t", index=False)
    prepare(MINE, ["01"], jobs=1, say=lambda line: None)
    with pytest.raises(InputError, match=sentence) as refusal:
        load_study(MINE, subjects=["01"])
    assert "run-1_events.tsv" in str(refusal.value) and "\n" not in str(refusal.value)


def test_words_in_another_kind_of_file(folder):
    for label in RUNS:
        events_path(folder, label).rename(folder / f"words-{label}.xlsx")
    edit(folder, TOLD["words"], "words-{run}.xlsx")
    prepare(MINE, ["01"], jobs=1, say=lambda line: None)
    with pytest.raises(InputError, match="words-1.xlsx is no table that is known; a .tsv or .csv"):
        load_study(MINE, subjects=["01"])


@pytest.mark.parametrize(
    ("diagonal", "sentence"),
    [
        ((-12, 12, 12), "mask.nii.gz: The grid has shape"),
        ((12, 12, 10), "mask.nii.gz has the affine .*; voxels that are cubes along the axes"),
    ],
)
def test_a_mask_on_a_grid_that_is_no_grid_of_the_brain(folder, diagonal, sentence):
    matrix = np.diag([*diagonal, 1.0])
    matrix[:3, 3] = own_study.affine()[:3, 3]
    image = nibabel.Nifti1Image(own_study.brain().astype(np.uint8), matrix)
    image.to_filename(folder / "mask.nii.gz")
    with pytest.raises(InputError, match=sentence):
        study_preparation(MINE)


def test_a_region_on_another_grid(folder):
    image = nibabel.Nifti1Image(np.ones((3, 3, 3), np.uint8), own_study.affine())
    image.to_filename(folder / "regions" / "BIG.nii.gz")
    prepare(MINE, ["01"], jobs=1, say=lambda line: None)
    with pytest.raises(InputError, match=r"BIG.nii.gz has shape \(3, 3, 3\); \(8, 6, 5\) is exp"):
        load_study(MINE, subjects=["01"])


def test_images_with_another_number_of_scans(folder):
    own_study.write_image(image_path(folder, "03", "2"), own_study.measured(2, 2))
    with pytest.raises(InputError, match=r"sub-03.*run-2.*has 41 volumes; 42 are expected"):
        prepare(MINE, ["03"], jobs=1, say=lambda line: None)
