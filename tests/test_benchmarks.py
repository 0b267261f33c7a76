"""The benchmarks' harness at tiny sizes: well-formed tables, sums that add up; no time is tested."""

import importlib
import json
from collections.abc import Iterator

import bench_attribution
import bench_gpu
import bench_growth
import bench_plan
import bench_ridge
import bench_significance
import measure
import numpy as np
import pytest
import ridge_peers
import run
import simulated
import torch
from bench_ridge import NESTED, ONE, PER_VOXEL
from simulated import Size
from sklearn.model_selection import LeaveOneGroupOut

from brainalign.calibration import Speeds
from brainalign.companion.speed import page_text
from brainalign.costs import cost, counted
from brainalign.model_sizes import find_model
from brainalign.planning import fitting_seconds, reading_seconds
from brainalign.ridge import leave_one_run_out
from brainalign.study import standardise

TIMING = measure.Timing(2.0, 1.5, 0.5, 1e11, 3 * 10**8, 5 * 10**8)
TINY = Size((30, 24, 27), 6, 12)
COLUMNS = set(measure.COLUMNS) - {"ratio", "max_difference"}


@pytest.fixture
def here(monkeypatch):
    """Measured functions run in this process and always take two seconds."""

    def fake(prepare, *arguments, repeats=1):
        return TIMING, prepare(*arguments)()

    for module in (bench_gpu, bench_growth, bench_ridge, bench_significance):
        monkeypatch.setattr(module, "in_fresh_process", fake)

    def fake_turns(prepare, *arguments, repeats=1):
        return [(TIMING, function()) for function in prepare(*arguments)]

    for module in (bench_attribution, bench_plan):
        monkeypatch.setattr(module, "in_turn", fake_turns)


@pytest.fixture
def data(tmp_path):
    simulated.write(tmp_path, TINY)
    return simulated.read(tmp_path, TINY)


def prepare_arrays(megabytes: int):
    return lambda: int(np.ones(megabytes * 10**6 // 8).sum())


def test_a_call_is_measured_in_a_process_of_its_own():
    timing, result = measure.in_fresh_process(prepare_arrays, 300, repeats=2)
    assert result == 300 * 10**6 // 8
    assert 0.9 * 300e6 < timing.peak - timing.before < 1.3 * 300e6
    values = (timing.seconds, timing.own, timing.others, timing.sgemm)
    assert all(isinstance(value, float) and value >= 0 for value in values)
    json.dumps(measure.row("part", "case", "who", timing))


def prepare_counters(step: int):
    calls = []

    def count() -> list[int]:
        calls.append(len(calls) * step)
        return calls

    return [count, lambda: sum(calls)]


def test_calls_are_measured_in_turn():
    (counted, calls), (summed, total) = measure.in_turn(prepare_counters, 10, repeats=3)
    assert calls == [0, 10, 20] and total == 30
    assert counted.sgemm == summed.sgemm and counted.seconds >= 0 <= summed.seconds


def test_ratios_are_to_the_first_row_of_a_case():
    rows = [
        measure.row("ridge", "a", "ours", TIMING),
        measure.row("ridge", "a", "theirs", TIMING, 10.0),
        measure.row("ridge", "b", "ours", TIMING, 0.5),
        measure.row("other", "a", "ours", TIMING, 4.0),
    ]
    assert [row["ratio"] for row in measure.add_ratios(rows)] == [1, 5, 1, 1]


def test_a_row_tells_the_share_of_the_sgemm_speed():
    row = measure.row("ridge", "a", "ours", TIMING, flops=1e11)
    assert row["of_sgemm"] == 0.5 and row["peak_gb"] == 0.5 and row["other_cpu_s"] == 0.5


def test_the_machine_is_described():
    about = measure.machine()
    assert about["cores"] >= 1 and about["memory_gb"] > 0 and about["processor"]
    assert set(measure.PACKAGES) < set(about["versions"])


def test_sizes_are_those_of_the_paper():
    assert sum(simulated.SCANS) == 2636 and len(simulated.SCANS) == 9
    assert {size.voxels for size in bench_ridge.FULL} == {25_870}
    assert [size.features for size in bench_ridge.FULL] == [768, 2048, 4096]


def test_simulated_data_look_like_those_of_a_study(tmp_path):
    size = Size((150,) * 4, 300, 50)
    simulated.write(tmp_path, size)
    X, Y = simulated.read(tmp_path, size)
    assert [x.shape for x in X] == [(150, 300)] * 4 and [y.shape for y in Y] == [(150, 50)] * 4
    for values in (*X, *Y):
        np.testing.assert_allclose(values, standardise(values), atol=1e-5)
    eigenvalues = np.linalg.svd(np.vstack(X), compute_uv=False) ** 2
    assert eigenvalues[0] < eigenvalues.sum() / 4
    assert eigenvalues[250] < 1e-3 * eigenvalues[0]
    assert 0.02 < leave_one_run_out(X, Y).r.mean() < 0.4
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    simulated.write(tmp_path, size)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_every_training_run_validates_in_turn():
    lengths = [3, 2, 4]
    groups = np.repeat([0, 1, 2], lengths)
    expected = list(LeaveOneGroupOut().split(groups, groups=groups))
    for found, wanted in zip(ridge_peers.splits(lengths, "all"), expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert len(ridge_peers.splits(lengths, "first")) == 1


@pytest.mark.parametrize("name", ridge_peers.HIMALAYA)
@pytest.mark.parametrize("mode", [ONE, NESTED, PER_VOXEL], ids=lambda mode: mode.name)
def test_himalaya_does_the_same_work(data, name, mode):
    options = {"validation": mode.validation}
    ours = leave_one_run_out(*data, per_voxel_alpha=mode.per_voxel, **options)
    theirs = ridge_peers.himalaya_fold(name, *data, 1, per_voxel=mode.per_voxel, **options)
    np.testing.assert_allclose(ours.r[1], theirs, atol=2e-3)
    reference = ridge_peers.himalaya_scores(*data, 1, ours.alpha[1])
    np.testing.assert_allclose(ours.r[1], reference, atol=1e-5)


def test_parts_add_up_to_a_layer():
    assert bench_ridge.whole({"a": 2.0, "b": 0.5}, {"a": 3, "b": 4}) == 8
    # Nine folds, one inner run, 16 penalties and a refit; eight inner runs when nested.
    assert bench_ridge.sklearn_counts(9, ONE) == {"search": 144, "refit": 9}
    assert bench_ridge.sklearn_counts(9, NESTED) == {"search": 1152, "refit": 9}
    assert bench_ridge.authors_counts(9, 100) == {"fit": 153, "correlate": 15_300}


def test_parts_of_others_are_times_per_unit(data):
    for parts in (ridge_peers.sklearn_parts(*data, 1), ridge_peers.authors_parts(*data, 3)):
        assert len(parts) == 2 and all(seconds > 0 for seconds in parts.values())


def test_ridge_rows(here, monkeypatch):
    monkeypatch.setattr(bench_ridge, "ALPHAS", np.logspace(0, 4, 5))
    found = bench_ridge.rows(sizes=[TINY])
    assert isinstance(found, Iterator)
    rows = list(found)
    assert all(set(row) >= COLUMNS for row in rows)
    cases = dict.fromkeys(row["case"] for row in rows)
    assert list(cases) == [bench_ridge.case_name(TINY, mode) for mode in (ONE, NESTED, PER_VOXEL)]
    by_name = {(row["case"], row["who"]): row for row in rows}
    nested, one = (bench_ridge.case_name(TINY, mode) for mode in (NESTED, ONE))
    assert by_name[nested, "brainalign, exact"]["seconds"] == 2
    assert by_name[one, "himalaya RidgeCV"]["seconds"] == 2 * 3 / 2
    assert by_name[nested, "himalaya RidgeCV"]["seconds"] == 2 * 3
    assert "3 of 3 folds" in by_name[nested, "brainalign, sampled search"]["how"]
    ours = [row for row in rows if row["who"].startswith("brainalign")]
    exact = [row for row in ours if row["who"] == "brainalign, exact"]
    assert len(ours) == 5 and len(exact) == 3
    assert all(row["max_difference"] < 1e-5 for row in exact)
    json.dumps(rows)


def test_rows_of_brainalign_alone(here):
    rows = list(bench_ridge.rows(sizes=[TINY], alone=True))
    assert len(rows) == 5 and all(row["who"].startswith("brainalign") for row in rows)


def test_growth_rows(here):
    base = bench_growth.Fit(90, 8, 20)
    rows = list(bench_growth.rows(base=base))
    assert len(rows) == sum(map(len, bench_growth.FACTORS.values()))
    sizes = {
        name: [row["size"] for row in rows if row["grows"] == name] for name in ("scans", "layers")
    }
    assert sizes == {"scans": [45, 90, 180], "layers": [1, 2, 4]}
    assert set(bench_growth.QUICK_FACTORS) < set(bench_growth.FACTORS)


def test_significance_rows(here):
    ours, peer = bench_significance.rows(quick=True)
    assert ours["case"] == peer["case"] and ours["max_difference"] < 1e-5


def test_attribution_rows(here):
    forward, targets, ours, peer = bench_attribution.rows(
        size=bench_attribution.Size(60, 150, 50, 5)
    )
    assert forward["case"] == targets["case"] and "5 contexts, 16 readouts" in targets["case"]
    assert ours["case"] == peer["case"] and ours["max_difference"] < 1e-5
    assert peer["seconds"] == 10 * ours["seconds"] and peer["how"] == "5 of 50 voxels"


def test_plan_rows(here, monkeypatch, tmp_path):
    speeds = [Speeds({100: rate}, 1e-5, 1e10, 1e10, rate, 1e10, 0.5) for rate in (1e9, 5e8)]
    monkeypatch.setattr(bench_plan, "measure", iter(speeds).__next__)
    case = bench_plan.Case("tiny", "testbed", 3, 200, "nano-gpt2-8x2")
    read, predicted, fit, expected = bench_plan.case_rows(case)
    assert [row["who"] for row in (read, predicted, fit, expected)] == ["measured", "predicted"] * 2
    assert read["case"] == predicted["case"] != fit["case"] and read["seconds"] == 2
    found = cost(counted(case.load()), find_model(case.model), case.settings())
    assert predicted["seconds"] == np.mean([reading_seconds(found, one) for one in speeds])
    assert expected["seconds"] == np.mean([fitting_seconds(found, one) for one in speeds])
    assert expected["peak_gb"] == found.memory / 1e9 and "50%" in expected["how"]


def test_gpu_rows(here, capsys):
    sizes = bench_gpu.Sizes(TINY, (2, 32, 2), (2, 16, 2), 3, 200, 16)
    rows = list(bench_gpu.device_rows(sizes, "cpu"))
    assert all(set(row) >= COLUMNS and row["part"] == "gpu" for row in rows)
    cases = dict.fromkeys(row["case"] for row in rows)
    fit, reading, scores = ([row for row in rows if row["case"] == case] for case in cases)
    assert [row["who"].split(",")[0] for row in fit] == [
        *("brainalign", "brainalign", "himalaya RidgeCV", "arithmetic limit")
    ]
    assert fit[1]["max_difference"] < 1e-3 and fit[2]["max_difference"] < 1e-3
    assert fit[2]["seconds"] == 3 * 2 and fit[3]["seconds"] > 0
    assert [row["who"] for row in reading[:4]] == [name for name, _, _ in bench_gpu.MODES]
    assert len(reading) == 7 and all(row["tokens_per_second"] > 0 for row in reading[:4])
    assert [row["who"] for row in scores] == [name for name, _, _ in bench_gpu.MODES]
    assert scores[0]["max_difference"] == 0 and max(row["max_difference"] for row in scores) < 0.01
    json.dumps(rows)


def test_without_a_gpu_that_is_said_and_nothing_measured(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    bench_gpu.main([])
    assert capsys.readouterr().out.strip() == bench_gpu.NO_GPU


def test_the_switch_of_float32_products_is_put_back():
    before = torch.get_float32_matmul_precision()
    with bench_gpu.float32_products(tf32=True):
        assert torch.get_float32_matmul_precision() == "high"
    assert torch.get_float32_matmul_precision() == before == "highest"


def test_all_benchmarks_make_one_table_and_one_page(here, monkeypatch, capsys):
    assert all(callable(importlib.import_module(name).rows) for name in run.BENCHMARKS)
    tiny = [
        *bench_ridge.rows(sizes=[TINY], alone=True),
        *bench_growth.rows(base=bench_growth.Fit(90, 8, 20)),
        *bench_significance.rows(quick=True),
    ]
    monkeypatch.setattr(run, "all_rows", lambda quick: iter(tiny))
    results = json.loads(json.dumps(run.run(quick=True)))
    assert [row["ratio"] >= 0 for row in results["rows"]] == [True] * len(tiny)
    printed = capsys.readouterr().out
    assert "others' CPU s" in printed and "himalaya ÷ exact" in printed
    assert "block permutation" in page_text(results, "")
