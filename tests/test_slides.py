"""Slides: which cells they are made of, what they ask for, and how they look in a browser."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from test_browser import MISSING, check, findings, run

from brainalign.companion.compose import Part
from brainalign.companion.notebooks import read_notebook
from brainalign.companion.site import site_checks, slides

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHAPTERS = ["asymmetry", "pitfalls", "scaling_law"]
REVEAL = ROOT / "book" / "_static" / "reveal"
GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
TITLE = """# Does it grow?

It may. {cite}`bonnassegahot2024`

**What you will learn**

- one thing;
- another.

**Prerequisites.** None.
"""


def text(source, kind=None, *tags):
    metadata = {"slideshow": {"slide_type": kind}} if kind else {}
    return nbformat.v4.new_markdown_cell(source, metadata=metadata | {"tags": list(tags)})


def result(kind, **data):
    """A code cell with one output, such as a figure with its alt text."""
    described = {"image/png": {"alt": "A line & <more>", "width": 600}}
    output = nbformat.v4.new_output("display_data", data, metadata=described)
    metadata = {"slideshow": {"slide_type": kind}, "tags": []}
    return nbformat.v4.new_code_cell("secret = 1", metadata=metadata, outputs=[output])


def figure(kind="subslide"):
    return result(kind, **{"image/png": GIF, "text/plain": "A line"})


def part(study="published", *more):
    cells = [
        text(TITLE, "slide", "once"),
        text("Not for a slide.", None, "once"),
        text("## Scores\n\nUnmarked text gives the heading all the same."),
        figure(),
        text("**Figure: a line.** See [a page](other.ipynb) and $x^2$.", "-"),
        text("## Controls\n\nFeatures without language.", "slide"),
        figure(),
        text("**Figure: controls.**", "-"),
        *more,
        text("Closing, unmarked.", None, "once"),
    ]
    return Part({"study": study}, nbformat.v4.new_notebook(cells=cells))


def starts(cells):
    """First line of every slide."""
    marked = [cell for cell in cells if slides.slide_type(cell) in ("slide", "subslide")]
    return [cell.source.splitlines()[0] for cell in marked]


def test_slides_of_one_part():
    cells = slides.slide_cells([part()], "tiny")
    assert starts(cells) == [
        "# Does it grow?",
        "## What you will learn",
        "## In the paper's own numbers",
        "## Scores",
        "## Controls",
        "## Controls",
    ]
    words = "\n".join(cell.source for cell in cells)
    assert "- another." in words and "(Bonnasse-Gahot & Pallier 2024)" in words
    for absent in ("Prerequisites", "Not for a slide", "Unmarked text", "Closing", "](other"):
        assert absent not in words


def test_a_second_part_shows_its_results_only():
    cells = slides.slide_cells([part(), part("testbed")], "tiny")
    later = starts(cells)[6:]
    assert later == ["## In the simulated testbed", "## Scores", "## Controls"]
    assert [cell.source for cell in cells].count("**Figure: controls.**") == 2
    assert sum("Features without language." in cell.source for cell in cells) == 1


def test_a_result_without_figure_or_table_is_no_slide():
    empty = result("subslide", **{"text/plain": "not known", "text/markdown": "not known"})
    table = result("subslide", **{"text/html": "<table><tr><td>1</td></tr></table>"})
    assert len(starts(slides.slide_cells([part("published", empty)], "tiny"))) == 6
    assert len(starts(slides.slide_cells([part("published", table)], "tiny"))) == 7


def test_what_was_not_executed_has_no_slides(tmp_path):
    noted = Part({"study": "testbed"}, part().notebook, "Not executed yet")
    assert slides.slide_cells([noted], "tiny") == []
    bare = Part({}, nbformat.v4.new_notebook(cells=[text("# No slides", None, "once")]))
    assert slides.slide_cells([bare], "tiny") == []
    assert len(starts(slides.slide_cells([noted, part()], "tiny"))) == 6


def test_making_slides_changes_no_execution():
    one = part()
    before = nbformat.writes(one.notebook)
    first = slides.to_slides(slides.slide_cells([one], "tiny"), "Title")
    assert nbformat.writes(one.notebook) == before
    assert slides.to_slides(slides.slide_cells([one], "tiny"), "Title") == first


@pytest.fixture(scope="module")
def page():
    return slides.to_slides(slides.slide_cells([part()], "tiny"), "Does it grow? & <how>")


def test_page_says_what_it_is_and_hides_code(page):
    soup = BeautifulSoup(page, "html.parser")
    assert soup.html["lang"] == "en" and soup.title.text == "Does it grow? & <how> – slides"
    assert len(soup.find_all("main")) == 1 and "secret" not in page
    inner = [one for one in soup.find_all("section") if not one.find("section")]
    assert len(inner) == 6 and all(one.find(["h1", "h2"]) for one in inner)
    kinds = [one["data-kind"] for one in inner]
    assert kinds == ["title", "text", "text", "figure", "text", "figure"]
    images = soup.find_all("img")
    assert len(images) == 2 and {image["alt"] for image in images} == {"A line & <more>"}
    assert page.count("MathJax = ") == 1 and "$x^2$" in page


def test_page_asks_the_network_for_nothing(page):
    named = site_checks.parse(page).references
    fetched = [one.address for one in named if one.fetched and not one.address.startswith("data:")]
    static = ["reveal/reveal.css", "slides.css", "mathjax/tex-svg-full.js", "reveal/reveal.js"]
    assert sorted(fetched) == sorted(f"../_static/{name}" for name in static)
    assert all((ROOT / "book/_static" / name).is_file() for name in static)
    assert not re.search(r"https?://|[\"'(]//|\bimport\b|\brequire\(", page)
    planted = page.replace("../_static/reveal/reveal.js", "https://unpkg.com/reveal.js")
    assert any(
        one.fetched and site_checks.is_elsewhere(one.address)
        for one in site_checks.parse(planted).references
    )


@pytest.mark.parametrize(
    ("more", "length"),
    [
        ("Short.", "short"),
        ("word " * 200, "long"),
        ("word " * 400, "longer"),
    ],
)
def test_long_slides_have_smaller_letters(more, length):
    cells = slides.slide_cells([part("published", text(f"## More\n\n{more}", "slide"))], "tiny")
    soup = BeautifulSoup(slides.to_slides(cells, "T"), "html.parser")
    assert soup.find_all("section")[-1]["data-length"] == length


def test_rows_of_tables_count_as_lines():
    rows = "<table>" + "<tr><td>1</td></tr>" * 16 + "</table>"
    cells = slides.slide_cells([part("published", result("subslide", **{"text/html": rows}))], "t")
    soup = BeautifulSoup(slides.to_slides(cells, "T"), "html.parser")
    assert soup.find_all("section")[-1]["data-length"] == "long"


def test_files_and_their_list(tmp_path):
    link = slides.write_slides(tmp_path, "tiny", [part()])
    path = tmp_path / slides.FOLDER / "slides" / "tiny.html"
    assert 'href="../../slides/tiny.html"' in link and path.is_file()
    gone = path.with_name("gone.html")
    gone.write_text("slides of a chapter that left the book")
    listed = slides.write_list(tmp_path, {"other": "Other", "tiny": "Does it <grow>?"})
    assert listed.read_text() == '- <a href="../slides/tiny.html">Does it &lt;grow&gt;?</a>\n'
    assert not gone.exists()
    written = path.stat().st_mtime_ns
    slides.write_slides(tmp_path, "tiny", [part()])
    assert path.stat().st_mtime_ns == written
    noted = Part({"study": "testbed"}, part().notebook, "Not executed yet")
    assert slides.write_slides(tmp_path, "tiny", [noted]) == "" and not path.exists()
    assert "No chapter" in slides.write_list(tmp_path, {"tiny": "T"}).read_text()


def test_sphinx_copies_slides_where_there_are_some(tmp_path):
    settings = {"title": "x", "sphinx": {"config": {"html_extra_path": ["a"], "b": 1}}}
    assert slides.with_slides(settings, tmp_path) == settings
    slides.write_slides(tmp_path, "tiny", [part()])
    config = slides.with_slides(settings, tmp_path)["sphinx"]["config"]
    assert config == {"html_extra_path": ["a", "book/executed/slideshows"], "b": 1}
    assert settings["sphinx"]["config"]["html_extra_path"] == ["a"]
    bare = slides.with_slides({}, tmp_path)
    assert bare["sphinx"]["config"]["html_extra_path"] == ["book/executed/slideshows"]


def test_three_chapters_have_slides():
    found = {path.stem: read_notebook(path) for path in NOTEBOOKS}
    assert [name for name, notebook in found.items() if slides.has_slides(notebook)] == CHAPTERS
    for name in CHAPTERS:
        cells = found[name].cells
        assert slides.slide_type(cells[0]) == "slide", name
        for cell, following in zip(cells, cells[1:], strict=False):
            kind = slides.slide_type(cell)
            assert kind in ("slide", "subslide", "-", "skip"), name
            if kind == "subslide" and "_figure(" in cell.source:
                assert slides.slide_type(following) == "-", name
                assert following.source.startswith("**Figure"), name


def test_reveal_is_vendored_with_its_licence():
    assert "Permission is hereby granted, free of charge" in (REVEAL / "LICENSE").read_text()
    assert "reveal.js 5.2.1" in (REVEAL / "README").read_text()
    assert sum(path.stat().st_size for path in REVEAL.iterdir()) < 400_000
    for sheet in (REVEAL / "reveal.css", REVEAL.parent / "slides.css"):
        assert not any(map(site_checks.is_elsewhere, site_checks.css_addresses(sheet.read_text())))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Slides on disk with the book's static files, and the page of the book that they link to."""
    if MISSING:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("slides")
    slides.write_slides(folder, "tiny", [part()])
    shutil.copytree(folder / slides.FOLDER / "slides", folder / "site" / "slides")
    shutil.copytree(ROOT / "book" / "_static", folder / "site" / "_static")
    return folder / "site"


def test_slides_in_a_browser(site):
    seen = run("slides.mjs", site, {"page": "slides/tiny.html", "print": True})
    headings = [one["heading"] for one in seen["slides"]]
    assert headings[0] == "Does it grow?" and headings[3:] == ["Scores", "Controls", "Controls"]
    assert all(one["bottom"] <= 700 and one["right"] <= 1280 for one in seen["slides"])
    assert seen["formulas"] == 1 and seen["pages"] == len(headings) == 6
    assert not [*seen["errors"], *seen["console"], *seen["failed"], *seen["external"]]
    assert findings(check(site, ["slides/tiny.html"])) == []


def test_a_browser_sees_slides_that_are_too_full_or_ask_the_network(site):
    path = site / "slides" / "full.html"
    full = (site / "slides" / "tiny.html").read_text()
    full = full.replace("Features without language.", "Features. <br>" * 40)
    full = full.replace("</main>", '</main><img src="https://example.org/x.png" alt="">')
    path.write_text(full)
    seen = run("slides.mjs", site, {"page": "slides/full.html"})
    assert max(one["bottom"] for one in seen["slides"]) > 720
    assert seen["external"] == ["https://example.org/x.png"]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_slides_of_the_book_are_not_too_full(chapter):
    built = ROOT / "_build" / "html"
    if MISSING or not (built / "slides" / f"{chapter}.html").is_file():
        pytest.skip(MISSING or "the book has not been built")
    seen = run("slides.mjs", built, {"page": f"slides/{chapter}.html", "print": True})
    full = [one for one in seen["slides"] if one["bottom"] > 705 or one["right"] > 1280]
    assert full == [] and len(seen["slides"]) > 6
    assert not [*seen["errors"], *seen["console"], *seen["failed"], *seen["external"]]
