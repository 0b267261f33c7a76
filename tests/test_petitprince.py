"""Le Petit Prince: known answers of the paper's files, and every way they can be wrong."""

import gzip
import io
import pickle
import shutil
from dataclasses import replace

import corpus_files
import joblib
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import reference_published
from scipy.ndimage import gaussian_filter

from brainalign import reliability
from brainalign.cli import main
from brainalign.companion.doctor import doctor_text
from brainalign.errors import InputError
from brainalign.studies import load_study, registry, study_fingerprint, study_names
from brainalign.studies.grid import Grid
from brainalign.studies.images import voxel_table
from brainalign.studies.petitprince import languages, loading, published
from brainalign.studies.petitprince.languages import LANGUAGES
from brainalign.studies.petitprince.published import read_average, read_reliability
from brainalign.studies.petitprince.words import read_words
from brainalign.studies.preparation import prepare
from brainalign.study import hemispheres, select_voxels

NAME = "petitprince-en"
ENGLISH = LANGUAGES[NAME]
N_SCANS = ENGLISH.n_scans


@pytest.fixture
def study(real_data, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_DATA", str(real_data))
    return load_study(NAME)


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """No data anywhere."""
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path))


def box(*inside: slice) -> nib.Nifti1Image:
    """A mask on a grid of seven by two by two voxels of 4 mm."""
    values = np.zeros((7, 2, 2), dtype=np.uint8)
    values[inside] = 1
    return nib.Nifti1Image(values, Grid((7, 2, 2), (-12.0, 0.0, 0.0)).affine)


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
    runs = read_words(write(tmp_path, word_table()), ENGLISH)
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
        read_words(path, ENGLISH)
    assert str(caught.value) == (
        f"{path} has word 9 ('b') from 0.25 to 1.4 s, and the word above it starts at 0.5 s; "
        "onsets that never go back, and offsets after them, are expected."
    )
    table.loc[9, ["onset", "offset"]] = [1.3, 1.2]
    with pytest.raises(InputError, match=r"word 9 \('b'\) from 1.3 to 1.2 s; onsets"):
        read_words(write(tmp_path, table), ENGLISH)


def test_tables_that_are_not_understood(tmp_path):
    path = write(tmp_path, word_table().drop(columns=["pos"]))
    with pytest.raises(InputError, match=f"{path} cannot be read as a word table .*pos"):
        read_words(path, ENGLISH)
    with pytest.raises(InputError, match="could not convert"):
        read_words(write(tmp_path, word_table(onset="early")), ENGLISH)
    with pytest.raises(
        InputError, match=r"has the sections \[1, 2\]; those from 1 to 9 are expected"
    ):
        read_words(write(tmp_path, word_table()[:8]), ENGLISH)
    path.write_text("")
    with pytest.raises(InputError, match="cannot be read as a word table"):
        read_words(path, ENGLISH)
    with pytest.raises(InputError, match="nan"):
        read_words(write(tmp_path, word_table(onset=np.nan)), ENGLISH)


def test_three_languages():
    """Li et al. 2022, table 1, and the paper's numbers of scans before and after trimming."""
    assert [name for name in study_names() if name.startswith("petitprince")] == list(LANGUAGES)
    totals = {name: sum(language.n_scans) for name, language in LANGUAGES.items()}
    assert list(totals.values()) == [2816, 2937, 2977]
    assert [total - 9 * sum(loading.TRIM) for total in totals.values()] == [2636, 2757, 2797]
    assert [len(registry.subject_names(name)) for name in LANGUAGES] == [49, 28, 35]
    for name, language in LANGUAGES.items():
        needed = {file.path for file in registry.data_files(name)}
        assert {language.mask, language.reliability} < needed
        assert sum(path.endswith(language.word_table) for path in needed) == 1
        optional = {file.path for file in registry.optional_files(name)}
        assert {language.average(run) for run in range(9)} < optional
    assert len({study_fingerprint(name) for name in [*LANGUAGES, "alice"]}) == 4
    assert study_fingerprint(NAME) == study_fingerprint(NAME, responses="published")
    assert study_fingerprint(NAME) != study_fingerprint(NAME, onset_shift=8)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"seed": 3}, "Study 'petitprince-en' has no option 'seed'"),
        ({"responses": "own"}, "Option responses of study 'petitprince-en' is 'own'"),
        ({"subjects": "EN057"}, r"subjects is \('EN057',\) with responses 'published'"),
        ({"mask": "common"}, "mask is 'common' with responses 'published', .* 'openneuro' is exp"),
        ({"smoothing": 4}, "smoothing is 4.0 with responses 'published'"),
        (
            {"responses": "openneuro", "mask": "own"},
            "mask is 'own', that of one listener, with 0 subjects",
        ),
        ({"text": "/nowhere"}, "There is no /nowhere"),
    ],
)
def test_options_that_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        study_fingerprint(NAME, **options)


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
    path, asked = tmp_path / "average_subject_run-4.gz", []
    monkeypatch.setattr(published, "verified_path", lambda file: asked.append(file.path) or path)
    values = np.random.default_rng(0).normal(size=(265, 5))
    joblib.dump(values, path, compress=4)
    found = read_average(ENGLISH, 5, 4, "average")
    assert found.dtype == np.float32 and asked == [
        "lpp_en_average_subject/average_subject_run-4.gz"
    ]
    np.testing.assert_allclose(found, values, rtol=1e-6)
    joblib.dump(values[:-1], path, compress=4)
    with pytest.raises(InputError, match=r"run-4.gz has shape \(264, 5\); \(265, 5\) is expected"):
        read_average(ENGLISH, 5, 4, "average")
    values[7, 2] = np.nan
    joblib.dump(values, path, compress=4)
    with pytest.raises(InputError, match="has nan in row 7, voxel 2; finite numbers are expected"):
        read_average(ENGLISH, 5, 4, "average")


def test_reliability_in_the_published_mask_and_in_another(tmp_path):
    path, mask = tmp_path / "isc.gz", box(slice(1, 6), slice(0, 1), slice(0, 1))
    joblib.dump(np.arange(50.0).reshape(10, 5), path)
    found = read_reliability(path, mask, mask, voxel_table(mask, {}))
    assert found.sel(split=1).to_numpy().tolist() == [5, 6, 7, 8, 9]
    other = box(slice(0, 7, 2), slice(0, 1), slice(0, 1))
    found = read_reliability(path, mask, other, voxel_table(other, {}))
    np.testing.assert_array_equal(found.sel(split=2), [np.nan, 11, 13, np.nan])
    assert found["x"].to_numpy().tolist() == [-12, -4, 4, 12]


def test_reliability_that_is_another_array(tmp_path):
    path, mask = tmp_path / "isc.gz", box(slice(1, 6), slice(0, 1), slice(0, 1))
    joblib.dump(np.ones((10, 4)), path)
    with pytest.raises(InputError, match=r"shape \(10, 4\); \(10, 5\) is expected"):
        read_reliability(path, mask, mask, voxel_table(mask, {}))
    path.write_bytes(gzip.compress(pickle.dumps(print)))
    with pytest.raises(InputError, match="isc.gz holds something else than one array of numbers"):
        read_reliability(path, mask, mask, voxel_table(mask, {}))


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


# A small corpus: listeners on a coarser grid, in the layout of OpenNeuro and of the paper's files.
SMALL = Grid((13, 12, 11), (-48.0, -52.0, -40.0), 8.0)
LISTENERS = {"EN057": 15, "EN058": 6, "EN059": 7}
SHORT = tuple(30 + section for section in range(9))


def small_brain() -> np.ndarray:
    axes = (np.linspace(-1, 1, n) for n in SMALL.shape)
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return (x / 0.8) ** 2 + ((y - 0.1) / 0.7) ** 2 + (z / 0.7) ** 2 < 1


def small_mask() -> np.ndarray:
    """Voxels here and there in the brain."""
    mask = small_brain()
    mask[:, ::2] = mask[..., 1::2] = False
    return mask


def nifti(values: np.ndarray) -> bytes:
    return gzip.compress(nib.Nifti1Image(values, SMALL.affine).to_bytes(), mtime=0)


def small_images() -> dict[str, bytes]:
    """What the listeners share and what they do not, by path; a label is skipped in each."""
    rng = np.random.default_rng(6)
    brain = gaussian_filter(small_brain().astype(float), 0.7)
    shared = [rng.normal(size=(*SMALL.shape, n_scans)) for n_scans in SHORT]
    found = {}
    for subject, first in LISTENERS.items():
        for section, common in enumerate(shared):
            changes = 15 * common + 15 * rng.normal(size=common.shape)
            values = brain[..., None] * (800 + changes) + 200 + rng.normal(size=common.shape)
            label = first + section + (section > 3)
            stem = f"derivatives/sub-{subject}/func/sub-{subject}_task-lppEN_run-{label:02d}"
            path = f"{stem}_space-MNIColin27_desc-preproc_bold.nii.gz"
            found[f"{registry.CORPUS}/{path}"] = nifti(values.round().astype(np.int16))
    return found


def small_files() -> dict[str, bytes]:
    """Every file of the small corpus by `collection/path`."""
    table, isc = word_table().to_csv().encode(), io.BytesIO()
    values = np.random.default_rng(7).uniform(size=(10, small_mask().sum()))
    joblib.dump(values, isc, compress=("gzip", 4))
    region = small_mask()
    region[SMALL.shape[0] // 2 :] = False
    found = {
        "petitprince-annotation/annotation/lppEN_word_information.csv": table,
        f"{registry.CORPUS}/annotation/CN/lppCN_word_information.csv": table,
        "petitprince/roi_masks/BA44.nii.gz": nifti(region.astype(np.uint8)),
    }
    for code in ("en", "cn"):
        found[f"petitprince/mask_lpp_{code}.nii.gz"] = nifti(small_mask().astype(np.uint8))
        found[f"petitprince/isc_10trials_{code}.gz"] = isc.getvalue()
    return found | small_images()


@pytest.fixture(scope="module")
def files():
    return small_files()


@pytest.fixture
def corpus(files, tmp_path, monkeypatch):
    """The small corpus at hand, in the place of the real one; its data folder."""
    corpus_files.write_tables(files, tmp_path / "tables")
    for name, content in files.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "TABLES", tmp_path / "tables")
    monkeypatch.setitem(languages.LANGUAGES, NAME, replace(ENGLISH, n_scans=SHORT))
    monkeypatch.setattr(loading, "GRID", SMALL)
    cached = (registry._collections, registry._registry, registry._corpus)
    for function in cached:
        function.cache_clear()
    yield tmp_path / "data"
    for function in cached:
        function.cache_clear()


@pytest.fixture
def ready(corpus, tmp_path_factory, monkeypatch):
    """The same with all listeners prepared, once for all tests that leave the cache as it is."""
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path_factory.getbasetemp() / "listeners"))
    prepare(NAME, jobs=1, say=len)
    return corpus


def image_path(data, subject, section):
    """Of one listener's images of one section, counted from 0."""
    return sorted((data / registry.CORPUS).glob(f"derivatives/sub-{subject}/func/*"))[section]


def test_listeners_from_their_images(ready):
    study = load_study(NAME, responses="openneuro")
    assert study.subjects == tuple(LISTENERS) and study.n_voxels == small_mask().sum()
    assert study.source == "3 measured listeners" and study.trim == (10, 10)
    assert [run.n_scans for run in study.runs] == list(SHORT)
    # The published map holds for the published mask.
    np.testing.assert_array_equal(study.reliability(), load_study(NAME).reliability())
    inside = small_mask()
    for run in (0, 3, 4, 8):
        listeners = study.responses(run, study.subjects).to_numpy()
        for subject, found in zip(LISTENERS, listeners, strict=True):
            image = nib.load(image_path(ready, subject, run)).get_fdata()[inside].T
            # Of thirty scans, the filter takes out little.
            assert np.median(reference_published.correlations(image, found)) > 0.8
        average = study.responses(run).to_numpy()[0]
        expected = reference_published.z_scored(listeners.astype(float).mean(axis=0))
        np.testing.assert_allclose(average, expected, atol=1e-4)


def test_a_mask_and_a_reliability_of_their_own(ready):
    study = load_study(NAME, responses="openneuro", mask="common")
    inside = study.mask.get_fdata() > 0
    assert (inside == inside[::-1]).all() and study.n_voxels == inside.sum() > small_mask().sum()
    assert study.reliability is None and study.split_halves
    narrow = select_voxels(study, np.arange(study.n_voxels) % (study.n_voxels // 8) == 0)
    first, second = reliability._halves(study, 0, 0)
    X, Y, z_scored = [], [], reference_published.z_scored
    for run in range(9):
        trimmed = narrow.responses(run, study.subjects).to_numpy()[:, 10:-10].astype(float)
        listeners = np.stack([z_scored(one) for one in trimmed])
        X.append(listeners[first].mean(axis=0))
        Y.append(z_scored(listeners[second].mean(axis=0)))
    scale = np.concatenate(X).std(axis=0)
    expected, _ = reference_published.layer_map([z_scored(x) * scale for x in X], Y)
    found = reliability.split_half_reliability(narrow, n_splits=1)[0]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert expected.mean() > 0.2


def test_one_listener_in_the_own_mask(ready):
    chosen = {"subjects": ["EN058"], "mask": "own", "smoothing": 4.0}
    study = load_study(NAME, responses="openneuro", **chosen)
    assert study.subjects == ("EN058",) and study.options["smoothing"] == 4.0
    known = study.reliability().mean("split")
    shared = small_mask()[study.mask.get_fdata() > 0]
    assert 0 < shared.sum() < study.n_voxels
    np.testing.assert_array_equal(np.isfinite(known), shared)
    reliable = reliability.reliable_voxels(reliability.reliability_map(study)).to_numpy()
    assert 0 < reliable.sum() < shared.sum() and not (reliable & ~shared).any()
    assert study.responses(0, "EN058").shape == (1, 30, study.n_voxels)


def test_listeners_that_are_not_prepared(corpus):
    with pytest.raises(InputError, match="3 listener.* none of whom is prepared; `brainalign prep"):
        load_study(NAME, responses="openneuro")
    with pytest.raises(
        InputError, match="Listener 'EN057' .* is not prepared; `brainalign prepare"
    ):
        load_study(NAME, responses="openneuro", subjects="EN057")
    with pytest.raises(InputError, match="no listener 'FR001'; it has EN057, EN058, EN059"):
        load_study(NAME, responses="openneuro", subjects=["FR001"])


def test_the_fingerprint_follows_what_is_prepared(corpus):
    def identity(**options):
        return study_fingerprint(NAME, responses="openneuro", **options)

    prepare(NAME, ["EN057"], 1, len)
    before = [identity(**one) for one in ({}, {"mask": "common"}, {"smoothing": 4})]
    assert main(["prepare", NAME, "--jobs", "1", "-p", "subjects=EN058", "-p", "mask=own"]) == 0
    after = [identity(**one) for one in ({}, {"mask": "common"}, {"smoothing": 4})]
    assert len({*before, *after, study_fingerprint(NAME)}) == 7


def test_words_may_start_later(corpus):
    words, moved = (
        load_study(NAME, **options).runs[2].words for options in ({}, {"onset_shift": 8})
    )
    np.testing.assert_allclose(moved["onset"], words["onset"] + 8)
    np.testing.assert_allclose(moved["offset"], words["offset"] + 8)


def test_another_language(corpus):
    study = load_study("petitprince-cn", onset_shift=-0.25)
    words = study.runs[8].words
    # Rows without a word stay in Chinese, and there are no blanks between words.
    assert words["word"].isna().tolist() == [False, False, True, False]
    assert study.runs[8].text == "nullbd" and words["onset"].tolist() == [0.25, 0.75, 1.25, 1.75]
    assert (study.language, study.n_voxels) == ("cn", small_mask().sum())
    assert study.runs[8].n_scans == 401


def test_the_users_text(corpus, tmp_path):
    folder = tmp_path / "book"
    folder.mkdir()
    for section in range(1, 10):
        (folder / f"run{section}.txt").write_text(f"Null, b. D of {section}?")
    assert load_study(NAME, text=str(folder)).runs[4].text == "Null, b. D of 5?"
    assert load_study(NAME).runs[4].text == "null b d"
    first = study_fingerprint(NAME, text=str(folder))
    shutil.copytree(folder, tmp_path / "copy")
    assert study_fingerprint(NAME, text=str(tmp_path / "copy")) == first != study_fingerprint(NAME)
    (folder / "run9.txt").write_text("Null, b! D of 9?")
    assert study_fingerprint(NAME, text=str(folder)) != first


def test_images_that_are_missing_or_damaged(corpus, tmp_path, capsys):
    path = image_path(corpus, "EN058", 5)
    whole = path.read_bytes()
    path.unlink()
    assert main(["prepare", NAME, "--subjects", "EN058", "--jobs", "1"]) == 2
    assert (
        "`brainalign fetch petitprince-en --subjects EN058` fetches it." in capsys.readouterr().err
    )
    path.write_bytes(whole[:-1])
    assert main(["prepare", NAME, "--subjects", "EN058", "--jobs", "1"]) == 2
    assert f"{path} has {len(whole) - 1:,} bytes; {len(whole):,} are" in capsys.readouterr().err
    path.write_bytes(whole[:-1] + b"x")
    assert main(["prepare", NAME, "--subjects", "EN058", "--jobs", "1"]) == 2
    assert f"{path} has md5:" in capsys.readouterr().err
    made = {path.name[:5] for path in (tmp_path / "cache").rglob("EN058/*")}
    assert "run-6" not in made
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_what_the_doctor_says_of_listeners(corpus):
    image_path(corpus, "EN059", 0).unlink()
    prepare(NAME, ["EN057"], 1, len)
    assert "petitprince-en" in doctor_text()
    (line,) = (line for line in doctor_text().splitlines() if "listeners" in line)
    assert line.endswith("at hand; of 3 listeners 2 fetched, 1 prepared")


def test_a_listener_with_too_few_runs(files, corpus, tmp_path):
    name = sorted(name for name in files if "sub-EN059" in name)[-1]
    fewer = {path: content for path, content in files.items() if path != name}
    corpus_files.write_tables(fewer, tmp_path / "tables")
    registry._corpus.cache_clear()
    with pytest.raises(InputError) as caught:
        prepare(NAME, ["EN057"], 1, len)
    assert str(caught.value) == (
        "Listener 'EN059' of study 'petitprince-en' has images of 8 run(s); 9 are expected, one for "
        "each section."
    )
