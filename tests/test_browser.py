"""Pages in a real browser, from disk: scripts, console, images, requests, axe-core, width, focus.

A small website is built and looked at, then the same one with faults planted, then the whole book
where it has been built. Needs Debian's chromium, node, and the packages of tests/browser.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from brainalign.companion.site import export, site_checks

BROWSER = Path(__file__).with_name("browser")
ALLOWED = json.loads((BROWSER / "allowed.json").read_text(encoding="utf-8"))
GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
# A planted fault: what is put into a page, and the gate and words by which it is found.
FAULTS = {
    "script": ("<script>throw new Error('planted')</script>", "errors", "planted"),
    "console": ("<script>console.warn('planted')</script>", "console", "planted"),
    "image": ('<img src="missing.png" alt="none">', "images", "missing.png"),
    "file": ('<link rel="stylesheet" href="missing.css">', "failed", "missing.css"),
    "outside": (
        '<img src="https://example.org/x.png" alt="none">',
        "external",
        "https://example.org/x.png",
    ),
    "fetch": (
        "<script>fetch('https://example.org/data.json').catch(() => null)</script>",
        "external",
        "https://example.org/data.json",
    ),
    "beyond": ('<img src="../../../beyond.png" alt="none">', "external", "beyond.png"),
    "alt": (f'<img src="data:image/gif;base64,{GIF}">', "axe", "image-alt"),
    "button": ("<button></button>", "axe", "button-name"),
    "contrast": ('<p style="color: #999; background: #eee">pale</p>', "axe", "color-contrast"),
    "dark": ('<p style="color: #222">for the light page only</p>', "axe", "light page only"),
    "wide": ('<div id="wide" style="width: 900px">wide</div>', "wide", "div"),
    "focus": ('<button tabindex="-1">not by keyboard</button>', "unfocused", "not by keyboard"),
}
CHOICES = ("all", "reliable", "none")
GATES = ("errors", "console", "failed", "external", "images", "axe", "wide", "unfocused")


def _missing() -> str:
    """What a browser test lacks on this machine; empty where nothing is missing."""
    if not any(map(shutil.which, export.CHROMIUM)):
        return "chromium is not installed"
    if not shutil.which("node"):
        return "node is not installed"
    code = 'require.resolve("playwright-core"); require.resolve("axe-core/axe.min.js")'
    done = subprocess.run(["node", "-e", code], cwd=BROWSER, capture_output=True)
    return "npm has not installed the packages of tests/browser" if done.returncode else ""


MISSING = _missing()


def leave_out(why: str) -> None:
    """Skip a test; fail on GitHub, whose workflows have just installed the browser's packages."""
    (pytest.fail if os.environ.get("GITHUB_ACTIONS") else pytest.skip)(why)


def run(script: str, site: Path, settings: dict) -> dict:
    """Run one of the scripts of tests/browser on a site."""
    chromium = next(filter(None, map(shutil.which, export.CHROMIUM)))
    command = ["node", str(BROWSER / script), chromium, str(site), json.dumps(settings)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pages_of(site: Path) -> list[str]:
    """Pages of a site that do not lead on to another one at once."""
    found = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    leads_on = re.compile('<meta http-equiv="refresh"', re.IGNORECASE)
    return [name for name in found if not leads_on.search((site / name).read_text("utf-8"))]


def check(site: Path, pages: list[str], **settings) -> dict:
    return run("check.mjs", site, {"pages": pages, "allowed": ALLOWED, **settings})


def findings(report: dict) -> list[str]:
    """All findings, a line each."""
    return [
        f"{page}: {gate}: {one}"
        for page, r in report.items()
        for gate in GATES
        for one in r.get(gate, [])
    ]


def test_on_github_no_browser_is_a_failure(monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with pytest.raises(pytest.fail.Exception, match="none"):
        leave_out("none")
    monkeypatch.delenv("GITHUB_ACTIONS")
    with pytest.raises(pytest.skip.Exception, match="none"):
        leave_out("none")


@pytest.fixture(scope="module")
def site(request):
    """The small website."""
    if MISSING:
        leave_out(MISSING)
    return request.getfixturevalue("small_website")


@pytest.fixture(scope="module")
def faulty(site, tmp_path_factory):
    """Report of a page with all faults planted, and static findings of its site."""
    folder = tmp_path_factory.mktemp("faulty") / "site"
    shutil.copytree(site, folder)
    page = folder / "book" / "words.html"
    sound = page.read_text(encoding="utf-8")
    planted = "".join(html for html, _, _ in FAULTS.values())
    assert sound.count("</article>") == 1
    page.write_text(sound.replace("</article>", f"{planted}</article>"), encoding="utf-8")
    return check(folder, ["book/words.html"])["book/words.html"]


def test_the_small_site_passes_every_gate(site, tmp_path):
    report = check(site, pages_of(site), shots=str(tmp_path / "shots"))
    assert len(report) >= 4
    assert findings(report) == []
    assert site_checks.site_problems(site) == []
    shots = {path.name for path in (tmp_path / "shots").iterdir()}
    assert {f"book-words-{kind}.png" for kind in ("light", "dark", "narrow")} <= shots


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(faulty, name):
    _, gate, words = FAULTS[name]
    assert words in json.dumps(faulty[gate])


def test_nothing_but_the_planted_faults_is_found(faulty):
    planted = [(gate, words) for _, gate, words in FAULTS.values()]
    for gate in set(GATES) - {"console"}:  # where Chromium also writes what it could not load
        expected = [words for other, words in planted if other == gate]
        if gate in ("images", "failed"):  # of the images and files of the other gates
            expected += ["example.org", "beyond.png", "missing.png"]
        for one in faulty[gate]:
            assert any(words in json.dumps(one) for words in expected), (gate, one)


def test_the_list_of_allowed_findings_says_why():
    for entry in ALLOWED:
        assert set(entry) == {"rule", "selector", "reason"}
        assert len(entry["reason"].split()) > 5


def test_the_page_on_accessibility_tells_what_is_let_pass():
    page = (Path(__file__).parents[1] / "book" / "accessibility.md").read_text(encoding="utf-8")
    told = page.partition("## What is let pass")[2]
    assert ("At present none is let pass." in told) == (not ALLOWED)
    for entry in ALLOWED:
        assert f"`{entry['rule']}`" in told and entry["reason"] in told


def test_what_a_reader_does(site):
    index, words = "book/index.html", "book/words.html"
    settings = {
        "search": {"page": index, "words": "angular gyrus"},
        "copy": {"page": words, "selector": "button.copybtn"},
        "fold": {"page": words, "selector": ".solution"},
        "theme": {"page": words},
        "explorer": {"page": "book/executed/choice.html", "presses": 2},
    }
    report = run("interact.mjs", site, settings)
    assert [name for name in report if "failed" in report[name]] == [], report
    for name, entry in report.items():
        assert not any(entry["seen"].values()), (name, entry["seen"])
    found = {name: entry["found"] for name, entry in report.items()}
    assert {"Words", "Start"} <= {title for title, _ in found["search"]}
    assert found["copy"]["copied"].strip() == found["copy"]["expected"].strip() != ""
    shut, opened, again = found["fold"]
    assert opened > shut + 10 and again == shut
    assert len(set(found["theme"])) == 2, found["theme"]
    check_explorer(found["explorer"])


def check_explorer(found: list[dict]) -> None:
    """What is shown changes as a whole with each choice, and is said aloud."""
    assert [one["alts"] for one in found] == [[f"A line for {name}"] for name in CHOICES]
    assert len({tuple(one["images"]) for one in found}) == len(CHOICES)
    for name, one in zip(CHOICES, found, strict=True):
        assert [f"{name}{len(name)}" in text for text in one["tables"]] == [True]
        assert [text for text in one["texts"] if f'voxels = "{name}"' in text]
        assert [f"voxels={name}" in text for text in one["commands"]] == [True]
    assert found[0]["status"] == "" and "reliable" in found[1]["status"]
    assert found[2]["hash"].endswith("voxels=none")


def test_the_book_in_one_file_passes_every_gate(site, tmp_path):
    text = export.one_file(site)
    (tmp_path / "book.html").write_text(text, encoding="utf-8")
    report = check(tmp_path, ["book.html"])
    assert findings(report) == []
    settings = {
        "follow": {"page": "book.html", "text": "the words"},
        "copy": {"page": "book.html", "selector": "button.copybtn"},
        "fold": {"page": "book.html", "selector": ".solution"},
        "formula": {"page": "book.html"},
    }
    report = run("interact.mjs", tmp_path, settings)
    for name, entry in report.items():
        assert "failed" not in entry and not any(entry["seen"].values()), (name, entry)
    assert report["follow"]["found"] == {"anchor": "#book-words", "heading": "Words", "seen": True}
    assert report["copy"]["found"]["copied"].strip()
    assert report["fold"]["found"][1] > report["fold"]["found"][0] + 10
    assert report["formula"]["found"] >= 2


def test_the_book_on_paper_has_an_outline_and_tags(site, tmp_path):
    page = tmp_path / "book.html"
    page.write_text(export.one_file(site), encoding="utf-8")
    export.print_pdf(page, tmp_path / "book.pdf")
    content = (tmp_path / "book.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    for words in (b"/Outlines", b"/StructTreeRoot", b"/Title (Words)", b"/Lang (en)"):
        assert words in content, words


def test_headings_at_the_top_of_a_page_stand_once_in_the_outline(tmp_path):
    own = (BROWSER.parents[1] / "book" / "_static" / "brainalign.css").read_text(encoding="utf-8")
    style = f"h2 {{ line-height: 1.15; break-after: avoid }} {own}"
    words = [f"<h2>Part {n} ends</h2><p>{'word ' * (20 + n * 37 % 200)}</p>" for n in range(150)]
    page = tmp_path / "page.html"
    page.write_text(f"<title>t</title><style>{style}</style>{''.join(words)}")
    export.print_pdf(page, tmp_path / "page.pdf")
    titles = re.findall(rb"/Title \(Part([^)]*)\)", (tmp_path / "page.pdf").read_bytes())
    assert len(titles) == 150
    assert not any(b"Part" in one for one in titles)


def _whole_site() -> Path:
    named = os.environ.get("BRAINALIGN_SITE")
    return Path(named) if named else Path(__file__).parents[1] / "_build" / "html"


@pytest.fixture(scope="module")
def whole():
    """The whole book, built before."""
    folder = _whole_site()
    if MISSING:
        leave_out(MISSING)
    if not (folder / "index.html").is_file():
        pytest.skip("the book has not been built here (make book), and BRAINALIGN_SITE names none")
    return folder


def test_the_whole_book_passes_every_gate(whole):
    report = check(whole, pages_of(whole), shots=os.environ.get("BRAINALIGN_SHOTS"))
    assert len(report) > 20
    assert findings(report) == []
    used = {number for entry in report.values() for number in entry.get("used", [])}
    assert used == set(range(len(ALLOWED))), "an allowed finding is no longer there; take it out"
    assert site_checks.site_problems(whole) == []


def test_the_whole_book_is_searched_from_disk(whole):
    settings = {"search": {"page": "book/index.html", "words": "angular gyrus"}}
    entry = run("interact.mjs", whole, settings)["search"]
    assert "failed" not in entry, entry
    addresses = [re.sub(r"[?#].*", "", address) for _, address in entry["found"]]
    assert addresses and all((whole / address).is_file() for address in addresses)
    assert not entry["seen"]["errors"] and not entry["seen"]["external"]
