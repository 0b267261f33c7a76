"""What notebooks leave behind, without a kernel."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from brainalign.companion import output
from brainalign.errors import InputError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_OUTPUT", str(tmp_path))
    return tmp_path


@pytest.fixture
def shown(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, **options: calls.append((data, options))
    )
    return calls


def test_figures_carry_their_alt_text_and_are_closed(folder, shown):
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    output.show(figure, "line", "A line\n from 1 to 2")
    ((data, options),) = shown
    assert options["metadata"]["image/png"]["alt"] == "A line from 1 to 2"
    assert "image/png" in data and not plt.fignum_exists(figure.number)
    assert (folder / "figures" / "line.txt").read_text() == "A line from 1 to 2\n"
    assert (folder / "figures" / "line.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "figures" / "line.svg").read_text().startswith("<?xml")


def test_equal_figures_are_equal_files():
    def draw():
        figure, axes = plt.subplots()
        axes.plot([1, 2], label="a")
        axes.legend()
        images = [output._image(figure, kind) for kind in ("png", "svg")]
        plt.close(figure)
        return images

    assert draw() == draw()


@pytest.mark.parametrize(("name", "alt"), [("a/b", "text"), ("", "text"), ("a", " \n")])
def test_figures_need_a_name_and_an_alt_text(name, alt):
    with pytest.raises(InputError):
        output.show(None, name, alt)


def test_pages_get_a_frame_of_their_own_that_reaches_nothing(folder, shown):
    page = "<html><head></head><body onload=\"go('x')\">a &amp; b</body></html>"
    output.show_page(page, "slices", 'A "map"', ratio=1.5)
    ((data, _),) = shown
    frame = BeautifulSoup(data["text/html"], "html.parser").iframe
    assert frame["title"] == 'A "map"' and frame["sandbox"] == ["allow-scripts"]
    assert frame["loading"] == "lazy"
    inner = BeautifulSoup(frame["srcdoc"], "html.parser")
    assert "default-src 'none'" in inner.head.meta["content"]
    assert inner.body.text == "a & b"
    assert "onload" in (folder / "figures" / "slices.html").read_text()
    with pytest.raises(InputError, match="no alt text"):
        output.show_page(page, "slices", " ", ratio=1.5)


def test_recorded_numbers_add_up(folder):
    output.record({"r (aSTS)": np.float32(0.5), "n_models": np.int64(9), "open": np.nan})
    output.record({"yes": np.bool_(True), "n_models": 10})
    numbers = json.loads((folder / "numbers.json").read_text())
    assert numbers == {"r__aSTS_": 0.5, "n_models": 10, "open": None, "yes": 1}


def test_only_numbers_are_recorded(folder):
    with pytest.raises(InputError, match="'name' is 'text'; a number is expected"):
        output.record({"name": "text"})
    with pytest.raises(InputError, match="have the name 'a_b'"):
        output.record({"a b": 1, "a-b": 2})
    assert not (folder / "numbers.json").exists()


def test_tables_can_be_read_by_ear_and_kept(folder, shown):
    numbers = {"n": [12345, 1, 0], "r": [-0.12345, np.nan, 0.00001]}
    frame = pd.DataFrame({"model": ["a<b", "c", "d"], **numbers, "kept": [True, False, True]})
    output.table(frame, "table", 'Scores & "more"')
    soup = BeautifulSoup(shown[0][0]["text/html"], "html.parser")
    assert soup.caption.text == 'Scores & "more"'
    assert [cell["scope"] for cell in soup.thead.find_all("th")] == ["col"] * 4
    rows = [[cell.text for cell in row.find_all(["th", "td"])] for row in soup.tbody("tr")]
    assert rows == [
        ["a<b", "12,345", "−0.123", "yes"],
        ["c", "1", "–", "no"],
        ["d", "0", "0.000", "yes"],
    ]
    assert [cell["class"] for cell in soup.tr("th")] == [
        ["short"],
        ["number"],
        ["number"],
        ["short"],
    ]
    assert soup.tbody.th["scope"] == "row"
    pd.testing.assert_frame_equal(pd.read_csv(folder / "table.csv"), frame)


def test_digits_of_a_column_follow_its_largest_number():
    wanted = {
        "0.943": 0.9431,
        "0.0273": 0.02733,
        "0.0073": 0.00734,
        "0.0013": 0.00126,
        "0.00045": 4.5e-4,
    }
    for text, value in wanted.items():
        soup = BeautifulSoup(output.html_table(pd.DataFrame({"a": [value]}), "T"), "html.parser")
        assert soup.tbody.th.text == text


def test_p_values_are_never_zero():
    values = [0.0004, 0.001, 0.0412, np.nan]
    frame = pd.DataFrame({"p": values, "q (blocks)": values, "pairs": values, "n": [1, 2, 3, 4]})
    soup = BeautifulSoup(output.html_table(frame, "T"), "html.parser")
    rows = [[cell.text for cell in row.find_all(["th", "td"])] for row in soup.tbody("tr")]
    p = ["< 0.001", "0.001", "0.041", "–"]
    assert [row[0] for row in rows] == [row[1] for row in rows] == p
    assert [row[2] for row in rows] == ["0.0004", "0.0010", "0.0412", "–"]
    assert soup.tr.th["class"] == ["number"]


def test_long_texts_may_break():
    frame = pd.DataFrame({"a": [1], "b": ["0.0016 to 0.0030"], "c": ["a text of many words, " * 3]})
    soup = BeautifulSoup(output.html_table(frame, "T"), "html.parser")
    assert [cell["class"] for cell in soup.tr("th")] == [["number"], ["short"], ["text"]]


def test_other_tables_are_only_shown(folder, shown):
    output.table(pd.DataFrame({"a": [1]}), "other", "Other")
    assert len(shown) == 1 and not (folder / "table.csv").exists()


def test_command_keeps_what_this_run_changed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(output.CHANGED_VARIABLE, json.dumps({"study": "published", "n_boot": 200}))
    command = output.command("other", n_boot=500, names=["a b", None], wide=True)
    assert command == (
        "brainalign run other -p study=published -p n_boot=500 "
        "-p 'names=[\"a b\", null]' -p wide=true -o my-other"
    )


def test_command_for_another_study_leaves_out_what_belonged_to_this_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    own = {"study": "petitprince-en", "models": ["gpt2"], "study_options": {"mask": "common"}}
    monkeypatch.setenv(output.CHANGED_VARIABLE, json.dumps(own | {"n_boot": 200}))
    assert output.command("other", study="testbed") == (
        "brainalign run other -p study=testbed -p n_boot=200 -o my-other"
    )
    assert "study_options=" in output.command("other", n_boot=300)
