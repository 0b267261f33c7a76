"""Pages made of executions, the page cache, and a small website built from them."""

import json
import re

import nbformat
import pytest
import tiny_book
from bs4 import BeautifulSoup

from brainalign.companion import WorkError, book, cache
from brainalign.companion.compose import (
    Part,
    compose,
    demote,
    source_text,
    split_images,
    split_once,
)
from brainalign.companion.project import Project, book_settings, launch_links
from brainalign.companion.site import records, website
from brainalign.errors import InputError


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A built website: its folder, its index, and what the first build said.

    Its second page needs data that are not at hand.
    """
    folder = tiny_book.make_project(tmp_path_factory.mktemp("book"))
    cells = [
        tiny_book.text("# Is it there?", "once"),
        tiny_book.code('study: str = "alice"  # whose responses', "parameters"),
        tiny_book.code("print('found')"),
    ]
    tiny_book.write_notebook(folder, "lacking", cells)
    with open(folder / "_toc.yml", "a") as toc:
        toc.write("  - file: book/executed/lacking\n")
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BRAINALIGN_DATA", raising=False)
        patch.setattr("pooch.os_cache", lambda name: folder / "no-data")
        patch.chdir(folder)
        patch.setenv("BRAINALIGN_CACHE", str(folder / ".cache"))
        index = book.make_book(jobs=2, say=said.append)
    return folder, index, said


@pytest.fixture
def inside(site, monkeypatch):
    monkeypatch.chdir(site[0])
    monkeypatch.setenv("BRAINALIGN_CACHE", str(site[0] / ".cache"))
    cache._study_fingerprint.cache_clear()
    return site[0]


@pytest.fixture(scope="module")
def page(site):
    path = site[0] / "_build" / "html" / "book" / "executed" / "tiny.html"
    return BeautifulSoup(path.read_text(), "html.parser")


def test_a_page_shows_the_sign_and_says_what_it_is(page, site):
    folder = site[0] / "_build" / "html"
    (icon,) = page.select('link[rel="icon"]')
    card = page.find("meta", property="og:image")["content"]
    for address in (icon["href"], page.select_one('[rel="apple-touch-icon"]')["href"], card):
        assert (folder / "book" / "executed" / address).resolve().is_file()
    assert page.find("meta", property="og:title")["content"] == "Does it grow?"
    described = page.find("meta", attrs={"name": "description"})["content"]
    assert described == page.find("meta", property="og:description")["content"] != ""


def test_every_figure_of_a_page_can_be_linked_to(page):
    for number in (1, 2, 3, 4):
        (place,) = page.select(f"#figure-tiny-{number}")
        assert place.find("img", alt=True) or place.find_next("img", alt=True)


def executed(study, *sources):
    """A notebook that looks executed: `once` cells begin with "!"."""
    cells = [tiny_book.text(s.lstrip("!"), *["once"] * s.startswith("!")) for s in sources]
    return Part({"study": study}, nbformat.v4.new_notebook(cells=cells))


def sources(notebook):
    return [cell.source for cell in notebook.cells]


def test_headings_go_down_a_level_outside_of_code():
    text = "# A\n\n```python\n# comment\n```\n## B\n~~~\n# x\n```\n# y\n~~~\n#no"
    assert demote(text) == "## A\n\n```python\n# comment\n```\n### B\n~~~\n# x\n```\n# y\n~~~\n#no"


def test_once_cells_open_and_close_the_page():
    notebook = executed("a", "!title", "one", "!middle", "two", "!end")[1]
    lead, body, trail = [[c.source for c in part] for part in split_once(notebook.cells)]
    assert (lead, body, trail) == (["title"], ["one", "middle", "two"], ["end"])
    assert split_once([]) == ([], [], [])


def test_a_page_of_two_executions():
    parts = ["!# Title", "(label)=\n## Part {}", "!middle", "!end {}"]
    first = executed("published", *(p.format(1) for p in parts))
    second = executed("testbed", *(p.format(2) for p in parts))
    found = sources(compose([first, second]))
    assert found[0] == "# Title"
    assert found[1].startswith("## In the paper's own numbers\n\n:::{admonition} Published values")
    assert found[2] == "(label)=\n### Part 1"
    assert found[3].startswith("## In the simulated testbed\n\n:::{admonition} Simulated data")
    assert found[4:] == ["### Part 2", "middle", "end 2"]


def test_a_page_of_one_execution_says_whose_data_it_shows():
    found = sources(compose([executed("testbed", "!# Title", "## Part", "!end")]))
    assert found[0] == "# Title" and found[2:] == ["## Part", "end"]
    assert found[1].startswith(":::{admonition} Simulated data") and "SIMULATED" in found[1]
    assert "Language models, where the part uses any" in found[1]
    assert sources(compose([Part({}, executed("x", "!# Title", "text")[1])])) == ["# Title", "text"]
    assert "Brain responses: other" in source_text({"study": "other"})[1]
    rules = {"layer_rule": "nested", "n_boot": 9, "brain_seed": 0}
    said = source_text({"study": "published"} | rules)[1]
    assert said.endswith("whatever their values here: `layer_rule`, `brain_seed`.\n:::")
    assert "without effect" not in source_text({"study": "testbed"} | rules)[1]
    assert "Measured data" in source_text({"study": "alice"})[1]


def test_composing_changes_no_execution():
    parts = [executed("published", "# A"), executed("testbed", "# A")]
    before = json.dumps(parts[1][1])
    ids = [cell.id for cell in compose(parts, "links").cells]
    assert json.dumps(parts[1][1]) == before
    assert len(set(ids)) == len(ids) == 5


def test_code_that_was_shown_is_folded_and_folds_say_what_they_hold():
    def table(caption):
        data = {"text/html": "<div><table></table></div>", "text/plain": caption}
        return nbformat.v4.new_output("display_data", data)

    def part(study):
        cells = [tiny_book.code(f"study = {study!r}", "parameters"), tiny_book.code("draw()")]
        cells += [tiny_book.code("rows()", "hide-output"), tiny_book.code(f"own({study!r})")]
        cells[2].outputs = [table("3 of 4 rows agree. Paper / here? " + "What is said. " * 9)]
        return Part({"study": study}, nbformat.v4.new_notebook(cells=cells))

    page = compose([part("published"), part("testbed")])
    found = [cell for cell in page.cells if cell.cell_type == "code"]
    again = ["parameters", "hide-input"], ["hide-input"], ["hide-cell"], []
    first = ["parameters"], [], ["hide-output"], []
    assert [cell.metadata.get("tags", []) for cell in found] == [*first, *again]
    rows = "Show the table: 3 of 4 rows agree. Paper / here? What is said. What is said"
    prompts = [cell.metadata.get("mystnb", {}).get("code_prompt_show", "") for cell in found]
    assert [text[: len(rows)] for text in prompts[:4]] == ["", "", rows, ""]
    assert prompts[4:] == ["Show the code", "Show the code", prompts[2], ""]


def test_every_image_gets_a_cell_with_its_alt_text():
    def image(alt):
        metadata = {"image/png": {"alt": alt}} if alt else {}
        return nbformat.v4.new_output("display_data", {"image/png": "x"}, metadata=metadata)

    cell = tiny_book.code("draw()", "hide-input")
    cell.outputs = [image("one"), image(""), image("two")]
    found = split_images(cell)
    assert [c.metadata["mystnb"]["image"]["alt"] for c in found] == ["one", "two"]
    assert [len(c.outputs) for c in found] == [2, 1]
    assert found[1].metadata.tags == ["hide-input", "remove-input"]
    assert split_images(tiny_book.text("a"))[0].source == "a"


def test_links_are_left_out_while_no_repository_is_set():
    base = {"title": "t", "html": {"home_page_in_navbar": True}}
    unset = Project(("Doe, Jane",), "", "1")
    assert launch_links(unset, "tiny") == ""
    assert book_settings(base, unset) == base | {"author": "Doe, Jane"}
    there = Project(("A", "B"), "https://github.com/someone/something", "1", "main")
    links = launch_links(there, "tiny")
    assert "(https://github.com/someone/something/blob/main/notebooks/tiny.ipynb)" in links
    settings = book_settings(base, there)
    assert settings["html"]["use_repository_button"] and settings["html"]["home_page_in_navbar"]
    assert settings["repository"] == {"url": there.repository, "branch": "main"}
    assert launch_links(Project((), "https://example.org/x", "1"), "tiny").count("](") == 1


def test_the_first_build_executes_every_part(site):
    folder, index, said = site
    assert index == folder / "_build" / "html" / "index.html" and index.is_file()
    assert said[:2] == ["tiny (published): never executed", "tiny (testbed): never executed"]
    assert len(said) == 3 and said[2].startswith("lacking (alice): left out; not on this machine")


def test_a_part_that_needs_missing_data_is_a_note(site):
    path = site[0] / "_build" / "html" / "book" / "executed" / "lacking.html"
    article = BeautifulSoup(path.read_text(), "html.parser").article
    box, cite = article.find_all(class_="admonition")
    assert "BibTeX" in cite.text
    assert "needs data of alice (118 files, 2.5 MB)" in box.text
    assert box.pre.text.strip() == "brainalign fetch alice\nbrainalign book"
    assert article.h1.text.rstrip("#") == "Is it there?" and "found" not in article.text


def test_the_second_build_executes_nothing(inside, site):
    before = site[1].stat().st_mtime_ns
    said = []
    assert book.make_book(say=said.append) == site[1]
    assert [line.split(":")[0] for line in said] == ["lacking (alice)"]
    assert site[1].stat().st_mtime_ns == before


def test_records_are_read_again_only_for_a_website_without_them(inside, site, monkeypatch):
    read, asked = records.read_book, []

    def noted(pages):
        asked.append(list(pages))
        return read(pages)

    monkeypatch.setattr(records, "read_book", noted)
    metadata = site[1].with_name("ro-crate-metadata.json")
    before, built = metadata.read_text(), site[1].stat().st_mtime_ns
    assert book.make_book(say=print) == site[1] and asked == []
    metadata.unlink()
    book.make_book(say=print)
    assert len(asked) == 1 and metadata.read_text() == before
    assert site[1].stat().st_mtime_ns == built


def test_a_new_record_makes_the_website_out_of_date(inside):
    assert website.is_current(inside)
    path = cache.page_folder(book.plan_pages()["tiny"][0]) / "provenance.json"
    kept = path.read_text()
    path.write_text(json.dumps(json.loads(kept) | {"seconds": 3000.0}))
    try:
        records.note_sources(inside, book.plan_pages())
        assert not website.is_current(inside)
    finally:
        path.write_text(kept)
        records.note_sources(inside, book.plan_pages())
    assert website.is_current(inside)


def test_pages_ask_the_network_for_nothing(site):
    for path in (site[0] / "_build" / "html").rglob("*.html"):
        soup = BeautifulSoup(path.read_text(), "html.parser")
        links = soup.find_all("link", rel=lambda value: value not in ("search", "next", "prev"))
        loaded = [t["src"] for t in soup.find_all(src=True)] + [t["href"] for t in links]
        assert not [source for source in loaded if re.match(r"(https?:)?//", source)], path
        assert "thebe@" not in str(soup)
    for path in (site[0] / "_build" / "html" / "_static").rglob("*.css"):
        text = path.read_text(errors="replace")
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", text), path


def test_formulas_are_set_by_the_books_own_mathjax(page, site):
    scripts = [tag["src"] for tag in page.find_all("script", src=True) if "mathjax" in tag["src"]]
    assert len(scripts) == 1 and scripts[0].startswith("../../_static/mathjax/")
    assert (site[0] / "_build/html/_static/mathjax/tex-svg-full.js").is_file()


def test_the_page_keeps_published_and_simulated_apart(page):
    headings = [heading.text.rstrip("#") for heading in page.article.find_all(["h1", "h2", "h3"])]
    assert headings == [
        "Does it grow?",
        "In the paper’s own numbers",
        "Compute",
        "In the simulated testbed",
        "Compute",
        "Exercise",
        "How to cite this page",
    ]
    boxes = page.article.find_all(class_="admonition")
    first, second = [box for box in boxes if "dropdown" not in box["class"]][:2]
    assert "digitised from the paper" in first.text and "SIMULATED" in second.text


def test_the_page_shows_results_and_parameters_but_no_stderr(page):
    text = page.article.text
    assert "not for the page" not in text.replace('print("not for the page"', "")
    assert 'study: Literal["published", "testbed"] = "published"' in text
    assert "published 1000" in text and "testbed 1000" in text
    assert "-p study=published -p n_boot=200" in text
    assert "write_modules" not in text and "# Parameters" not in text


def test_every_figure_has_its_alt_text(page):
    images = [image["alt"] for image in page.article.find_all("img")]
    assert images == ["A line going up, 1000 samples", "A line going down, 1000 samples"] * 2


def test_parameters_of_the_book(inside):
    pages = book.plan_pages({"tiny": {"n_boot": 200, "study": "testbed"}})
    assert [e.parameters["study"] for e in pages["tiny"]] == ["testbed"]
    for changes, expected in [
        ({"tinny": {}}, "no notebook 'tinny'; did you mean 'tiny'"),
        ({"tiny": 3}, "a mapping of parameters is expected"),
        ({"tiny": {"n_boot": 1}}, "an integer from 100"),
    ]:
        with pytest.raises(InputError, match=expected):
            book.plan_pages(changes)
    with pytest.raises(InputError, match="--only: there is no notebook 'x'"):
        book.make_book(only=["x"])


def test_a_page_that_was_never_executed_names_the_parameter(inside):
    (execution,) = book.plan_pages({"tiny": {"n_boot": 200, "study": "testbed"}})["tiny"]
    assert cache.stale_reasons(execution) == ["parameters: never executed with this n_boot"]


@pytest.mark.parametrize(
    ("part", "change", "expected"),
    [
        ("notebook", lambda old: "other", "notebook: tiny.ipynb"),
        ("code", lambda old: old | {"brainalign.files": "other"}, "code: brainalign.files"),
        ("data", lambda old: old | {"study testbed": "other"}, "data: study testbed"),
        ("versions", lambda old: old | {"pandas": "1.0"}, r"versions: pandas 1.0 → \d"),
        ("scores", lambda old: {"m on s {} {}": "key"}, "scores: m on s"),
    ],
)
def test_status_names_what_changed(inside, part, change, expected):
    execution = book.plan_pages()["tiny"][1]
    assert cache.stale_reasons(execution) == []
    path = cache.page_folder(execution) / "provenance.json"
    kept = path.read_text()
    record = json.loads(kept)
    record["dependencies"][part] = change(record["dependencies"][part])
    path.write_text(json.dumps(record))
    try:
        (reason,) = cache.stale_reasons(execution)
    finally:
        path.write_text(kept)
    assert re.match(expected, reason)


def test_only_looks_at_the_pages_named(inside, monkeypatch):
    monkeypatch.setattr(cache, "stale_reasons", lambda execution: ["changed"])
    monkeypatch.setattr(book, "_refresh_all", lambda todo, jobs: [])
    pages, said = {"tiny": book.plan_pages()["tiny"]}, []
    assert book.execute_stale(pages, only=[], say=said.append) == 0
    assert book.execute_stale(pages, only=["tiny"], say=said.append) == 2
    assert said == ["tiny (published): changed", "tiny (testbed): changed"]


def test_a_page_that_fails_keeps_the_one_before(inside, monkeypatch):
    execution = book.plan_pages()["tiny"][0]
    folder = cache.page_folder(execution)
    before = sorted(folder.rglob("*"))

    def fail(execution, folder, warm):
        (folder / "half").write_text("")
        raise WorkError("failed", None)

    monkeypatch.setattr(cache, "execute", fail)
    with pytest.raises(WorkError):
        cache.refresh(execution)
    assert sorted(folder.rglob("*")) == before
    assert not list(folder.parent.glob(".new-*"))


def test_a_warning_of_jupyter_book_is_a_failure(inside):
    page = inside / "book" / "index.md"
    kept = page.read_text()
    page.write_text(kept + "\n{ref}`nowhere`\n")
    try:
        with pytest.raises(WorkError, match="index.md:.*nowhere") as caught:
            book.build(inside)
    finally:
        page.write_text(kept)
    assert "nowhere" in caught.value.log.read_text()


def test_imports_are_found_by_reading(tmp_path):
    source = "import numpy.linalg as la\nimport os\ndef f():\n    from yaml import load\n%magic"
    assert cache._imported(source) == set()
    source = source.removesuffix("%magic")
    assert cache._imported(source) == {"numpy", "yaml"}
    versions = cache.package_versions([source])
    assert set(versions) == {"python", "numpy", "PyYAML"}


def test_what_a_run_read_is_noted_once(tmp_path):
    line = json.dumps({"study": {"name": "s"}, "model": "m", "settings": {}, "key": "k"})
    (tmp_path / "scores.jsonl").write_text(f"{line}\n{line}\n")
    assert cache.read_scores(tmp_path) == [json.loads(line)]
    assert cache.read_scores(tmp_path / "none") == []


def test_scores_are_identified_again_from_what_was_noted():
    from dataclasses import asdict

    from brainalign.encoding import EncodingSettings, score_key
    from brainalign.studies import study_fingerprint

    settings, model = EncodingSettings(subject="average", hrf="impulse"), "random-vectors-16"
    study = {"name": "testbed", "options": {"seed": 3}}
    score = {"study": study, "model": model, "settings": asdict(settings), "key": "old"}
    expected = score_key(study_fingerprint("testbed", seed=3), model, settings)
    assert cache._score_key(json.dumps(score)) == expected
    for change in ({"model": "gone"}, {"settings": {"subject": 3}}, {"study": {"name": "gone"}}):
        assert "cannot be identified" in cache._score_key(json.dumps(score | change))
