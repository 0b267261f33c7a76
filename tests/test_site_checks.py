"""Links, anchors, requests and sizes of a site, each with a planted fault."""

import re
import shutil

import pytest
from tiny_book import make_project

from brainalign.companion import WorkError
from brainalign.companion.site import site_checks, website

PAGE = '<html><body><h1 id="one">One</h1>{}</body></html>'


@pytest.fixture
def site(tmp_path):
    """Two pages that refer to each other in every way that holds, an image and a style sheet."""
    (tmp_path / "part").mkdir()
    (tmp_path / "x y.png").write_bytes(b"x" * 1000)
    (tmp_path / "style.css").write_text(
        "/* url(https://example.org/comment) */ a { b: url('x y.png') }"
    )
    good = """
        <a href="part/two.html#two%C3%A9">a</a><a href="#one">b</a><a href="#">c</a><a href="#top">d</a>
        <a href="part/">e</a><a href="https://example.org/#x">f</a><a href="mailto:a@example.org">g</a>
        <img src="x%20y.png" srcset="x%20y.png 1x, x%20y.png 2x"><img src="data:image/png;base64,AA">
        <link rel="license" href="https://example.org"><link rel="stylesheet" href="style.css">
        <a href="style.css?v=1">h</a><style>b { c: url(#one) }</style>
    """
    (tmp_path / "index.html").write_text(PAGE.format(good), encoding="utf-8")
    refresh = '<meta http-equiv="Refresh" content="0; url=two.html">'
    (tmp_path / "part" / "index.html").write_text(refresh)
    two = '<a name="twoé"></a><a href="../index.html#one">back</a>'
    (tmp_path / "part" / "two.html").write_text(PAGE.format(two), encoding="utf-8")
    return tmp_path


def plant(site, html):
    path = site / "part" / "two.html"
    path.write_text(path.read_text("utf-8").replace("</body>", f"{html}</body>"), encoding="utf-8")


def test_a_sound_site_has_no_problems(site):
    assert site_checks.site_problems(site) == []


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ('<a href="three.html">', "<a> three.html: there is no such file"),
        ('<a href="../index.html#two">', "<a> ../index.html#two: there is no such anchor"),
        ('<a href="#nowhere">', "<a> #nowhere: there is no such anchor"),
        ('<a href="../../other.html">', "<a> ../../other.html: it leaves the site's folder"),
        ('<a href="/index.html">', "<a> /index.html: it leaves the site's folder"),
        ('<img src="y.png">', "<img> y.png: there is no such file"),
        ('<img srcset="y.png 2x">', "<img> y.png: there is no such file"),
        (
            '<meta http-equiv="refresh" content="0; url=x.html">',
            "<meta> x.html: there is no such file",
        ),
        ('<p id="one">', "the identifier 'one' is repeated"),
        ('<script src="https://example.org/a.js"></script>', "<script> https://example.org/a.js"),
        ('<img src="//example.org/a.png">', "<img> //example.org/a.png"),
        ('<link rel="preconnect" href="https://example.org">', "<link> https://example.org"),
        ('<p style="background: url(https://example.org/b)">', "<p> https://example.org/b"),
        ('<style>@import "https://example.org/c";</style>', "<style> https://example.org/c"),
        (
            '<iframe srcdoc="&lt;img src=&quot;https://example.org/d&quot;&gt;">',
            "<img> https://example.org/d",
        ),
    ],
)
def test_planted_faults_are_found(site, html, said):
    plant(site, html)
    assert site_checks.site_problems(site) == [f"part/two.html: {said}"]


def test_style_sheets_that_ask_the_web_are_found(site):
    (site / "style.css").write_text("a { b: url(https://example.org/font) }")
    assert site_checks.site_problems(site) == ["style.css: https://example.org/font"]


def test_pages_and_sites_that_are_too_large_are_found(site):
    pages = site_checks.read_site(site)
    index = site / "index.html"
    assert site_checks.page_bytes(index, pages[index]) == index.stat().st_size + 1000
    total = sum(path.stat().st_size for path in site.rglob("*") if path.is_file())
    assert site_checks.over_budget(site, pages, total, total) == []
    assert site_checks.over_budget(site, pages, total - 1, total)[0].startswith("the site: 0.0 MB")
    (found,) = site_checks.over_budget(site, pages, total, 1000)
    assert found.startswith("index.html: ") and found.endswith("of at most 0.001")
    assert (site_checks.SITE_BUDGET, site_checks.PAGE_BUDGET) == (60_000_000, 4_000_000)


def test_a_book_that_was_copied_is_not_built_again(tmp_path):
    first = make_project(tmp_path / "first")
    again = tmp_path / "again"
    shutil.copytree(first, again)
    assert website.inputs_digest(again) == website.inputs_digest(first)
    (again / "book" / "index.md").rename(again / "book" / "other.md")
    assert website.inputs_digest(again) != website.inputs_digest(first)


@pytest.mark.parametrize(
    ("page", "said"),
    [("<a href='b.html'>", r"index.html: <a> b.html: there is no such file\."), ("x" * 70, "")],
)
def test_a_book_with_problems_is_refused(tmp_path, monkeypatch, page, said):
    """Jupyter Book is played by a function that writes one page."""

    def jupyter_book(root, builder, log):
        (root / "_build" / builder).mkdir(parents=True)
        (root / "_build" / builder / "index.html").write_text(f"<p>{page}</p>")
        log.parent.mkdir(parents=True, exist_ok=True)
        return False

    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / ".cache"))
    monkeypatch.setattr(website, "call_jupyter_book", jupyter_book)
    monkeypatch.setattr("brainalign.companion.site.artwork.write_artwork", lambda root: None)
    if not said:
        told = []
        index = website.build(tmp_path, told.append)
        assert index == tmp_path / "_build" / "html" / "index.html"
        assert website.build(tmp_path, told.append) == index
        assert len(told) == 1 and re.match(r"Building the website, .*; log: /\S+\.log", told[0])
        return
    with pytest.raises(WorkError, match=said) as caught:
        website.build(tmp_path)
    assert "b.html" in caught.value.log.read_text()
    assert not (tmp_path / "_build" / "inputs.txt").exists()
