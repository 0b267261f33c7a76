"""The page about speed: tables of a benchmark, its figure, and when it is written."""

import json

import pytest
from bs4 import BeautifulSoup

from brainalign.companion import WorkError, speed
from brainalign.plots_speed import exponent, growth_alt, growth_figure, growth_table


def row(part, case, who, seconds, **more):
    columns = {"how": "all", "measured_s": seconds, "other_cpu_s": 0.1, "of_sgemm": None}
    columns |= {"sgemm_gflops": 300.0, "peak_gb": 1.0, "before_gb": 0.4, "ratio": 1.0}
    return {"part": part, "case": case, "who": who, "seconds": seconds} | columns | more


def growth(what, sizes, seconds):
    return [
        row("growth", f"more {what}", f"brainalign, {n} {what}", s, grows=what, size=n)
        for n, s in zip(sizes, seconds, strict=True)
    ]


ROWS = [
    row("ridge", "8 features, nested", "brainalign, exact", 10.0, max_difference=2.3e-7),
    row("ridge", "8 features, nested", "himalaya RidgeCV", 50.0, max_difference=None),
    row("ridge", "8 features, nested", "himalaya KernelRidgeCV", 40.0),
    row("ridge", "8 features, nested", "brainalign, sampled search", 4.0),
    row("regressors", "9 features", "brainalign", 0.00012),
    row("regressors", "9 features", "nilearn", 1234.5, ratio=1e7),
    *growth("voxels", [1000, 2000, 4000], [1.0, 2.0, 4.0]),
    *growth("scans", [100, 200], [1.0, 4.0]),
]


@pytest.fixture
def results():
    machine = {"processor": "Abacus", "cores": 2, "memory_gb": 8.0, "system": "Linux"}
    return {
        "quick": False,
        "date": "2026-02-03T04:05:06+00:00",
        "machine": machine | {"versions": {"numpy": "2"}},
        "code": speed.code_digest(),
        "seconds": 600.0,
        "other_cpu_s": 120.0,
        "rows": ROWS,
    }


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book with a page about speed, and an empty cache."""
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "book").mkdir()
    (tmp_path / speed.PAGE).write_text("# Speed\n")
    return tmp_path


def keep(results, quick):
    path = speed.results_path(quick)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results))


def test_the_faster_class_of_himalaya_counts():
    seconds = speed.seconds_table(ROWS).loc["8 features, nested"]
    assert seconds["himalaya"] == 40 and seconds["brainalign, exact"] == 10
    ratios = speed.ratio_table(ROWS).loc["8 features, nested"]
    assert ratios["himalaya ÷ exact"] == 4 and ratios["himalaya ÷ sampled"] == 10
    assert ratios.isna().sum() == 2


def test_the_page_says_where_and_when(results):
    text = speed.page_text(results, "PICTURE")
    for words in ("2026-02-03", "Abacus", "numpy 2", "10 %", "300 to 300 GFLOP/s", "PICTURE"):
        assert words in text
    assert "quick version" not in text and "has changed" not in text
    changed = speed.page_text(results | {"quick": True, "code": "other"}, "")
    assert "quick version" in changed and "The code has changed since then." in changed


def test_the_tables_hold_the_rows(results):
    tables = BeautifulSoup(speed.page_text(results, ""), "html.parser").find_all("table")
    cells = [[cell.text for cell in table.find_all(["td", "th"])] for table in tables]
    assert len(tables) == 5
    assert "10.0" in cells[0] and "4.00" in cells[1]
    assert "0.00012" in cells[2] and "1,234" in cells[2]
    assert "4000 voxels" in cells[3]
    assert "2e-07" in cells[4] and "himalaya KernelRidgeCV" in cells[4]


def test_growth_is_relative_to_the_smallest_size():
    table = growth_table(ROWS)
    voxels = table[table["grows"] == "voxels"]
    assert voxels["factor"].tolist() == voxels["times"].tolist() == [1, 2, 4]
    assert exponent(voxels) == pytest.approx(1)
    assert exponent(table[table["grows"] == "scans"]) == pytest.approx(2)
    alt = growth_alt(table)
    assert "voxels from 1,000 to 4,000: 4.0 times as long, exponent 1.0" in alt
    (axes,) = growth_figure(table).axes
    assert len(axes.lines) == 3 and axes.get_xscale() == axes.get_yscale() == "log"


def test_a_page_is_written_once_for_a_benchmark(book, results):
    keep(results, quick=True)
    page = speed.write_page(book, say=pytest.fail)
    assert (book / "book/executed/speed_growth.png").stat().st_size > 1000
    before = page.stat().st_mtime_ns
    assert speed.write_page(book, say=pytest.fail).stat().st_mtime_ns == before
    keep(results | {"date": "2027-01-01"}, quick=False)
    assert "2027-01-01" in speed.write_page(book, say=pytest.fail).read_text()


def test_the_quick_benchmark_is_run_where_there_is_none(book, results, monkeypatch):
    monkeypatch.setattr(speed, "_run_quick", lambda root: keep(results, quick=True))
    said = []
    assert "Abacus" in speed.write_page(book, say=said.append).read_text()
    assert len(said) == 1 and "quick" in said[0]


def test_a_benchmark_that_fails_is_an_error_with_a_log(book):
    with pytest.raises(WorkError, match="quick benchmark") as caught:
        speed.write_page(book, say=lambda line: None)
    assert "run.py" in caught.value.log.read_text()


def test_a_book_without_the_page_needs_no_benchmark(tmp_path):
    assert speed.write_page(tmp_path, say=pytest.fail) is None
