"""The site: its pictures, its gallery, what pages say of themselves, the order of its chapters."""

import ast
import base64
import io
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
import numpy as np
import pytest
import tiny_book
import yaml
from docutils import nodes
from docutils.core import publish_doctree
from PIL import Image
from scipy import stats

from brainalign import files, published
from brainalign.companion import speed
from brainalign.companion.compose import Part, compose
from brainalign.companion.project import Project, book_settings
from brainalign.companion.site import artwork, gallery, meta_tags, website
from brainalign.companion.site.page_repairs import repair
from brainalign.scaling import matching
from brainalign.studies.testbed import zoo
from brainalign.wording import format_count

ROOT = Path(__file__).parents[1]


def png(width=800, height=500, colour="#c03020") -> str:
    """An image with something to see, as in a notebook."""
    image = Image.new("RGBA", (width, height), "white")
    image.paste(colour, (width // 4, height // 4, width // 2, height // 2))
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def figure_cell(alt: str, **size):
    output = nbformat.v4.new_output(
        "display_data", {"image/png": png(**size)}, metadata={"image/png": {"alt": alt}}
    )
    cell = tiny_book.code("show()")
    cell.outputs = [output]
    return cell


def part(study: str, name: str) -> Part:
    cells = [
        tiny_book.text("# Does it grow?", "once"),
        tiny_book.text("## Fit"),
        figure_cell(f'Alt text: 0.5 of "{name}", # 1'),
        tiny_book.text(f"**Figure: {name}, and the {{ref}}`rest <x>`.** More."),
        tiny_book.code("print()"),
        figure_cell("Second"),
    ]
    return Part({"study": study}, nbformat.v4.new_notebook(cells=cells))


@pytest.fixture
def page():
    return compose([part("published", "how it grows"), part("testbed", "how it grows")])


def test_figures_get_labels_that_are_unique_in_the_book(page):
    labelled = gallery.label_figures(page, "tiny_page")
    sources = [cell.source for cell in labelled.cells]
    labels = [source for source in sources if source.startswith("(figure-")]
    assert labels == [f"(figure-tiny-page-{number})=" for number in (1, 2, 3, 4)]
    following = [labelled.cells[sources.index(label) + 1] for label in labels]
    assert all(cell.cell_type == "code" and cell.outputs for cell in following)
    ids = [cell.id for cell in labelled.cells]
    assert len(set(ids)) == len(ids)
    assert len(labelled.cells) == len(page.cells) + 4
    nbformat.validate(labelled)


def test_the_gallery_knows_title_kind_and_alt_text(page):
    found = gallery.entries(gallery.label_figures(page, "tiny"), "tiny")
    assert [entry.kind for entry in found] == ["Published", "Published", "Simulated", "Simulated"]
    # A figure without a caption of its own takes the heading that it stands under.
    assert [entry.title for entry in found[:2]] == ["How it grows, and the rest", "Fit"]
    assert found[0].alt == 'Alt text: 0.5 of "how it grows", # 1'
    assert found == gallery.entries(page, "tiny")


def test_hidden_figures_and_parts_without_data_are_absent(page):
    for cell in page.cells:
        if cell.cell_type == "code":
            cell.metadata["tags"] = ["remove-cell"]
    assert gallery.entries(page, "tiny") == []
    lacking = compose([Part({"study": "alice"}, part("alice", "x").notebook, "A note.")])
    assert gallery.entries(lacking, "tiny") == []


@pytest.mark.parametrize("box", ["published", "testbed", "alice", "petitprince-en", "concepts"])
def test_every_box_has_its_kind(box):
    (first, *_) = gallery.entries(compose([part(box, "x")]), "tiny")
    expected = {"published": "Published", "testbed": "Simulated"}.get(box, "Measured")
    assert first.kind == expected


def test_cards_of_measured_responses_name_the_study():
    studies = ["testbed", "alice", "petitprince-fr", "concepts"]
    found = gallery.entries(compose([part(study, "x") for study in studies]), "tiny")
    assert [entry.words for entry in found[::2]] == [
        "simulated listeners",
        "measured responses: Alice",
        "measured, published map: Le Petit Prince in French",
        "measured, published maps: 17 people",
    ]


@pytest.mark.parametrize("size", [(2000, 900), (900, 2000), (100, 60)])
def test_small_pictures_keep_their_shape(size):
    width, height = size
    content = base64.b64decode(png(width=width, height=height))
    small = gallery.thumbnail(content)
    assert small == gallery.thumbnail(content)
    with Image.open(io.BytesIO(small)) as image:
        assert image.width <= 560 and image.height <= 460
        assert image.width / image.height == pytest.approx(width / height, rel=0.02)
        assert len(image.convert("RGB").getcolors()) > 1


def test_the_gallery_is_written_and_tidied(page, tmp_path):
    old = tmp_path / gallery.PICTURES / "figure-gone-1.png"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"old")
    path = gallery.write_gallery(tmp_path, {"tiny": page})
    text = path.read_text(encoding="utf-8")
    assert not old.exists()
    assert "## Does it grow?" in text
    pictures = re.findall(r"^:::\{image\} (\S+)$", text, re.MULTILINE)
    assert len(pictures) == 4
    assert all((tmp_path / "book" / name).is_file() for name in pictures)
    alts = [json.loads(alt) for alt in re.findall(r"^:alt: (.+)$", text, re.MULTILINE)]
    assert alts[0] == 'Alt text: 0.5 of "how it grows", # 1'
    assert "{ref}`How it grows, and the rest <figure-tiny-1>`" in text
    assert text.count("published values") == text.count("simulated listeners") == 2
    before = path.stat().st_mtime_ns
    gallery.write_gallery(tmp_path, {"tiny": page})
    assert path.stat().st_mtime_ns == before


def test_a_gallery_without_figures_says_so(tmp_path):
    path = gallery.write_gallery(tmp_path, {})
    assert path.read_text(encoding="utf-8") == "No page with a figure has been made yet.\n"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artwork")
    return folder, artwork.write_artwork(folder)


def test_artwork_has_the_sizes_that_its_readers_expect(drawn):
    files = {path.name: path for path in drawn[1]}
    assert ET.fromstring(files["favicon.svg"].read_text()).attrib["viewBox"] == "0 0 64 64"
    for name, size in [("favicon.png", (180, 180)), ("social-card.png", (1200, 630))]:
        with Image.open(files[name]) as image:
            assert image.size == size
            assert len(image.convert("RGB").getcolors(2**20)) > 4
    assert sum(path.stat().st_size for path in drawn[1]) < 500_000


@pytest.mark.parametrize("module", [artwork, speed], ids=["artwork", "speed"])
def test_what_is_drawn_again_depends_on_every_module_that_draws(module):
    """Those whose functions a module calls itself, and that do more than read and write files."""
    source = Path(module.__file__).read_text(encoding="utf-8")
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    from_package = [node for node in nodes if node.module == "brainalign"]
    called = {node.module for node in nodes if (node.module or "").startswith("brainalign.")}
    called |= {f"brainalign.{name.name}" for node in from_package for name in node.names}
    called -= {"brainalign.files", "brainalign.companion"}
    known = {f"brainalign.{name.replace('/', '.')}" for name in module._DRAWN_BY}
    assert called and called <= known


def test_the_website_depends_on_what_builds_it_and_writes_its_settings(monkeypatch, tmp_path):
    read = []
    monkeypatch.setattr(website, "file_sha256", lambda path: read.append(path.name) or "same")
    version = {"sphinx-exercise": "1"}
    monkeypatch.setattr(website.metadata, "version", lambda name: version.get(name, "0"))
    before = website.inputs_digest(tmp_path)
    assert {"project.py", "slides.py", "website.py", "cobidas.yml"} <= {*read}
    version["sphinx-exercise"] = "2"
    assert website.inputs_digest(tmp_path) != before


def test_the_source_of_a_module_beside_its_folder_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "PACKAGE", tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data.py").write_text("one = 1\n")
    before = files.source_digest(["data"])
    (tmp_path / "data.py").write_text("one = 2\n")
    assert files.source_digest(["data"]) != before


def test_artwork_is_the_same_every_time_and_drawn_once(drawn, tmp_path):
    again = artwork.write_artwork(tmp_path)
    for first, second in zip(drawn[1], again, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name
    written = [path.stat().st_mtime_ns for path in again]
    artwork.write_artwork(tmp_path)
    assert [path.stat().st_mtime_ns for path in again] == written
    again[0].unlink()
    artwork.write_artwork(tmp_path)
    assert again[0].is_file()


def test_the_front_figure_says_what_the_points_give(drawn):
    text = (drawn[0] / artwork.LANDING).read_text(encoding="utf-8")
    alts = re.findall(r"^:alt: (.+)$", text, re.MULTILINE)
    assert len(alts) == 2
    for alt, hemisphere in zip(alts, ("both", "L-R"), strict=True):
        wanted = {"voxels": "reliable", "statistic": "mean", "hemisphere": hemisphere}
        rows = matching(published.score_table(), **wanted, kind="language model")
        line = stats.linregress(np.log10(rows["n_parameters"]), rows["score"])
        assert alt.startswith("Published values")
        assert f"of {len(rows)} language models" in alt
        assert f"r = {line.rvalue:.2f} and rises by {line.slope:.4f} per factor of ten" in alt
    for name in re.findall(r"\{image\} (\S+)", text):
        assert (drawn[0] / "book" / name).is_file()


def test_the_description_is_the_first_paragraph_of_the_text():
    source = (
        "Title\n=====\n\n.. note:: Not this.\n\nThe *first* one,\nover two lines.\n\nThe second."
    )
    assert meta_tags.description(publish_doctree(source)) == "The first one, over two lines."
    assert meta_tags.description(None) == ""
    assert meta_tags.description(publish_doctree(".. note:: Only this.")) == ""
    long = meta_tags.description(publish_doctree("word " * 100))
    assert len(long) <= 200 and long.endswith("word…")


def test_tags_are_safe_and_leave_out_what_is_not_known():
    found = meta_tags.tags('A "title" <b>', "", "card.png")
    assert 'property="og:title" content="A &quot;title&quot; &lt;b&gt;"' in found
    assert "description" not in found and "og:url" not in found
    whole = meta_tags.tags("A", "B", "https://x.org/card.png", "https://x.org/a.html")
    assert '<meta property="og:url" content="https://x.org/a.html">' in whole
    assert '<meta name="description" content="B">' in whole


class Page:
    """What Sphinx gives to a handler of `html-page-context`."""

    def __init__(self, address):
        self.config = type("Config", (), {"html_baseurl": address})
        self.context = {"title": "Who &amp; <em>what</em>", "pathto": self.pathto}

    @staticmethod
    def pathto(name, resource=False):
        return f"../{name}"


@pytest.mark.parametrize(
    ("address", "image"),
    [
        ("", "../_static/social-card.png"),
        ("https://x.org/b/", "https://x.org/b/_static/social-card.png"),
    ],
)
def test_addresses_are_whole_where_the_site_has_one(address, image):
    page, doctree = Page(address), publish_doctree("Text.")
    meta_tags.add_tags(page, "book/a", "page.html", page.context, doctree)
    tags = page.context["metatags"]
    assert f'property="og:image" content="{image}"' in tags
    assert 'content="Who &amp; what"' in tags
    assert ("https://x.org/b/book/a.html" in tags) == bool(address)
    assert isinstance(doctree, nodes.document)


def test_the_sites_address_is_one_setting():
    base = yaml.safe_load((ROOT / "_config.yml").read_text())
    settings = book_settings(base, Project(("A",), "", "1", homepage="https://x.org/b"))
    assert settings["html"]["baseurl"] == "https://x.org/b/"
    assert settings["html"]["favicon"] == base["html"]["favicon"]
    assert "baseurl" not in book_settings(base, Project(("A",), "", "1"))["html"]


def toc_files(entry) -> list[str]:
    if isinstance(entry, list):
        return [file for one in entry for file in toc_files(one)]
    own = [entry["file"]] if "file" in entry else []
    return own + [
        f for key in ("parts", "chapters", "sections") for f in toc_files(entry.get(key, []))
    ]


TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def test_chapters_tell_a_story():
    captions = [part["caption"] for part in TOC["parts"]]
    story = [
        *("The question", "The data", "From words to brain scores", "The paper's figures"),
        *("Which words?", "Which concepts?", "Which properties?", "What could fool us?"),
        *("Run it on your data", "Teach", "All figures", "Reference"),
    ]
    assert captions == story


def test_every_page_of_prose_and_every_notebook_is_in_the_contents():
    listed = toc_files(TOC)
    assert len(set(listed)) == len(listed)
    prose = {str(path.relative_to(ROOT).with_suffix("")) for path in (ROOT / "book").glob("*.md")}
    notebooks = {f"book/executed/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert prose - {"book/index"} <= set(listed)
    assert notebooks <= set(listed)


CHAPTERS = [
    *("question", "data", "testbed", "studies", "language_models", "from_words_to_scans", "ridge"),
    *("ceilings", "paper_figures", "which_words", "which_concepts", "properties", "rerun"),
    *("real_data", "own_study", "speed"),
]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_says_what_it_is_for_before_its_first_section(name):
    text = (ROOT / "book" / f"{name}.md").read_text(encoding="utf-8")
    opening = text.split("\n## ")[0]
    goals = re.search(r"\*\*What you will learn\*\*\n\n((?:- .+\n(?:  .+\n)*)+)", opening)
    assert goals and goals[1].count("\n- ") + 1 >= 2
    assert re.search(r"^\*\*Prerequisites\.\*\* \S", opening, re.MULTILINE)
    assert re.search(r"^\*\*Time\.\*\* \w+ minutes to read", opening, re.MULTILINE)


def test_the_table_of_the_papers_models_is_that_of_the_data():
    text = (ROOT / "book" / "language_models.md").read_text(encoding="utf-8")
    english = zoo.zoo_table().query("language == 'en'")
    small = dict(zip(english["counterpart"], english.index, strict=True))
    table = published.models()
    for model in table.itertuples():
        size = f"{format_count(model.n_parameters)} | {model.n_layers} × {model.n_hidden}"
        measured = f"{model.wikitext2_perplexity:.1f} | {model.hellaswag:.1f}"
        row = f"| {model.name} | {model.family} | {size} | {measured} | `{small[model.name]}` |"
        assert row in text
    assert f"\n{len(table)} models of eight families" in text and table["family"].nunique() == 8
    assert text.count("| `nano-") == len(table)


def test_wide_tables_can_be_reached_by_keyboard():
    table = '<div class="pst-scrollable-table-container"><table>'
    assert repair(table).startswith('<div class="pst-scrollable-table-container" tabindex="0">')
    assert repair(repair(table)) == repair(table)


def test_no_page_links_to_one_that_is_gone():
    pages = [
        *(ROOT / "book").rglob("*.md"),
        *(ROOT / "notebooks").glob("*.ipynb"),
        ROOT / "README.md",
    ]
    for page in pages:
        if "executed" in page.parts:
            continue
        for target in re.findall(
            r"\]\(((?:\.\./|book/)?[\w/]+\.md)(?:#[\w-]+)?\)", page.read_text("utf-8")
        ):
            folder = ROOT / "book" / "executed" if page.suffix == ".ipynb" else page.parent
            assert (folder / target).resolve().is_file(), f"{page.name} links to {target}"
