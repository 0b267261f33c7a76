"""Executing notebooks: what comes out, twice the same, and what a failure leaves behind."""

import asyncio
import gc
import json
import re
from pathlib import Path

import nbformat
import pytest
import tiny_book
from bs4 import BeautifulSoup

from brainalign.companion import WorkError
from brainalign.companion.run import plan, run_to
from brainalign.companion.targets import check_file, check_folder, check_target, publish
from brainalign.companion.webpage import plain_markdown
from brainalign.errors import InputError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return tiny_book.make_project(folder)


@pytest.fixture(autouse=True)
def inside(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(project / ".cache"))


@pytest.fixture(scope="module")
def result(project):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setenv("BRAINALIGN_CACHE", str(project / ".cache"))
        run_to(plan("tiny", {"n_boot": 200}), project / "out")
    return project / "out"


def test_a_run_leaves_everything(result):
    found = {str(path.relative_to(result)) for path in result.rglob("*") if path.is_file()}
    figures = {
        f"figures/{name}.{kind}" for name in ("up", "down") for kind in ("png", "svg", "txt")
    }
    kept = {"tiny.ipynb", "tiny.html", "table.csv", "numbers.json", "provenance.json"}
    assert found == figures | kept
    assert json.loads((result / "numbers.json").read_text()) == {"r__left_": 0.5, "n_boot": 200}
    assert not list(result.parent.glob(".brainalign-*"))


def test_the_executed_notebook_shows_the_values_used(result):
    notebook = nbformat.read(result / "tiny.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert "= 200  # bootstrap samples" in notebook.cells[1].source
    assert '= "testbed"  # whose' in notebook.cells[1].source
    assert len(notebook.cells) == len(tiny_book.tiny_cells())
    text = (result / "tiny.ipynb").read_text()
    for volatile in ("papermill", "injected", '"stderr"', "iopub", "write_modules"):
        assert volatile not in text
    streams = [o.text for c in notebook.cells for o in c.get("outputs", []) if "text" in o]
    assert streams == ["testbed 200\n"]


def test_stderr_goes_to_the_log(result):
    assert "not for the page" in plan("tiny", {"n_boot": 200}).log.read_text()


def test_provenance_says_how_it_was_made(result):
    record = json.loads((result / "provenance.json").read_text())
    assert record["parameters"] == {"study": "testbed", "n_boot": 200, "names": None}
    assert record["changed_parameters"] == {"n_boot": 200}
    assert {"python", "matplotlib", "pandas"} <= set(record["versions"])
    assert "brainalign.companion.output" in record["dependencies"]["code"]
    assert record["seconds"] > 0 and re.match(r"\d{4}-\d\d-\d\dT", record["started"])


def test_the_page_is_one_file_that_names_its_source(result):
    soup = BeautifulSoup((result / "tiny.html").read_text(), "html.parser")
    assert soup.html["lang"] == "en" and soup.title.text == "Does it grow?"
    images = soup.find_all("img")
    assert [i["alt"] for i in images] == [f"A line going {x}, 200 samples" for x in ("up", "down")]
    loaded = [tag["src"] for tag in soup.find_all(src=True)]
    assert loaded and all(source.startswith("data:") for source in loaded)
    assert not soup.find_all("link") and "@import" not in str(soup.style)
    assert "SIMULATED" in soup.main.text
    assert any("MathJax" in script.text for script in soup.find_all("script"))
    assert "brainalign run tiny -p n_boot=200 -o my-tiny" in soup.text


def test_two_runs_are_byte_identical(result, project):
    again = project / "again"
    run_to(plan("tiny", {"n_boot": 200}), again)
    for path in result.rglob("*"):
        if path.is_file() and path.name != "provenance.json":
            assert path.read_bytes() == (again / path.relative_to(result)).read_bytes(), path


def test_a_failure_names_the_cell_and_leaves_earlier_results(result, project):
    cells = tiny_book.tiny_cells()
    cells.insert(4, tiny_book.code("print('so far')\nraise KeyError('left\\nright')"))
    path = tiny_book.write_notebook(project, "failing", cells)
    before = {p: p.read_bytes() for p in result.rglob("*") if p.is_file()}
    with pytest.raises(WorkError) as caught:
        run_to(plan("failing", {}, path), result)
    path.unlink()
    assert str(caught.value) == "Notebook failing failed in code cell 3: KeyError: 'left\\nright'"
    assert "raise KeyError" in caught.value.log.read_text()
    assert {p: p.read_bytes() for p in result.rglob("*") if p.is_file()} == before
    assert not list(project.glob(".brainalign-*"))


def test_a_kernel_that_dies_is_a_failure(project):
    cells = [tiny_book.code("", "parameters"), tiny_book.code("import os\nos._exit(3)")]
    path = tiny_book.write_notebook(project, "dying", cells)
    with pytest.raises(WorkError, match="Notebook dying could not be executed: .*died"):
        run_to(plan("dying", {}, path), project / "none" / "deep")
    path.unlink()
    assert not (project / "none").exists()


def test_what_an_interrupted_cell_raises_is_not_reported_afterwards(result, caplog):
    """Nobody waits for the task of a cell that was interrupted; asyncio would say so."""

    async def interrupted():
        raise RuntimeError("late")

    loop = asyncio.new_event_loop()
    task = loop.create_task(interrupted())
    loop.run_until_complete(asyncio.wait([task]))
    del task
    gc.collect()
    loop.close()
    assert not caplog.records


def test_planning_checks_everything(project):
    for notebook, values, expected in [
        ("tinny", {}, "no notebook 'tinny'; did you mean 'tiny'"),
        ("tiny", {"n_bot": 1}, "did you mean 'n_boot'"),
        ("tiny", {"n_boot": "abc"}, "an integer from 100"),
        ("tiny", {"study": "other"}, '"published" or "testbed"'),
    ]:
        with pytest.raises(InputError, match=expected):
            plan(notebook, values)


def test_parameters_that_change_nothing_are_told():
    def idle(**values):
        return plan("scaling_law", values, ROOT / "notebooks" / "scaling_law.ipynb").idle

    assert idle(study="published", hrf="fir", voxels="all") == ["hrf"]
    assert idle(study="published", voxels="all") == idle(study="testbed", hrf="fir") == []


def test_targets_that_would_lose_files(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        check_target(tmp_path / "file", "tiny")
    with pytest.raises(InputError, match="is a file"):
        check_target(tmp_path / "file" / "below", "tiny")
    (tmp_path / "figures").mkdir()
    with pytest.raises(InputError, match="holds 'figures'"):
        check_target(tmp_path, "tiny")
    (tmp_path / "provenance.json").write_text("{}")
    with pytest.raises(InputError, match="holds 'figures'"):
        check_target(tmp_path, "tiny")
    (tmp_path / "provenance.json").write_text('{"notebook": "tiny"}')
    check_target(tmp_path, "tiny")


@pytest.mark.parametrize("name", ["tiny.ipynb", "tiny.html"])
def test_a_notebook_or_page_that_no_run_left_is_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"holds '{name}', which no run of brainalign left"):
        check_target(tmp_path, "tiny")
    check_target(tmp_path, "other")


@pytest.mark.parametrize("name", ["notebooks", "book", "book/executed", "./book/../notebooks/new"])
def test_nothing_goes_among_the_sources_of_the_book(project, name):
    own = "book" if name.startswith("book") else "notebooks"
    with pytest.raises(InputError, match=f"belongs to {own}/, from which the book is made"):
        check_folder(Path(name))
    with pytest.raises(InputError, match="from which the book is made"):
        run_to(plan("tiny", {}), project / name)
    check_folder(Path("book-of-mine"))


def test_a_file_of_another_kind_is_not_replaced(tmp_path):
    for name in ("a.md", "b.html"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="does not end with .html, so it is not replaced"):
        check_file(tmp_path / "a.md", ".html")
    with pytest.raises(InputError, match="does not end with .pdf"):
        check_file(tmp_path / "b.html", ".pdf")
    with pytest.raises(InputError, match="is a folder"):
        check_file(tmp_path, ".html")
    check_file(tmp_path / "b.html", ".html")
    check_file(tmp_path / "new", ".html")


def test_publishing_replaces_results_and_keeps_the_rest(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, names in [(old, ["figures/a", "table.csv", "mine.txt"]), (new, ["figures/b"])]:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(folder.name)
    publish(new, old)
    found = sorted(str(p.relative_to(old)) for p in old.rglob("*") if p.is_file())
    assert found == ["figures/b", "mine.txt"]
    assert not new.exists()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("(label)=\n# A", "# A"),
        ("as {cite}`key` says", "as (key) says"),
        ("{math}`x^2`", "$x^2$"),
        ("see {ref}`the text <target>`", "see the text"),
        ("[page](other.ipynb) and [web](https://x.org)", "page and [web](https://x.org)"),
        ("```python\nx\n```", "```python\nx\n```"),
        ("```{math}\nx\n```", "$$\nx\n$$"),
    ],
)
def test_book_syntax_becomes_plain(source, expected):
    assert plain_markdown(source) == expected


def test_citations_are_looked_up_in_the_book(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[1])
    found = plain_markdown("as {cite}`li2022, bonnassegahot2024` say")
    assert found == "as (Li et al. 2022; Bonnasse-Gahot & Pallier 2024) say"


def test_directives_become_boxes():
    lines = plain_markdown(":::{admonition} Mind\n:class: tip\n\nthis & that\n:::\nafter")
    soup = BeautifulSoup(lines, "html.parser")
    assert "admonition" in soup.div["class"]
    assert soup.p.text == "Mind" and "this & that" in soup.div.text
    assert "tip" not in lines and lines.endswith("after")


def test_cells_that_do_not_fit_are_left_out(project):
    """A notebook whose last part is for other parameters."""
    cells = [
        tiny_book.text("# Two parts?"),
        tiny_book.code("n: int = 1  # how many", "parameters"),
        tiny_book.code('from brainalign.companion.output import leave_out\n\nleave_out("many")'),
        tiny_book.text("One.", "one"),
        tiny_book.text("Many.", "many"),
        tiny_book.code('print("many")', "many"),
    ]
    tiny_book.write_notebook(project, "parts", cells)
    run_to(plan("parts", {}), project / "parts")
    notebook = nbformat.read(project / "parts" / "parts.ipynb", as_version=4)
    assert [cell.source for cell in notebook.cells][3:] == ["One."]
    assert not (project / "parts" / "left_out.json").exists()
