"""Scores of tiny models on a tiny study: values, files, resuming, choice of layers."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import monotonic, sleep

import numpy as np
import pytest
import tiny_models
import xarray as xr
from filelock import FileLock
from pydantic import TypeAdapter
from tiny_study import tiny_study

from brainalign import encoding, fitting
from brainalign.activations import ActivationSettings, extract
from brainalign.encoding import (
    EncodingSettings,
    encode,
    score_file,
    score_key,
)
from brainalign.errors import InputError
from brainalign.fitting import encoding_settings, load_responses
from brainalign.layer_choice import brain_scores, choose_layer, fold_scores
from brainalign.models import zoo_names
from brainalign.regressors import nuisance_features, run_regressors
from brainalign.ridge import leave_one_run_out
from brainalign.study import standardise

BASELINE = "random-embeddings-16:seed-1"
N_LAYERS = tiny_models.LAYERS + 1


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BRAINALIGN_OUTPUT", raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny language model of several layers that knows the study's words."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(tiny_models.save_model(folder, "gpt2", tokenizer=tiny_models.byte_level()))


@pytest.fixture
def study():
    return tiny_study()


@pytest.fixture
def fits(monkeypatch):
    """Number of ridge regressions made."""
    made = []

    def counted(*arguments, **options):
        made.append(options)
        return leave_one_run_out(*arguments, **options)

    monkeypatch.setattr(fitting, "leave_one_run_out", counted)
    return made


def regressors_of(study, name, layer):
    return [
        run_regressors(np.asarray(array[:, layer]), run.words, run.n_scans, study.tr, study.trim)
        for array, run in zip(extract(study, name), study.runs, strict=True)
    ]


def test_scores_are_those_of_each_layer(study, model):
    (scores,) = encode(study, [model], jobs=1)
    assert dict(scores.sizes) == {"fold": 3, "layer": N_LAYERS, "voxel": 12, "model": 1}
    assert scores["r"].dims == ("model", "layer", "voxel")
    assert scores["r_fold"].dims == scores["r_inner"].dims == ("fold", "layer", "voxel")
    assert scores["alpha"].dims == ("fold", "layer")
    assert {scores[name].dtype for name in ("r", "r_fold", "r_inner")} == {np.dtype("float32")}
    responses = load_responses(study)
    for layer in range(N_LAYERS):
        expected = leave_one_run_out(regressors_of(study, model, layer), responses)
        np.testing.assert_allclose(scores["r_fold"][:, layer], expected.r, atol=1e-6)
        np.testing.assert_allclose(scores["r_inner"][:, layer], expected.r_inner, atol=1e-6)
        np.testing.assert_allclose(scores["alpha"][:, layer], expected.alpha)
    np.testing.assert_allclose(scores["r"][0], scores["r_fold"].mean("fold"), atol=1e-6)
    assert scores["layer_name"].to_numpy().tolist()[:2] == ["embedding", "block 1"]
    np.testing.assert_array_equal(scores["hemisphere"], study.voxels["hemisphere"])


def test_listeners_that_follow_words_are_predicted(study):
    """Responses are linear in features of word forms, which wide random embeddings hold."""
    names = ["random-embeddings-64", "random-vectors-64"]
    forms, tokens = encode(study, names, EncodingSettings(alphas=(0, 5, 11)), jobs=1)
    assert forms["r"].mean() > 0.4
    assert tokens["r"].mean() < 0.2


def test_average_is_the_mean_of_standardised_listeners(study):
    responses = load_responses(study)
    start, end = study.trim
    for number, (run, values) in enumerate(zip(study.runs, responses, strict=True)):
        total = sum(standardise(run.load(subject)) for subject in study.subjects)
        expected = standardise(total[start : run.n_scans - end])
        np.testing.assert_allclose(values, expected, atol=1e-5)
        one = load_responses(study, "s2")[number]
        expected = standardise(run.load("s2")[start : run.n_scans - end])
        np.testing.assert_allclose(one, expected, atol=1e-6)


def test_settings_reach_the_fit(study, fits):
    settings = EncodingSettings(
        "s2", "fir", (1, 3), (1, 3, 4), alpha_per_voxel=True, validation="first"
    )
    (scores,) = encode(study, [BASELINE], settings, jobs=1)
    assert fits[0]["validation"] == "first" and fits[0]["per_voxel_alpha"]
    np.testing.assert_allclose(fits[0]["alphas"], np.logspace(1, 3, 4))
    assert scores["alpha"].dims == ("fold", "layer", "voxel")
    features = [np.asarray(array[:, 0]) for array in extract(study, BASELINE)]
    X = [
        run_regressors(x, run.words, run.n_scans, 2.0, study.trim, "fir", (1, 3))
        for x, run in zip(features, study.runs, strict=True)
    ]
    assert X[0].shape[1] == 32
    expected = leave_one_run_out(
        X, load_responses(study, "s2"), np.logspace(1, 3, 4), True, "first"
    )
    np.testing.assert_allclose(scores["r_fold"][:, 0], expected.r, atol=1e-6)


def test_attributes_say_how_it_was_made(study):
    settings = EncodingSettings(alphas=(6, 7, 2))
    (scores,) = encode(study, [BASELINE], settings, jobs=1)
    made = json.loads(scores.attrs["settings"])
    assert made["study"]["name"] == "tiny" and made["study"]["n_subjects"] == 3
    assert made["model"]["name"] == BASELINE and made["model"]["kind"] == "random embeddings"
    assert made["key"] == score_key(study.fingerprint, BASELINE, settings)
    assert "torch" in made["versions"]
    adapter = TypeAdapter(EncodingSettings)
    assert adapter.validate_python(made["encoding"]) == replace(settings, alphas=(6.0, 7.0, 2))
    # Both alphas of this grid are ends of it.
    assert made["alphas_at_edge"] == 1
    assert made["warnings"] == [
        "100% of the chosen alphas lie at an end of the grid, 1e6 or 1e7; a better one may lie "
        "beyond."
    ]


def test_key_follows_what_matters():
    base = EncodingSettings()
    key = score_key("data", BASELINE, base)
    assert key == score_key("data", BASELINE, EncodingSettings())
    # Of no effect on the result.
    for same in (
        EncodingSettings(delays=(1, 2)),
        EncodingSettings(nuisance_columns=("position",)),
        EncodingSettings(alphas=(2, 7, 16)),
        EncodingSettings(activations=ActivationSettings(batch_size=1)),
        # A baseline reads no windows.
        EncodingSettings(activations=ActivationSettings(window=5)),
    ):
        assert score_key("data", BASELINE, same) == key
    others = [
        score_key("other data", BASELINE, base),
        score_key("data", "random-embeddings-16:seed-2", base),
        score_key("data", BASELINE, EncodingSettings(subject="s1")),
        score_key("data", BASELINE, EncodingSettings(hrf="impulse")),
        score_key("data", BASELINE, EncodingSettings(alphas=(2, 7, 15))),
        score_key("data", BASELINE, EncodingSettings(nuisance=True)),
        *(
            score_key("data", name, EncodingSettings(activations=ActivationSettings(**changed)))
            for name, changed in [
                (BASELINE, {"empty_words": "next"}),
                (zoo_names()[0], {"window": 5}),
                (zoo_names()[0], {}),
            ]
        ),
    ]
    assert len({key, *others}) == len(others) + 1


def test_key_follows_the_source(monkeypatch):
    key = score_key("data", BASELINE, EncodingSettings())
    monkeypatch.setattr(encoding, "SOURCES", encoding.SOURCES[1:])
    assert score_key("data", BASELINE, EncodingSettings()) != key


def test_scores_are_found_again(study, fits, own_cache):
    log = study.runs[0].load.log
    first = encode(study, [BASELINE], jobs=1)
    n_loaded = len(log)
    again = encode(study, [BASELINE, BASELINE], jobs=1)
    xr.testing.assert_identical(again[0], first[0])
    assert len(again) == 2 and len(fits) == 1
    assert len(log) == n_loaded == 9
    # Responses are read once for all models.
    encode(study, ["random-vectors-4", "random-embeddings-4"], jobs=1)
    assert len(fits) == 3 and len(log) == 2 * n_loaded
    names = sorted(path.suffix for path in (own_cache / "scores").iterdir())
    assert names == [".lock"] * 3 + [".nc"] * 3


def test_interrupted_run_continues(study, model, own_cache, monkeypatch):
    (whole,) = encode(study, [model], folder=own_cache / "whole", jobs=1)
    made = []

    def fails_at_third(*arguments, **options):
        made.append(1)
        if len(made) == 3:
            raise KeyboardInterrupt
        return leave_one_run_out(*arguments, **options)

    monkeypatch.setattr(fitting, "leave_one_run_out", fails_at_third)
    with pytest.raises(KeyboardInterrupt):
        encode(study, [model], jobs=1)
    folder = own_cache / "scores"
    assert not list(folder.glob("*.nc")) and len(list(folder.glob("*.layers/*.nc"))) == 2
    (scores,) = encode(study, [model], jobs=1)
    # Two layers, the interrupted one again, and the last one.
    assert len(made) == 2 + 1 + N_LAYERS - 2
    xr.testing.assert_allclose(scores, whole)
    assert not list(folder.glob("*.layers"))


def test_no_process_is_started_for_activations_that_are_there(study, model, monkeypatch):
    started = []

    def start(function, items, *arguments, **options):
        started.append([name for _, name, *_ in items])
        return list(map(function, items))

    monkeypatch.setattr(encoding, "map_processes", start)
    encode(study, [model])
    encode(study, [model], EncodingSettings(hrf="impulse"))
    assert started == [[model], []]


def test_a_model_that_another_process_fits_comes_last(study):
    names = ["random-vectors-4", "random-embeddings-4"]
    settings = EncodingSettings()
    first, second = (score_file(score_key(study.fingerprint, name, settings)) for name in names)
    first.parent.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as pool:
        with FileLock(first.with_suffix(".lock")):
            found = pool.submit(encode, study, names, settings, jobs=1)
            deadline = monotonic() + 60
            while not second.is_file() and not found.done() and monotonic() < deadline:
                sleep(0.01)
            assert second.is_file() and not first.is_file()
        assert [one["model"].item() for one in found.result()] == names


def test_two_at_once_compute_once(study, monkeypatch):
    made = []

    def slow(*arguments, **options):
        made.append(1)
        sleep(0.2)
        return leave_one_run_out(*arguments, **options)

    monkeypatch.setattr(fitting, "leave_one_run_out", slow)
    extract(study, BASELINE)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: encode(study, [BASELINE], jobs=1)[0], range(2)))
    assert len(made) == 1
    xr.testing.assert_identical(*both)


def test_activations_are_extracted_in_other_processes(study, model):
    names = [model, "random-vectors-3", f"{model}:untrained-0"]
    scores = encode(study, names, jobs=2)
    assert [one["model"].item() for one in scores] == names


def test_large_models_are_read_one_by_one(study, monkeypatch):
    asked = []
    monkeypatch.setattr(
        encoding, "map_processes", lambda function, items, jobs, title: asked.append(jobs)
    )
    # Its key asks the hub.
    monkeypatch.setattr(encoding, "_extracted", lambda *arguments: False)
    extract_all = encoding._extract_all
    extract_all(study, [BASELINE, "opt-350m"], ActivationSettings(), "cpu", 2)
    extract_all(study, [BASELINE, "gpt2"], ActivationSettings(), "cpu", 2)
    extract_all(study, [BASELINE], ActivationSettings(), "cuda", 2)
    assert asked == [1, 2, 1]


def test_notes_which_scores_a_notebook_read(study, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_OUTPUT", str(tmp_path / "output"))
    settings = EncodingSettings(subject="s1")
    study = replace(study, options={"seed": 3})
    for _ in range(2):
        encode(study, [BASELINE], settings, jobs=1)
    lines = (tmp_path / "output" / "scores.jsonl").read_text().splitlines()
    assert len(lines) == 2 and lines[0] == lines[1]
    noted = json.loads(lines[0])
    assert noted["study"] == {"name": "tiny", "options": {"seed": 3}}
    assert noted["model"] == BASELINE
    read = TypeAdapter(EncodingSettings).validate_python(noted["settings"])
    assert noted["key"] == score_key(study.fingerprint, BASELINE, read)


def test_notes_whose_activations_a_notebook_read(study, tmp_path, monkeypatch):
    from brainalign.companion.cache import read_models

    monkeypatch.setenv("BRAINALIGN_OUTPUT", str(tmp_path / "output"))
    for _ in range(2):
        extract(study, BASELINE)
    assert read_models(tmp_path / "output") == [BASELINE]
    assert read_models(tmp_path) == []


def test_nuisance_features_have_their_own_band(study):
    settings = EncodingSettings(nuisance=True, nuisance_columns=("word_length", "position"))
    (scores,) = encode(study, [BASELINE], settings, jobs=1)
    assert scores["band_ratio"].dims == ("fold", "layer", "voxel")
    assert scores["r_nuisance"].dims == ("fold", "voxel")
    unique = (scores["r_fold"] - scores["r_nuisance"]).mean("fold")
    np.testing.assert_allclose(scores["r_unique"][0], unique, atol=1e-6)
    np.testing.assert_allclose(choose_layer(scores, part="unique"), unique[0], atol=1e-6)
    nuisance = [
        run_regressors(
            nuisance_features(run.words, settings.nuisance_columns),
            *(run.words, run.n_scans, study.tr, study.trim),
        )
        for run in study.runs
    ]
    responses = load_responses(study)
    alone = leave_one_run_out(nuisance, responses)
    np.testing.assert_allclose(scores["r_nuisance"], alone.r, atol=1e-6)


def test_nuisance_band_takes_what_is_its_own():
    """A response to nothing but word length leaves nothing for random vectors to add."""
    study = tiny_study()

    def follow_length(run):
        length = nuisance_features(run.words, ["word_length"])
        signal = np.repeat(run_regressors(length, run.words, run.n_scans, study.tr), 12, axis=1)
        return lambda subject: (signal + 0.3 * run.load(subject)).astype(np.float32)

    runs = tuple(replace(run, load=follow_length(run)) for run in study.runs)
    study = replace(study, runs=runs, fingerprint="length")
    settings = EncodingSettings(nuisance=True, nuisance_columns=("word_length",))
    (scores,) = encode(study, ["random-vectors-8"], settings, jobs=1)
    assert scores["r_nuisance"].mean() > 0.8
    assert scores["r"].mean() > 0.8
    assert abs(scores["r_unique"].mean()) < 0.05
    assert (scores["band_ratio"] > 1).mean() > 0.5


def made_up(r_fold, r_inner, name="one", **more):
    """A dataset as from `encode`, from arrays (fold, layer, voxel)."""
    r_fold, r_inner = np.asarray(r_fold, float), np.asarray(r_inner, float)
    dims = ("fold", "layer", "voxel")
    info = {"name": name, "family": "F", "kind": "language model"}
    info |= {"n_parameters": 5, "n_layers": 2, "n_hidden": 4}
    dataset = xr.Dataset(
        {"r_fold": (dims, r_fold), "r_inner": (dims, r_inner), **more},
        coords={"roi": ("voxel", ["A", "B"][: r_fold.shape[2]])},
        attrs={"settings": json.dumps({"model": info})},
    )
    return dataset.assign_coords(
        layer=range(r_fold.shape[1]), layer_name=("layer", list("abcdefg")[: r_fold.shape[1]])
    )


# Two folds, two layers, two voxels.
R = [[[0.1, 0.2], [0.5, 0.6]], [[0.3, 0.9], [0.7, 0.4]]]
ONE_VOXEL = [[[0.1], [0.2]], [[0.3], [0.4]]]
INNER = [[[0.9, 0.1], [0.2, 0.3]], [[0.1, 0.8], [0.2, 0.3]]]


def test_choice_of_layers():
    scores = made_up(R, INNER)
    nested = choose_layer(scores, "nested")
    # Voxel A: layer 0 in fold 0 (.1), layer 1 in fold 1 (.7); voxel B: layer 1 (.6), layer 0 (.9).
    np.testing.assert_allclose(nested, [0.4, 0.75])
    # Means over folds: (.2, .6) and (.55, .5).
    np.testing.assert_allclose(choose_layer(scores, "published"), [0.6, 0.55])
    assert nested.dims == ("voxel",) and list(nested.coords) == ["roi"]
    assert list(choose_layer(scores, "published").coords) == ["roi"]


def test_unique_part_of_the_same_layers():
    nuisance = ("fold", "voxel"), np.array([[0.05, 0.1], [0.15, 0.2]])
    scores = made_up(R, INNER, r_nuisance=nuisance)
    np.testing.assert_allclose(choose_layer(scores, "nested", "unique"), [0.3, 0.6])
    np.testing.assert_allclose(choose_layer(scores, "published", "unique"), [0.5, 0.4])


def test_nested_choice_never_looks_at_the_run_that_is_scored():
    """With noise for scores, the best test score is biased and the nested choice is not."""
    rng = np.random.default_rng(0)
    r_fold, r_inner = rng.normal(0, 0.1, (2, 9, 7, 4000))
    dims = ("fold", "layer", "voxel")
    scores = xr.Dataset({"r_fold": (dims, r_fold), "r_inner": (dims, r_inner)})
    assert abs(choose_layer(scores, "nested").mean()) < 0.003
    assert choose_layer(scores, "published").mean() > 0.03


def test_voxels_without_scores_stay_so():
    r_fold, r_inner = np.array(R), np.array(INNER)
    r_fold[1, :, 0] = np.nan
    r_inner[:, :, 0] = np.nan
    for rule in ("nested", "published"):
        chosen = choose_layer(made_up(r_fold, r_inner), rule)
        assert np.isnan(chosen).to_numpy().tolist() == [True, False]


@pytest.mark.parametrize(
    "value, high_pass, message",
    [
        (2.0, None, "Run 1 of subject 'average' of study 'tiny' is constant in voxel 3 and 0 more"),
        (2.0, 0.01, "is constant in voxel 3 and 0 more; responses that vary are expected"),
        (np.nan, None, "Run 1 of subject 'average' of study 'tiny' has nan in voxel 3; finite"),
        (np.nan, 0.02, "has nan in voxel 3; finite numbers are expected"),
    ],
)
def test_voxels_without_responses_are_refused(study, own_cache, value, high_pass, message):
    def spoiled(run):
        spoilt = np.arange(12) == 3
        return lambda subject: np.where(spoilt, np.float32(value), run.load(subject))

    runs = tuple(replace(run, load=spoiled(run)) for run in study.runs)
    spoilt = replace(study, runs=runs, fingerprint="spoilt", high_pass=high_pass)
    with pytest.raises(InputError, match=message):
        encode(spoilt, [BASELINE], jobs=1)
    assert not list((own_cache / "scores").rglob("*.nc"))


def test_stretches_of_one_run_are_folds(study):
    """The same scores as from a ridge regression on the stretches, cut out by hand."""
    run = study.runs[0]
    one = replace(study, runs=(run,), n_folds=3, gap=4, high_pass=0.02, fingerprint="one run")
    (scores,) = encode(one, [BASELINE], jobs=1)
    (activations,) = extract(one, BASELINE)
    X = run_regressors(
        np.asarray(activations[:, 0]), run.words, run.n_scans, one.tr, one.trim, high_pass=0.02
    )
    Y = one.responses(0).to_numpy()[0][3:-2]
    cuts = [slice(0, 11), slice(15, 24), slice(28, 39)]
    expected = leave_one_run_out([X[cut] for cut in cuts], [Y[cut] for cut in cuts])
    assert [scans for _, scans in one.folds()] == cuts
    np.testing.assert_allclose(scores["r_fold"][:, 0], expected.r, atol=1e-5)


def test_word_rate_is_a_baseline(study):
    (scores,) = encode(study, ["word-rate"], jobs=1)
    features = [np.ones((len(run.words), 1)) for run in study.runs]
    X = [
        run_regressors(values, run.words, run.n_scans, study.tr, study.trim)
        for values, run in zip(features, study.runs, strict=True)
    ]
    expected = leave_one_run_out(X, load_responses(study))
    np.testing.assert_allclose(scores["r_fold"][:, 0], expected.r, atol=1e-5)


def test_settings_by_name():
    found = encoding_settings(hrf="glover_impulse", alphas=[0, 6, 13], window=64)
    assert found == EncodingSettings(
        hrf="glover_impulse", alphas=(0, 6, 13), activations=ActivationSettings(window=64)
    )
    with pytest.raises(InputError, match="There is no setting 'windows'; there are alpha_per_vox"):
        encoding_settings(windows=3)


def test_brain_scores_of_several_models(study):
    names = [BASELINE, "random-vectors-4"]
    scores = brain_scores(encode(study, names, jobs=1), "published")
    assert scores.dims == ("model", "voxel") and scores.shape == (2, 12)
    assert scores["model"].to_numpy().tolist() == names
    assert scores["kind"].to_numpy().tolist() == ["random embeddings", "random vectors"]
    assert scores["n_parameters"].to_numpy().tolist() == [0, 0]
    assert set(study.voxels.columns) <= set(scores.coords)
    assert scores.attrs["layer_rule"] == "published"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: choose_layer(made_up(R, INNER), "best"), "layer rule is 'best'"),
        (lambda: choose_layer(made_up(R, INNER), part="whole"), "part is 'whole'"),
        (lambda: choose_layer(made_up(R, INNER), part="unique"), "made with nuisance features"),
        (lambda: brain_scores([]), "There are no scores"),
        (
            lambda: brain_scores([made_up(R, INNER), made_up(ONE_VOXEL, ONE_VOXEL)]),
            r"\[1, 2\] voxels",
        ),
        (lambda: EncodingSettings(validation="last"), "validation is 'last'"),
        (lambda: EncodingSettings(alphas=(3, 2, 4)), r"alphas is \(3, 2, 4\)"),
        (lambda: EncodingSettings(alphas=(2, 7, 0)), r"alphas is \(2, 7, 0\)"),
        (lambda: EncodingSettings(alphas=(0, 3, 2.7)), r"alphas is \(0, 3, 2.7\)"),
        (lambda: EncodingSettings(alphas=(0, 3, np.inf)), r"alphas is \(0, 3, inf\)"),
        (lambda: EncodingSettings(alphas=(np.nan, 3, 4)), r"alphas is \(nan, 3, 4\)"),
        (lambda: EncodingSettings(alphas=(0, 400, 4)), r"alphas is \(0, 400, 4\)"),
        (lambda: EncodingSettings(hrf="gamma"), "hrf is 'gamma'"),
        (lambda: encode(tiny_study(), ["gpt2-huge"]), "gpt2-huge"),
        (
            lambda: encode(tiny_study(), [BASELINE], EncodingSettings(subject="s9")),
            "has no subject 's9'; it has s1, s2, s3, average",
        ),
        (
            lambda: encode(replace(tiny_study(), runs=tiny_study().runs[:2]), [BASELINE]),
            r"Study 'tiny' has 2 fold\(s\)",
        ),
    ],
)
def test_bad_input_gives_one_sentence(call, message, own_cache):
    with pytest.raises(InputError, match=message):
        call()
    assert not own_cache.exists()


def test_fold_scores_average_to_brain_scores(study):
    scores = encode(study, ["random-vectors-4", "word-rate"], jobs=1)
    for rule in ("nested", "published"):
        by_fold = fold_scores(scores, rule)
        assert by_fold.dims == ("model", "fold", "voxel")
        np.testing.assert_allclose(by_fold.mean("fold"), brain_scores(scores, rule), atol=1e-6)
