"""Every repair mends what it is for, and leaves the rest as it is."""

import pytest

from brainalign.companion.site import page_repairs

PRELOAD = '<link rel="preload" as="font" type="font/woff2" crossorigin href="a.woff2" />'
SCRIPT = 'mode = localStorage.getItem("mode") || "";'
SEARCH = (
    '<button class="btn search-button-field x" title="Search" aria-label="Search">Search</button>'
)
ICON = '<button class="btn search-button" aria-label="Search"><i></i></button>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"{PRELOAD}\n<link rel='stylesheet' href='a.css'>",
            "<link rel='stylesheet' href='a.css'>",
        ),
        (
            '<link rel="preload" as="script" href="a.js">',
            '<link rel="preload" as="script" href="a.js">',
        ),
        (SCRIPT, 'mode = localStorage.getItem("mode") || "auto";'),
        (SEARCH, SEARCH.replace(' aria-label="Search"', "")),
        (ICON, ICON),
        ('<summary aria-label="Toggle hidden content">Show', "<summary>Show"),
        ('<div role="doc-biblioentry">', '<div role="listitem">'),
        (
            '<i id="search-input"><b id="search-input">',
            '<i id="search-input"><b id="search-input-of-page">',
        ),
        ('<i id="search-input">', '<i id="search-input">'),
        ('<section id="exercise-content">', "<section>"),
        (
            '<summary><span class="toctree-toggle"><i></i></span></summary>',
            '<summary aria-label="Show or hide the pages below"><span class="toctree-toggle"><i></i>'
            "</span></summary>",
        ),
        (
            '<dt>f<span class="sig-paren">(</span><dl>\n<dd><em>a</em>,</dd>\n</dl>)</dt><dl><dd>b</dd></dl>',
            '<dt>f<span class="sig-paren">(</span><span class="sig-lines">\n<span class="sig-line">'
            "<em>a</em>,</span>\n</span>)</dt><dl><dd>b</dd></dl>",
        ),
        ("<p>nothing to mend</p>", "<p>nothing to mend</p>"),
    ],
)
def test_a_page_is_mended_once(text, expected):
    assert page_repairs.repair(text) == expected
    assert page_repairs.repair(expected) == expected


def test_a_site_is_mended_and_keeps_no_templates(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "webpack-macros.html").write_text("{{ x }}")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.html").write_text(SCRIPT)
    (tmp_path / "b.html").write_text("sound")
    before = (tmp_path / "b.html").stat().st_mtime_ns
    page_repairs.repair_site(tmp_path)
    assert not (tmp_path / "_static" / "webpack-macros.html").exists()
    assert (tmp_path / "sub" / "a.html").read_text().endswith('"auto";')
    assert (tmp_path / "b.html").stat().st_mtime_ns == before
