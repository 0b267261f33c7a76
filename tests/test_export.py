"""The book in one file, without a browser; in one: test_browser."""

import re
from collections import Counter

import pytest
from bs4 import BeautifulSoup

from brainalign.cli import main
from brainalign.companion import WorkError
from brainalign.companion.site import export, site_checks


@pytest.fixture(scope="module")
def page(small_website, tmp_path_factory):
    """Folder with the one file, and its tree."""
    folder = tmp_path_factory.mktemp("one")
    (folder / "book.html").write_text(export.one_file(small_website), encoding="utf-8")
    return folder, BeautifulSoup((folder / "book.html").read_text("utf-8"), "html.parser")


def test_it_asks_for_no_other_file_and_its_links_hold(page):
    folder, soup = page
    pages = site_checks.read_site(folder)
    assert site_checks.dead_links(folder, pages) == []
    assert site_checks.repeated_identifiers(folder, pages) == []
    assert site_checks.requests_elsewhere(folder, pages) == []
    (found,) = pages.values()
    assert all(one.address.startswith(("data:", "#")) for one in found.references if one.fetched)
    assert not soup.find_all(["script", "link", "img"], src=re.compile("^(?!data:)"))


def test_it_has_all_pages_in_order_under_one_title(page):
    _, soup = page
    articles = [article["id"] for article in soup.select("article")]
    assert articles == ["book-index", "book-executed-tiny", "book-executed-choice", "book-words"]
    assert [h.text for h in soup.find_all("h1")] == ["Start"]
    assert [h.text for h in soup.select("article h2")] == [
        "Does it grow?",
        "Which voxels?",
        "Words",
    ]
    assert [a["href"] for a in soup.select("nav a")] == [f"#{name}" for name in articles]
    assert "angular gyrus" in soup.find(id="book-words").text
    assert soup.select_one("article a", string="the words")["href"] == "#book-words"


def test_pictures_keep_their_alt_texts_and_tables_their_numbers(page, small_website):
    _, soup = page
    site = BeautifulSoup((small_website / "book/executed/tiny.html").read_text(), "html.parser")
    mine = soup.find(id="book-executed-tiny")
    assert [i["alt"] for i in mine("img")] == [i["alt"] for i in site.select("article img")]
    tables = site.select("article .brainalign-table")
    assert len(mine.select(".brainalign-table")) == len(tables) > 0


def test_identifiers_that_pages_share_are_told_apart(tmp_path):
    """Two pages with the same identifiers, each with links and labels to its own."""
    body = (
        '<article class="bd-article"><section id="{0}"><h1>{0}</h1><a href="#same">own</a>'
        '<a href="{1}.html#same">other</a><a href="files/x.csv">x</a><i id="same">{0}</i>'
        '<b aria-labelledby="same only-{0}" id="only-{0}"></b></section></article>'
    )
    nav = '<nav class="bd-docs-nav"><a href="a.html">a</a><a href="b.html">b</a></nav>'
    for name, other, head in [("a", "b", '<link rel="next" href="b.html">'), ("b", "a", "")]:
        html = (
            f"<html><head><title>{name}</title>{head}</head><body>{nav}{body.format(name, other)}"
        )
        (tmp_path / f"{name}.html").write_text(html)
    (tmp_path / "index.html").write_text((tmp_path / "a.html").read_text())
    (tmp_path / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=a.html">')
    soup = BeautifulSoup(export.one_file(tmp_path), "html.parser")
    counts = Counter(tag["id"] for tag in soup.find_all(id=True))
    assert set(counts.values()) == {1}
    links = {
        a.text: [x["href"] for x in soup.find_all("a", string=a.text)] for a in soup.select("a")
    }
    assert links["own"] == ["#a--same", "#b--same"] and links["other"] == ["#b--same", "#a--same"]
    assert "x" not in links
    assert soup.find(id="only-b")["aria-labelledby"] == "b--same only-b"
    assert soup.find(id="b--same").text == "b"


def test_style_sheets_hold_what_they_name(tmp_path):
    (tmp_path / "x.png").write_bytes(b"x")
    (tmp_path / "two.css").write_text("b { c: d }")
    (tmp_path / "one.css").write_text(
        '@import url("two.css");@import "gone.css"; a { b: url(x.png?v=1); c: url(#d) }'
    )
    text = export.inline_css(tmp_path / "one.css")
    assert text == "b { c: d } a { b: url(data:image/png;base64,eA==); c: url(#d) }"


def test_the_command_says_what_is_missing(tmp_path, monkeypatch, capsys, small_website):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr("brainalign.companion.notebooks.book_root", lambda: tmp_path)
    assert main(["export", "html"]) == 1
    assert "`brainalign book` builds it" in capsys.readouterr().err
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(WorkError, match="brainalign export html"):
        export.print_pdf(tmp_path / "x.html", tmp_path / "x.pdf")


def test_where_the_sandbox_is_refused_the_pdf_is_printed_without(tmp_path, monkeypatch):
    browser = tmp_path / "chromium"
    # Prints without the sandbox only, as where user namespaces are not allowed.
    browser.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--no-sandbox*) ;; *) echo "No usable sandbox!" >&2; exit 1 ;; esac\n'
        'for word; do case $word in --print-to-pdf=*) echo PDF > "${word#*=}" ;; esac; done\n'
    )
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(export, "CHROMIUM", ("chromium",))
    export.print_pdf(tmp_path / "x.html", tmp_path / "x.pdf")
    assert (tmp_path / "x.pdf").read_text() == "PDF\n"
    browser.write_text("#!/bin/sh\necho 'It is broken.' >&2; exit 1\n")
    with pytest.raises(WorkError, match="wrote no PDF: It is broken"):
        export.print_pdf(tmp_path / "x.html", tmp_path / "y.pdf")


def test_a_file_of_another_kind_is_not_replaced(tmp_path, monkeypatch, capsys, small_website):
    """Before anything is built, which takes minutes."""
    monkeypatch.chdir(small_website.parents[1])
    monkeypatch.setattr("brainalign.companion.site.website.build", lambda *_: 1 / 0)
    own = tmp_path / "README.md"
    own.write_text("mine")
    for kind in ("html", "pdf"):
        assert main(["export", kind, "-o", str(own)]) == 2
        assert f"does not end with .{kind}, so it is not replaced" in capsys.readouterr().err
    assert own.read_text() == "mine"


def test_a_file_over_its_budget_is_refused(tmp_path, monkeypatch, small_website):
    root = small_website.parents[1]
    monkeypatch.chdir(root)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(root / ".cache"))
    target = tmp_path / "book.html"
    assert export.export("html", target) == target and target.stat().st_size > 1_000_000
    first = target.read_bytes()
    export.export("html", target)
    assert target.read_bytes() == first
    monkeypatch.setattr(export, "ONE_FILE_BUDGET", 1_000_000)
    with pytest.raises(WorkError, match="of at most 1"):
        export.export("html", target)
    assert target.read_bytes() == first
