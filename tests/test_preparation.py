"""From images to responses: against nilearn and numpy used directly, and every way to break off."""

import errno
import gzip
import multiprocessing
import os
import pickle
import signal
from dataclasses import replace
from functools import partial

import nibabel as nib
import numpy as np
import pytest
from nilearn.image import resample_img
from nilearn.maskers import NiftiMasker
from nilearn.masking import compute_multi_epi_mask
from scipy.ndimage import affine_transform, gaussian_filter

from brainalign import studies
from brainalign.cli import main
from brainalign.companion import DISK_FULL
from brainalign.errors import InputError
from brainalign.studies import cleaning, preparation
from brainalign.studies.cleaning import clean
from brainalign.studies.grid import Grid, common_mask, count_volumes, resample
from brainalign.studies.preparation import (
    Preparation,
    RunImage,
    identity,
    mask_image,
    narrowed,
    only_prepared,
    prepare,
    prepared_subjects,
    responses,
    subjects_at_hand,
)

GRID = Grid((11, 10, 9), (-20.0, -18.0, -16.0), 4.0)
TR, N_SCANS, SUBJECTS = 2.0, (24, 22, 26), ("a", "b", "c")
# Voxels of 3 mm, somewhat askew to the grid that they are brought to.
SOURCE = np.array([[3, 0, 0, -25], [0, 3, 0, -24], [0, 0, 3, -20.5], [0, 0, 0, 1.0]])


def volumes(rng: np.random.Generator, n_scans: int) -> np.ndarray:
    """A bright ellipsoid, brighter within, which drifts and flickers; nothing around it."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in (17, 16, 14)), indexing="ij")
    brain = (x / 0.8) ** 2 + ((y - 0.05) / 0.75) ** 2 + (z / 0.8) ** 2 < 1
    # Blurred as measured brains are, so that splines do not overshoot.
    brain = gaussian_filter(brain.astype(float), 1)
    steady = brain * gaussian_filter(600 + 600 * rng.random(brain.shape), 1) + 200
    drift = np.linspace(0, 40, n_scans)
    changes = brain[..., None] * (drift + 20 * rng.normal(size=(*brain.shape, n_scans)))
    noise = rng.normal(size=changes.shape)
    return (steady[..., None] + changes + noise).round().astype(np.int16)


def write(path, values, affine=SOURCE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(values, affine).to_filename(path)
    return path


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Three listeners with three runs each, as files."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(4)
    return {
        (subject, run): write(folder / subject / f"run-{7 + run}.nii.gz", volumes(rng, n_scans))
        for subject in SUBJECTS
        for run, n_scans in enumerate(N_SCANS)
    }


@pytest.fixture
def whole(originals, tmp_path, monkeypatch):
    """A study of these images, in a cache of its own; `prepare` knows it by any name."""
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    images = tuple(RunImage(*key, f"{key}", path) for key, path in originals.items())
    made = Preparation("tiny", images, N_SCANS, TR, GRID)
    monkeypatch.setattr(
        studies, "study_preparation", lambda name, **options: replace(made, **options)
    )
    return made


@pytest.fixture
def ready(whole, tmp_path_factory, monkeypatch):
    """The same, prepared once for all tests that leave it as it is."""
    folder = tmp_path_factory.getbasetemp() / "prepared-images"
    monkeypatch.setenv("BRAINALIGN_CACHE", str(folder))
    prepare("tiny", jobs=1, say=len)
    return whole


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_resampling_against_scipy_and_nilearn(originals):
    path = originals["a", 1]
    image = resample(path, GRID, 22)
    assert image.get_data_dtype() == np.float32
    np.testing.assert_array_equal(image.affine[:3, 3], GRID.origin)
    step = np.linalg.inv(SOURCE) @ GRID.affine
    values = nib.load(path).get_fdata()
    for volume in (0, 15, 16, 21):
        expected = affine_transform(
            values[..., volume], step[:3, :3], step[:3, 3], output_shape=GRID.shape, order=3
        )
        # Splines overshoot; nilearn keeps them within the values of all volumes.
        expected = expected.clip(0, values.max())
        np.testing.assert_allclose(image.get_fdata()[..., volume], expected, atol=1e-3)
    at_once = resample_img(nib.Nifti1Image(values, SOURCE), GRID.affine, GRID.shape)
    np.testing.assert_allclose(image.get_fdata(), at_once.get_fdata(), atol=1e-3)


def test_images_that_are_on_the_grid_stay_as_they_are(tmp_path):
    values = np.random.default_rng(0).normal(size=(*GRID.shape, 21)).astype(np.float32)
    image = resample(write(tmp_path / "x.nii.gz", values, GRID.affine), GRID, 21)
    np.testing.assert_allclose(image.get_fdata(), values, atol=1e-4)


@pytest.mark.parametrize("smoothing", [None, 5.0])
def test_cleaning_against_a_masker(originals, smoothing):
    image = resample(originals["b", 2], GRID, 26)
    mask = common_mask([preparation.brain_mask(image)])
    found = clean(image, mask, TR, 1 / 128, smoothing)
    masker = NiftiMasker(
        mask, detrend=True, standardize=None, high_pass=1 / 128, t_r=TR, smoothing_fwhm=smoothing
    )
    expected = masker.fit_transform(image)
    expected = (expected - expected.mean(axis=0)) / expected.std(axis=0)
    assert found.dtype == np.float32 and found.shape == (26, int(mask.get_fdata().sum()))
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert np.abs(clean(image, mask, TR, None, smoothing) - found).max() > 0.05


def test_what_is_constant_or_a_line_stays_zero():
    values = np.random.default_rng(1).normal(1000, 5, size=(*GRID.shape, 30)).astype(np.float32)
    values[0, 0, 0], values[0, 0, 1] = 731.7, 500 + 3 * np.arange(30)
    image = nib.Nifti1Image(values, GRID.affine)
    everywhere = nib.Nifti1Image(np.ones(GRID.shape, dtype=np.uint8), GRID.affine)
    found = clean(image, everywhere, TR, high_pass=None)
    assert not found[:, :2].any()
    np.testing.assert_allclose(found[:, 2:].std(axis=0), 1, atol=1e-5)


def test_filters_that_do_not_go_with_the_images(whole):
    with pytest.raises(InputError, match=r"high_pass is 0.3 Hz; .* below 0.25 Hz"):
        replace(whole, high_pass=0.3)
    with pytest.raises(InputError, match="A run has 18 scans; at least 19 are expected"):
        replace(whole, n_scans=(24, 18, 26))
    assert cleaning.FEWEST_SCANS == 19
    values = np.random.default_rng(2).normal(size=(2, 2, 2, 19)).astype(np.float32)
    mask = nib.Nifti1Image(np.ones((2, 2, 2), dtype=np.uint8), np.eye(4))
    assert clean(nib.Nifti1Image(values, np.eye(4)), mask, TR).shape == (19, 8)
    with pytest.raises(InputError, match="smoothing is -4"):
        replace(whole, smoothing=-4.0)


def test_a_mask_in_common(ready, originals):
    resampled = [resample(path, GRID, N_SCANS[run]) for (_, run), path in originals.items()]
    expected = compute_multi_epi_mask(resampled, threshold=0.5).get_fdata() > 0
    expected &= expected[::-1]
    found = mask_image(ready).get_fdata() > 0
    np.testing.assert_array_equal(found, expected)
    assert 100 < found.sum() < found.size / 2 and (found == found[::-1]).all()
    own = mask_image(narrowed(ready, ["b"])).get_fdata() > 0
    expected = compute_multi_epi_mask(resampled[3:6], threshold=0.5).get_fdata() > 0
    np.testing.assert_array_equal(own, expected & expected[::-1])


def test_images_in_which_no_brain_stands_out(whole, tmp_path, monkeypatch):
    values = np.random.default_rng(8).normal(size=(*GRID.shape, 24)).astype(np.float32)
    path = write(tmp_path / "x.nii.gz", values - values.mean(axis=-1, keepdims=True), GRID.affine)
    images = (replace(whole.images[0], path=path), *whole.images[1:])
    changed = replace(whole, images=images)
    monkeypatch.setattr(studies, "study_preparation", lambda name: changed)
    with pytest.raises(
        InputError, match="Run 1 of listener 'a' of study 'tiny' has no voxels that"
    ):
        prepare("tiny", ["a"], 1)
    # With a mask of one's own there is nothing to be found.
    mask = write(tmp_path / "mask.nii.gz", np.ones(GRID.shape, dtype=np.uint8), GRID.affine)
    monkeypatch.setattr(studies, "study_preparation", lambda name: replace(changed, mask=mask))
    prepare("tiny", ["a"], 1, len)
    assert responses(replace(changed, mask=mask), 0, "a").shape == (24, values[..., 0].size)


def test_masks_without_a_voxel_in_common():
    masks = [np.zeros(GRID.shape, dtype=np.uint8) for _ in range(2)]
    masks[0][:3], masks[1][:3] = 1, 1
    with pytest.raises(InputError, match="2 series of images have no voxel in common"):
        common_mask([nib.Nifti1Image(values, GRID.affine) for values in masks])


def test_the_average_listener(ready):
    for run in range(3):
        listeners = np.stack([responses(ready, run, name) for name in SUBJECTS]).astype(float)
        np.testing.assert_allclose(listeners.mean(axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(listeners.std(axis=1), 1, atol=1e-4)
        mean = listeners.mean(axis=0)
        expected = (mean - mean.mean(axis=0)) / mean.std(axis=0)
        average = responses(ready, run, "average")
        np.testing.assert_allclose(average, expected, atol=1e-4)
        np.testing.assert_array_equal(responses(ready, run, "average"), average)
        assert average.dtype == np.float32
    two = responses(narrowed(ready, ["a", "c"]), 0, "average")
    assert np.abs(two[:, :50] - responses(ready, 0, "average")[:, :50]).max() > 0.1


def test_a_given_mask_and_other_settings(ready, tmp_path):
    values = np.zeros(GRID.shape, dtype=np.uint8)
    values[4:7, 4:6, 4:6] = 1
    mask = write(tmp_path / "mask.nii.gz", values, GRID.affine)
    given = replace(ready, mask=mask)
    assert responses(given, 0, "a").shape == (24, 12)
    smooth = responses(replace(given, smoothing=8.0), 0, "a")
    assert np.abs(smooth - responses(given, 0, "a")).max() > 0.1
    narrow = narrowed(ready, ["a"])
    changed = [replace(given, smoothing=8.0), replace(given, high_pass=None), narrow]
    assert len({identity(one) for one in (ready, given, *changed)}) == 5
    write(mask, values, np.diag([4.0, 4, 4, 1]))
    with pytest.raises(InputError, match="has the affine"):
        mask_image(given)


def test_what_is_done_is_said_and_not_done_again(whole, capsys, tmp_path, monkeypatch):
    assert main(["prepare", "tiny", "--subjects", "a", "c", "--jobs", "1"]) == 0
    place = tmp_path / "cache" / "prepared" / "tiny"
    assert capsys.readouterr().out == (
        f"Study 'tiny': 2 of 3 listener(s) prepared, 3 run(s) each, in {place}; this call "
        "resampled 6 and cleaned 6 run(s).\n"
    )
    assert prepared_subjects(whole) == only_prepared(whole).subjects == ("a", "c")
    before = files(place)
    assert len(list(place.glob("a/run-*.nii.gz"))) == 6 and len(list(place.glob("a/*.npy"))) == 3
    lines = []
    for name in ("resample", "clean"):
        monkeypatch.setattr(preparation, name, pytest.fail)
    prepare("tiny", ["a", "c"], 1, lines.append)
    assert "resampled 0 and cleaned 0" in lines[0] and files(place) == before
    assert main(["prepare", "tiny", "-p", "smoothing=-1"]) == 2
    assert "smoothing is -1" in capsys.readouterr().err


def test_more_listeners_share_another_mask(whole):
    prepare("tiny", ["a"], 1, len)
    first = identity(only_prepared(whole))
    lines = []
    prepare("tiny", ["all"], 1, lines.append)
    assert "3 of 3 listener(s)" in lines[0] and "resampled 6 and cleaned 9 run(s)" in lines[0]
    assert identity(only_prepared(whole)) == identity(whole) != first


def test_responses_that_were_not_cleaned_are_made_on_demand(ready):
    expected = responses(ready, 1, "b")
    next(preparation._folder(ready).glob("b/run-2_*.npy")).unlink()
    np.testing.assert_array_equal(responses(ready, 1, "b"), expected)


def test_listeners_that_are_not_there(whole, tmp_path):
    for name in ("d", "sub-d"):
        with pytest.raises(InputError, match="no listener 'd'; it has a, b, c"):
            prepare("tiny", [name])
    with pytest.raises(
        InputError, match="has 3 listener.* none of whom is prepared; `brainalign p"
    ):
        only_prepared(whole)
    for ask in (partial(responses, whole, 0, "b"), partial(mask_image, whole)):
        with pytest.raises(InputError, match=r"not prepared; `brainalign prepare tiny --subjects "):
            ask()
    assert files(tmp_path) == {}


def test_studies_without_images():
    with pytest.raises(InputError, match="'alice' has no images to prepare"):
        prepare("alice")


def test_listeners_with_other_runs(whole):
    with pytest.raises(InputError) as caught:
        replace(whole, images=whole.images[:-1])
    assert str(caught.value) == (
        "Listener 'c' of study 'tiny' has images of 2 run(s); 3 are expected, one for each section."
    )


def test_files_that_are_not_fetched(whole, tmp_path, monkeypatch):
    def verify():
        raise InputError("x is not in /data; `brainalign fetch tiny --subjects b` fetches it.")

    gone = replace(whole.images[4], path=tmp_path / "none", verify=verify)
    partly = replace(whole, images=(*whole.images[:4], gone, *whole.images[5:]))
    monkeypatch.setattr(studies, "study_preparation", lambda name: partly)
    assert subjects_at_hand(partly) == ("a", "c")
    lines = []
    prepare("tiny", jobs=1, say=lines.append)
    assert "2 of 3 listener(s)" in lines[0]
    with pytest.raises(InputError, match="`brainalign fetch tiny --subjects b` fetches it"):
        prepare("tiny", ["b"], 1)
    gone_since = tuple(replace(image, path=gone.path, verify=verify) for image in whole.images)
    monkeypatch.setattr(
        studies, "study_preparation", lambda name: replace(whole, images=gone_since)
    )
    prepare("tiny", jobs=1, say=lines.append)
    assert "2 of 3 listener(s)" in lines[1] and "resampled 0 and cleaned 0" in lines[1]
    nobody = replace(whole, images=tuple(replace(gone, run=run) for run in range(3)))
    monkeypatch.setattr(studies, "study_preparation", lambda name: nobody)
    with pytest.raises(InputError, match="`brainalign fetch tiny --subjects b` fetches one list"):
        prepare("tiny", jobs=1)


def damaged(path, how):
    values = volumes(np.random.default_rng(9), 24)
    if how == "truncated":
        write(path, values)
        path.write_bytes(path.read_bytes()[:-2000])
    elif how == "no image":
        path.write_bytes(gzip.compress(b"no image" * 99))
    elif how == "one volume":
        write(path, values[..., 0])
    elif how == "fewer volumes":
        write(path, values[..., :23])
    elif how == "constant":
        write(path, np.repeat(values[..., :1], 24, axis=3))
    elif how == "elsewhere":
        write(path, values, SOURCE + np.array([[0, 0, 0, 900]] + [[0] * 4] * 3))
    else:
        values = values.astype(np.float32)
        values[8, 7, 6, 18:20] = np.nan
        write(path, values)
    return path


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("truncated", "cannot be read as a complete NIfTI image"),
        ("no image", "cannot be read as a complete NIfTI image"),
        ("one volume", r"has shape \(17, 16, 14\); a series of volumes is expected"),
        ("fewer volumes", "x.nii.gz has 23 volumes; 24 are expected."),
        ("constant", "is the same in all volumes where the grid of 4 mm lies"),
        ("elsewhere", "is the same in all volumes where the grid of 4 mm lies"),
        ("nan", r"finite in some volumes only in voxel \(8, 7, 6\), with a change in volume 18"),
    ],
)
def test_images_that_are_refused(whole, tmp_path, monkeypatch, how, sentence):
    path = damaged(tmp_path / "x.nii.gz", how)
    images = (replace(whole.images[0], path=path), *whole.images[1:])
    monkeypatch.setattr(studies, "study_preparation", lambda name: replace(whole, images=images))
    with pytest.raises(InputError, match=sentence) as caught:
        prepare("tiny", ["a"], 1)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not files(tmp_path / "cache")


def test_voxels_that_were_never_measured_count_as_zero(tmp_path):
    values = volumes(np.random.default_rng(3), 20).astype(np.float32)
    values[:, :, :3] = 0
    empty = values.copy()
    empty[:, :, :3] = np.nan
    expected = resample(write(tmp_path / "zero.nii.gz", values), GRID, 20).get_fdata()
    found = resample(write(tmp_path / "nan.nii.gz", empty), GRID, 20).get_fdata()
    np.testing.assert_array_equal(found, expected)


def test_volumes_are_counted_from_the_header(originals, tmp_path):
    assert count_volumes(originals["a", 2]) == 26
    short = tmp_path / "x.nii"
    nib.Nifti1Image(np.zeros((3, 3, 3, 5), dtype=np.int16), np.eye(4)).to_filename(short)
    short.write_bytes(short.read_bytes()[:400])
    assert count_volumes(short) == 5


@pytest.mark.parametrize(("where", "n_done"), [("resample", 4), ("clean", 5)])
def test_an_interrupted_call_is_continued(whole, tmp_path, monkeypatch, where, n_done):
    original, calls = getattr(preparation, where), []

    def interrupted(*arguments):
        if len(calls) == n_done:
            raise KeyboardInterrupt
        calls.append(arguments)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(preparation, where, interrupted)
        assert main(["prepare", "tiny", "--jobs", "1"]) == 130
    kept = files(tmp_path / "cache")
    lines = []
    prepare("tiny", jobs=1, say=lines.append)
    expected = (9 - n_done, 9) if where == "resample" else (0, 9 - n_done)
    assert "resampled {} and cleaned {} run(s)".format(*expected) in lines[0]
    assert kept.items() <= files(tmp_path / "cache").items()


def _die_halfway(name):
    original = np.save

    def half(path, values):
        original(path, values)
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    np.save = half
    prepare(name, jobs=1, say=len)


def test_a_killed_call_leaves_whole_files(whole, tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_die_halfway, args=("tiny",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    place = preparation._folder(whole)
    assert not list(place.glob("*/*.npy"))
    prepare("tiny", jobs=1, say=len)
    assert len(list(place.glob("*/*.npy"))) == 9
    for subject in SUBJECTS:
        assert np.isfinite(responses(whole, 2, subject)).all()


@pytest.mark.parametrize("what", ["numpy.save", "nibabel.Nifti1Image.to_filename"])
def test_a_full_disk(whole, tmp_path, capsys, monkeypatch, what):
    def full(*arguments):
        path = next(one for one in arguments if hasattr(one, "write_bytes"))
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(what, full)
        assert main(["prepare", "tiny", "--jobs", "1"]) == 1
    assert capsys.readouterr().err == f"brainalign: {DISK_FULL}\n"
    assert b"half" not in files(tmp_path / "cache").values()
    prepare("tiny", jobs=1, say=len)
    assert prepared_subjects(whole) == SUBJECTS


def test_work_goes_to_other_processes(whole):
    work = pickle.loads(pickle.dumps(partial(preparation._resample_run, whole)))
    work(whole.images[0])
    assert preparation._resampled_path(whole, whole.images[0]).is_file()


def test_grids():
    np.testing.assert_array_equal(
        Grid().affine, [[4, 0, 0, -72], [0, 4, 0, -106], [0, 0, 4, -64], [0, 0, 0, 1]]
    )
    with pytest.raises(
        InputError, match=r"starts at x = -72 mm; -70 mm is expected, for 36 voxels"
    ):
        Grid(shape=(36, 46, 38))
    with pytest.raises(InputError, match="positive numbers are expected"):
        Grid(edge=0.0)
