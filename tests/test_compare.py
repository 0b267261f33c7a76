"""Two runs side by side: what differs is found, and the page says it."""

import base64
import json
import math

import numpy as np
import pandas as pd
import pytest
import tiny_book
from bs4 import BeautifulSoup
from matplotlib.image import imsave

from brainalign import cli
from brainalign.companion.compare import (
    Change,
    changes,
    compare,
    pixels_that_differ,
    read_run,
    split_names,
    table_changes,
)
from brainalign.errors import InputError

PARAMETERS = {"study": "testbed", "n_boot": 1000, "names": None}
NUMBERS = {"same": 0.25, "half": 2.0, "little": 100.0, "lost": 1.0, "not_finite": None}


def picture(path, corner=0.0):
    """A grey PNG of 100 pixels, one of which has another colour."""
    path.parent.mkdir(exist_ok=True)
    pixels = np.full((10, 10, 3), 0.5)
    pixels[0, 0] = 0.5 + corner
    imsave(path, pixels)


def make_run(folder, notebook="tiny", parameters=(), numbers=(), score=0.5, corner=0.0, **more):
    folder.mkdir()
    record = {
        "notebook": notebook,
        "parameters": {**PARAMETERS, **dict(parameters)},
        "started": "2026-01-01T10:00:00+00:00",
        "seconds": 2.5,
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 2},
        "git": {"commit": "abc", "dirty": True},
        "versions": {"numpy": "2.0", "pandas": "2.2"},
        "dependencies": {"code": {"brainalign.plots": "1"}, "notebook": "n"},
        **more,
    }
    (folder / "provenance.json").write_text(json.dumps(record))
    (folder / "numbers.json").write_text(json.dumps({**NUMBERS, **dict(numbers)}))
    rows = {"model": ["a", "a", "b"], "step": [1, 2, 1], "score": [0.1, score, 0.3]}
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    picture(folder / "figures" / "up.png", corner)
    picture(folder / "figures" / "down.png")
    (folder / "figures" / "up.txt").write_text("A line going up\n")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    top = tmp_path_factory.mktemp("runs")
    first = make_run(top / "first")
    second = make_run(
        top / "second",
        parameters={"n_boot": 200},
        numbers={"half": 1.0, "little": 101.0, "found": 3.0},
        score=0.75,
        corner=0.5,
        versions={"numpy": "2.1", "pandas": "2.2"},
        dependencies={"code": {"brainalign.plots": "2", "brainalign.look": "1"}, "notebook": "n"},
    )
    return first, second


@pytest.fixture(scope="module")
def page(folders, tmp_path_factory):
    target = tmp_path_factory.mktemp("page") / "comparison.html"
    assert compare(*folders, target) == target
    return BeautifulSoup(target.read_text(), "html.parser")


def rows(page, caption):
    (table,) = [t for t in page.find_all("table") if t.caption.text.startswith(caption)]
    return [
        [cell.text for cell in row.find_all(["th", "td"])] for row in table.tbody.find_all("tr")
    ]


def test_a_change_of_a_number():
    change = Change("x", 2.0, 1.0)
    assert (change.difference, change.ratio, change.relative) == (-1.0, 0.5, 0.5)
    assert Change("x", 0.0, 3.0).ratio is None and Change("x", 0.0, 3.0).relative == 1.0
    assert Change("x", None, 3.0).relative == math.inf and Change("x", 3.0, None).ratio is None
    assert Change("x", None, None).equal and Change("x", 0, 0.0).equal
    assert Change("x", 1.0, 1.0 + 1e-12).equal and not Change("x", 1.0, 1.0 + 1e-6).equal


def test_the_largest_relative_change_comes_first():
    first = {"a": 1.0, "big": 1e6, "half": 2.0, "gone": 5, "null": None}
    second = {"null": 1.0, "half": 1.0, "a": 1.0, "big": 1e6 + 10, "new": 1}
    assert [change.name for change in changes(first, second)] == ["null", "half", "big", "a"]
    assert split_names(first, second)[1:] == (["gone"], ["new"])


def test_rows_are_told_apart_by_text_then_by_whole_numbers():
    table = pd.DataFrame({"model": ["a", "a"], "step": [1, 2], "score": [0.5, None]})
    other = table.assign(score=[0.5, 1.0])[["score", "model", "step"]]
    found = table_changes(table, other)
    assert found.keys == ["model", "step"] and found.n_shared == 2
    assert [row[:3] + row[4:] for row in found.rows] == [("a", 2, "score", 1.0)]
    shorter = table_changes(table, other.iloc[1:])
    assert list(shorter.only_first) == [("a", 1)] and not shorter.only_second


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (None, "left no table"),
        (pd.DataFrame({"model": ["a"], "r": [1.0]}), "columns: r, score"),
        (pd.DataFrame({"model": ["a", "a"], "score": [1.0, 2.0]}), "names the rows"),
    ],
)
def test_tables_that_cannot_be_compared(other, why):
    assert why in table_changes(pd.DataFrame({"model": ["a"], "score": [1.0]}), other).why_not


def test_pixels_are_counted(folders):
    first, second = (read_run(folder).figures for folder in folders)
    assert pixels_that_differ(first["up"]["png"], second["up"]["png"]) == 0.01
    assert pixels_that_differ(first["down"]["png"], second["down"]["png"]) == 0


def test_the_page_says_what_differs(page):
    said = [item.text for item in page.ul.find_all("li")]
    assert said == [
        "1 of 3 shared parameters differ",
        "2 of 5 shared numbers differ",
        "1 of 3 shared table rows differ",
        "1 of 2 shared figures differ",
    ]
    assert rows(page, "Parameters")[0] == ["n_boot", "1000", "200", "differs"]
    assert rows(page, "Parameters")[2] == ["names", "None", "None", "same"]
    assert rows(page, "Numbers that differ") == [
        ["half", "2", "1", "−1", "0.5"],
        ["little", "100", "101", "1", "1.01"],
    ]
    assert rows(page, "Equal") == [["same", "0.25"], ["lost", "1"], ["not_finite", "–"]]
    assert rows(page, "Only in B") == [["found", "3"]]
    assert rows(page, "Cells") == [["a", "2", "score", "0.5", "0.75", "0.25"]]
    assert rows(page, "Versions") == [["numpy", "2.0", "2.1"]]
    text = page.main.text
    assert "Changed, modules of brainalign: brainalign.plots." in text
    assert "Used by B only, modules of brainalign: brainalign.look." in text
    assert "different notebooks" not in text


def test_figures_stand_side_by_side(page, folders):
    names = [heading.text for heading in page.find_all("h3")]
    pairs = page.find_all(class_="pair")
    assert names == ["down", "up"]
    assert [len(pair.find_all("img")) for pair in pairs] == [1, 2]
    assert "Identical: every pixel is the same." in page.main.text
    assert "1.0 % of the pixels differ." in page.main.text
    images = pairs[1].find_all("img")
    assert [image["alt"] for image in images] == ["A line going up"] * 2
    kept = [base64.b64decode(image["src"].partition(",")[2]) for image in images]
    assert kept == [(folder / "figures" / "up.png").read_bytes() for folder in folders]


def test_the_page_is_self_contained_and_can_be_read_by_ear(page):
    assert page.html["lang"] == "en" and page.title.text == page.h1.text
    assert not page.find_all("script") and not page.find_all("link")
    assert all(image["src"].startswith("data:image/") for image in page.find_all("img"))
    for table in page.find_all("table"):
        assert table.caption.text and all(cell["scope"] for cell in table.find_all("th"))
        assert all(cell.text for cell in table.thead.find_all("th"))
        region = table.parent
        assert region["role"] == "region" and region["tabindex"] == "0" and region["aria-label"]
    levels = [int(heading.name[1]) for heading in page.find_all(["h1", "h2", "h3"])]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_the_same_runs_give_the_same_page_and_equal_ones_no_difference(folders, tmp_path):
    pages = [compare(*folders, tmp_path / name).read_bytes() for name in ("a.html", "b.html")]
    assert pages[0] == pages[1]
    text = compare(folders[0], folders[0], tmp_path / "c.html").read_text()
    said = [item.text for item in BeautifulSoup(text, "html.parser").ul.find_all("li")]
    assert [sentence.split(" of ")[0] for sentence in said] == ["0"] * 4
    assert "All 3 shared rows of table.csv agree." in text


def test_different_notebooks_share_what_they_share(folders, tmp_path):
    other = make_run(tmp_path / "other", notebook="another")
    for path in [other / "table.csv", *(other / "figures").glob("up.*")]:
        path.unlink()
    text = compare(folders[0], other, tmp_path / "page.html").read_text()
    assert "<h1>tiny and another compared</h1>" in text and "different notebooks" in text
    assert "The tables cannot be compared." in text and "Only in A." in text
    assert "0 of 5 shared numbers differ" in text


def make_record(folder, **changes):
    path = folder / "provenance.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-60])


def scores(models, key, options="{}", hrf="glover"):
    how = json.dumps({"hrf": hrf, "activations": {"window": None}})
    return {f"{model} on testbed {options} {how}": f"{key}-{model}" for model in models}


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (scores("abc", "k", '{"asymmetry": 1.0}'), "Both read the same 3 brain scores."),
        (
            scores("abc", "l", hrf="glover_impulse"),
            "The same 3 models on testbed, fitted with other settings: hrf (glover in A, "
            "glover_impulse in B).",
        ),
        (
            scores("abc", "l"),
            "The same 3 models on testbed, fitted to other data or by other code.",
        ),
        (
            {**scores("a", "k"), **scores("b", "l", '{"asymmetry": 0}'), **scores("d", "k")},
            "Both read one and the same brain score. The same model b on testbed, fitted with other "
            "settings: asymmetry (not stated in A, 0 in B). Used by A only, brain scores that were "
            "read: c on testbed. Used by B only, brain scores that were read: d on testbed.",
        ),
    ],
)
def test_scores_of_the_same_models_are_not_listed_twice(tmp_path, second, said):
    runs = [
        make_run(tmp_path / name, dependencies={"scores": found})
        for name, found in (("first", scores("abc", "k")), ("second", second))
    ]
    text = compare(*runs, tmp_path / "page.html").read_text()
    paragraphs = [p.text for p in BeautifulSoup(text, "html.parser").find_all("p")]
    assert said in paragraphs


def test_a_file_that_is_no_page_is_not_replaced(folders, tmp_path):
    own = tmp_path / "CHANGELOG.md"
    own.write_text("mine")
    with pytest.raises(InputError, match="does not end with .html, so it is not replaced"):
        compare(*folders, own)
    assert own.read_text() == "mine"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda f: (f / "provenance.json").unlink(), "has no provenance.json;"),
        (lambda f: (f / "numbers.json").write_text("[1]"), "numbers.json is not a JSON object"),
        (lambda f: (f / "provenance.json").write_text("{"), "provenance.json is not a JSON object"),
        (lambda f: (f / "provenance.json").write_text("{}"), "names no notebook"),
        (lambda f: (f / "table.csv").write_text(""), "table.csv is no table"),
        (lambda f: make_record(f, parameters=["a"]), "run': its parameters are no names"),
        (lambda f: cut_off(f / "figures" / "up.png"), "run': up.png is no whole picture"),
        (lambda f: (f / "figures" / "up.png").write_text("svg"), "up.png is no whole picture"),
    ],
)
def test_bad_folders_are_refused(tmp_path, spoil, expected):
    folder = make_run(tmp_path / "run")
    spoil(folder)
    with pytest.raises(InputError, match=expected):
        read_run(folder)


def test_the_command_on_two_real_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tiny_book.make_project(tmp_path / "project"))
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    for name, n_boot in (("one", 100), ("two", 200)):
        assert cli.main(["run", "tiny", "-p", f"n_boot={n_boot}", "-o", name]) == 0
    capsys.readouterr()
    assert cli.main(["compare", "one", "two"]) == 0
    assert capsys.readouterr().out == "my-comparison.html\n"
    page = BeautifulSoup((tmp_path / "project" / "my-comparison.html").read_text(), "html.parser")
    assert rows(page, "Parameters")[0] == ["n_boot", "100", "200", "differs"]
    assert rows(page, "Numbers that differ") == [["n_boot", "100", "200", "100", "2"]]
    assert [h.text for h in page.find_all("h3")] == ["down", "up"]
    assert page.find("img")["alt"] == "A line going down, 100 samples"
    for arguments, expected in [
        (["one", "nowhere"], "There is no folder 'nowhere'"),
        (["one", "two", "-o", "one"], "Output 'one' is a folder"),
    ]:
        assert cli.main(["compare", *arguments]) == 2
        assert expected in capsys.readouterr().err
