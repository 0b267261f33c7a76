"""The box that ends every part of a page: parameters, command, links, downloads."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import kept_pages
import nbformat
import pytest
import tiny_book
from bs4 import BeautifulSoup

from brainalign.arguments import build_parser
from brainalign.companion import book, cache
from brainalign.companion.parameters import parse_assignments, parse_cell, read_schema, resolve
from brainalign.companion.project import Project, book_settings, launch_links, part_links
from brainalign.companion.run import plan
from brainalign.companion.site import takeaway

UNSET = Project(("A",), "", "1")
GITHUB = Project(("A",), "https://github.com/someone/something", "1", "main")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A built website of one page with two parts; the repository is set."""
    folder = tiny_book.make_project(tmp_path_factory.mktemp("takeaway"))
    setting = folder / "pyproject.toml"
    text = re.sub(r"^# \[project.urls\]$", "[project.urls]", setting.read_text(), flags=re.M)
    address = f'[project.urls]\nRepository = "{GITHUB.repository}"'
    setting.write_text(text.replace("[project.urls]", address, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("BRAINALIGN_CACHE", str(folder / ".cache"))
        book.make_book(say=lambda line: None)
    return folder


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(folder / ".cache"))
    return folder


@pytest.fixture(scope="module")
def page(folder):
    path = folder / "_build" / "html" / "book" / "executed" / "tiny.html"
    return path, BeautifulSoup(path.read_text(), "html.parser")


@pytest.fixture(scope="module")
def boxes(page):
    return page[1].find_all(class_="brainalign-takeaway")


def test_every_part_ends_with_a_box_of_its_own(page, boxes):
    titles = [box.find(class_="admonition-title").text for box in boxes]
    assert titles == [
        "Take it with you: In the paper’s own numbers",
        "Take it with you: In the simulated testbed",
    ]
    assert all("dropdown" in box["class"] for box in boxes)
    assert all(page[1].find(id=f"take-tiny-{study}") for study in ("published", "testbed"))


def test_the_table_holds_resolved_parameters_and_marks_what_differs(boxes):
    table = boxes[0].table
    assert table.caption.text == "Parameters (In the paper's own numbers)"
    found = [[cell.text for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")]
    assert found == [
        ["parameter", "value", "default, where it differs", "meaning"],
        ["study", "published", "testbed", "whose brain responses"],
        ["n_boot", "1000", "", "bootstrap samples"],
        ["names", "None", "", "Wörter, or None"],
    ]
    assert [cell["scope"] for cell in table.thead.find_all("th")] == ["col"] * 4


def test_the_command_makes_the_part_again(inside, boxes):
    for box, execution in zip(boxes, book.plan_pages()["tiny"], strict=True):
        block = box.find(class_="highlight-bash")
        parsed = build_parser().parse_args(shlex.split(block.pre.text)[1:])
        values = parse_assignments(read_schema("tiny"), parsed.texts, "tiny")
        assert plan(parsed.notebook, values) == execution


def test_downloads_are_what_was_kept(inside, page, boxes):
    for box, execution in zip(boxes, book.plan_pages()["tiny"], strict=True):
        links = {
            a["download"] or a["href"].rpartition("/")[2]: a["href"]
            for a in box.select(".download[href]")
        }
        kept = cache.page_folder(execution)
        figures = {path.name: path for path in (kept / "figures").glob("[du]*.[ps][nv]g")}
        results = {n: kept / n for n in ("table.csv", "numbers.json", "provenance.json")}
        assert len(figures) == 4 and set(links) == {*figures, *results, "tiny.ipynb"}
        for name, source in (figures | results).items():
            assert (page[0].parent / links[name]).read_bytes() == source.read_bytes(), name


def test_a_picture_on_the_page_is_not_stored_again(folder, page, boxes):
    shown = {image["src"] for image in page[1].article.find_all("img")}
    pictures = [a["href"] for box in boxes for a in box.select('a[href$=".png"]')]
    assert len(pictures) == 4 and set(pictures) == shown
    assert not list((folder / "_build" / "html" / "_downloads").rglob("*.png"))
    assert len(list((folder / "_build" / "html" / "_downloads").rglob("*.svg"))) == 4


def test_executed_notebooks_are_not_stored_nor_offered(folder, page):
    """They hold every picture once more; the theme's own button would lead to nothing."""
    assert not (folder / "_build" / "html" / "_sources").exists()
    assert not page[1].select('a[href*="_sources"], .btn-download-source-button')
    assert page[1].select(f'a[href^="{GITHUB.repository}/issues"]')


def test_the_notebook_carries_the_parts_parameters(folder):
    path = folder / "book" / "executed" / "files" / "tiny" / "published" / "tiny.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "parameters" in code[0].metadata.tags and not any(cell.outputs for cell in code)
    schema = parse_cell(code[0].source, "tiny")
    assert schema["study"].default == "published"
    assert resolve(schema, {}, "tiny") == {"study": "published", "n_boot": 1000, "names": None}
    done = subprocess.run(
        [sys.executable, "-c", f"{code[1].source}\nprint(os.environ['BRAINALIGN_CHANGED'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"study": "published"}


def test_published_notebooks_install_the_package_on_colab_only(folder, monkeypatch):
    path = folder / "_build" / "html" / "notebooks-with-parameters" / "tiny-testbed.ipynb"
    cell = nbformat.read(path, as_version=4).cells[0]
    called = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: called.append(command))
    exec(cell.source, {})
    assert not called
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    exec(cell.source, {})
    assert called[0][1:4] == ["-m", "pip", "install"]
    assert called[0][-1] == f"brainalign @ git+{GITHUB.repository}@main"


def test_links_lead_to_published_notebooks(folder, boxes):
    site = folder / "_build" / "html"
    for box in boxes:
        binder, colab, local = (a["href"] for a in box.select("a.external"))
        pull = urlsplit(parse_qs(urlsplit(binder).query)["urlpath"][0])
        told = {name: value for name, (value,) in parse_qs(pull.query).items()}
        assert pull.path == "git-pull" and told["repo"] == GITHUB.repository
        assert told["branch"] == "gh-pages"
        top = f"lab/tree/{told['targetpath']}/"
        assert told["urlpath"].startswith(top)
        assert (site / told["urlpath"].removeprefix(top)).is_file()
        inside = "https://colab.research.google.com/github/someone/something/blob/gh-pages/"
        assert colab.startswith(inside) and (site / colab.removeprefix(inside)).is_file()
        path = unquote(urlsplit(local).path).removeprefix("/lab/tree/")
        assert local.startswith("http://localhost:8888/") and (folder / path).is_file()


@pytest.mark.parametrize(
    ("modules", "scores", "needs"),
    [
        (["brainalign.plots"], [], False),
        (["brainalign.loading"], [], True),
        (["brainalign.loading"], [{"key": "k"}], False),
        (["brainalign.loading", "brainalign.decoding"], [{"key": "k"}], True),
    ],
)
def test_parts_that_need_torch_have_no_link_to_binder(inside, monkeypatch, modules, scores, needs):
    executed = book.plan_pages()["tiny"]
    monkeypatch.setattr(cache, "read_modules", lambda folder: modules)
    monkeypatch.setattr(cache, "read_scores", lambda folder: scores)
    parts = [book.Part(execution.parameters, None) for execution in executed]
    boxes = [part.takeaway for part in takeaway.add_boxes(parts, executed, GITHUB)[0]]
    assert ["mybinder.org" in box for box in boxes] == [not needs] * 2
    assert all("colab" in box and "localhost" in box for box in boxes)


def test_binder_pulls_into_a_folder_of_its_own():
    """Whatever the repository is called: Binder has a folder `brainalign` already."""
    named = Project((), "https://github.com/someone/brainalign", "1", "main")
    address = unquote(unquote(part_links(named, "tiny", "testbed", "files")))
    assert "targetpath=pages-of-the-book" in address
    assert "lab/tree/pages-of-the-book/" in address and "lab/tree/brainalign/" not in address


def test_links_are_left_out_while_no_repository_is_set():
    assert part_links(UNSET, "tiny", "testbed", "files") == launch_links(UNSET, "tiny") == ""
    assert "html_extra_path" not in str(book_settings({}, UNSET))
    elsewhere = part_links(Project((), "https://example.org/x", "1"), "tiny", "testbed", "files")
    assert elsewhere.count("](") == 1 and "localhost" in elsewhere


def executions(*studies):
    return [SimpleNamespace(parameters={"study": study} if study else {}) for study in studies]


def test_parts_have_short_names_of_their_own(tmp_path):
    given = executions("testbed", f"{tmp_path}/my study/", "testbed", None, "testbed")
    assert takeaway.slugs(given) == ["testbed", "my-study", "testbed-2", "page", "testbed-3"]


def test_a_box_and_its_files_name_a_local_study_without_its_path(inside, tmp_path, monkeypatch):
    study = str(tmp_path / "private" / "my-study")
    one = book.plan_pages()["tiny"][1]
    own = replace(one, parameters=one.parameters | {"study": study}, changed={"study": study})
    kept_pages.keep(own)
    files = takeaway.part_files(own)
    assert {"provenance.json", "numbers.json", "tiny.ipynb"} <= set(files)
    for content in [*files.values(), takeaway.source_notebook(own, GITHUB)]:
        assert str(tmp_path).encode() not in content
    # The small notebook takes no folder, which its command would say.
    monkeypatch.setattr(takeaway, "command", lambda name, study: f"run {name} -p study={study}")
    text = takeaway.box(own, "my-study", files)
    assert str(tmp_path) not in text and "study=my-study" in text
    shutil.rmtree(cache.page_folder(own))


def test_a_box_names_its_part_only_among_several(inside):
    execution = book.plan_pages()["tiny"][1]
    text = takeaway.box(execution, "testbed", {"tiny.ipynb": b""})
    assert ":::{admonition} Take it with you\n" in text and "Parameters" in text


def test_a_large_svg_is_left_out_and_said_so(inside, monkeypatch):
    execution = book.plan_pages()["tiny"][1]
    monkeypatch.setattr(takeaway, "LARGEST_SVG", 10)
    files = takeaway.part_files(execution)
    assert "up.png" in files and "up.svg" not in files
    assert "as SVG too large" in takeaway.box(execution, "testbed", files)


def test_files_are_written_once_and_old_ones_go(tmp_path):
    files = {"files/a/x/one.csv": b"1", "files/a/y/two.csv": b"2", "published/n/a.ipynb": b"{}"}
    takeaway.write_files(tmp_path, files)
    (tmp_path / "page.ipynb").write_text("stays")
    before = (tmp_path / "files/a/x/one.csv").stat().st_mtime_ns
    takeaway.write_files(tmp_path, {"files/a/x/one.csv": b"1"})
    left = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["files/a/x/one.csv", "page.ipynb"]
    assert not (tmp_path / "files/a/y").exists() and (tmp_path / "published").is_dir()
    assert (tmp_path / "files/a/x/one.csv").stat().st_mtime_ns == before


def test_parts_that_were_not_executed_have_no_box(inside):
    executed = book.plan_pages()["tiny"]
    parts = [book.Part(execution.parameters, None, "a note") for execution in executed]
    assert takeaway.add_boxes(parts, executed, GITHUB) == (parts, {})


def test_pages_kept_without_figures_are_out_of_date(inside, tmp_path, monkeypatch):
    execution = book.plan_pages()["tiny"][1]
    assert cache.stale_reasons(execution) == []
    figures = cache.page_folder(execution) / "figures"
    figures.rename(tmp_path / "figures")
    try:
        assert cache.stale_reasons(execution) == ["figures: not kept as files"]
    finally:
        (tmp_path / "figures").rename(figures)
