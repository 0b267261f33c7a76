"""Explorers: grids that pages declare, their budgets, the section, and what a browser makes of it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import kept_pages
import nbformat
import pytest
import tiny_book
from bs4 import BeautifulSoup

from brainalign.companion import WorkError, book, cache, explorer, overview
from brainalign.companion.compose import EXPLORED, Part, compose
from brainalign.companion.notebooks import read_notebook
from brainalign.companion.parameters import parse_assignments, read_schema
from brainalign.companion.site.explorer_section import data, section, shown_bytes
from brainalign.companion.site.gallery import entries
from brainalign.errors import InputError

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BROWSER = Path(__file__).with_name("browser")
GRIDS = [
    {"study": ["published"], "n_boot": [1000, 200]},
    {"study": ["testbed"], "n_boot": [1000, 200], "names": [None, ["a"]]},
]
DECLARED = {"grids": GRIDS, "seconds": 20, "megabytes": 0.1}
LABEL, CAPTION = "(growth-figure)=\n", "**Figure: growth.** A line."


def declare(folder: Path, declared, name: str = "tiny") -> None:
    """Write into a notebook's metadata what can be explored, and tag its cells."""
    path = folder / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.setdefault("brainalign", {})["explore"] = declared
    if not any("explore" in cell.metadata.get("tags", []) for cell in notebook.cells):
        notebook.cells[3].metadata["tags"] = ["explore", "hide-output"]
        notebook.cells.insert(4, tiny_book.text(LABEL + CAPTION, "explore"))
    nbformat.write(notebook, path)


def keep(execution, alt: str = "", cpu_seconds: float = 2.0, shown: bool = True) -> None:
    """Keep a page as if it had been executed: two figures, a caption and a table."""
    folder = cache.page_folder(execution)
    folder.mkdir(parents=True, exist_ok=True)
    notebook = read_notebook(execution.path)
    own = json.dumps(execution.parameters)
    for cell in (c for c in notebook.cells if "explore" in c.metadata.get("tags", []) and shown):
        if cell.cell_type == "code":
            cell.outputs = [_image(f"{alt}Up, {own}"), _image(f"{alt}Down, {own}"), _table(own)]
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, folder / f"{execution.notebook}.ipynb")
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "numbers.json").write_text("{}")
    (folder / "modules.json").write_text("[]")
    record = kept_pages.provenance(execution, cpu_seconds=cpu_seconds)
    record["dependencies"] = cache.dependencies(execution, [], [])
    (folder / "provenance.json").write_text(json.dumps(record))


def _image(alt: str):
    import base64

    content = {"image/png": base64.b64encode(kept_pages.PNG).decode(), "text/plain": alt}
    metadata = {"image/png": {"alt": alt, "width": 300}}
    return nbformat.v4.new_output("display_data", content, metadata=metadata)


def _table(text: str):
    table = f"<table><tbody><tr><td>{text.replace('<', '&lt;')}</td></tr></tbody></table>"
    return nbformat.v4.new_output("display_data", {"text/html": table})


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A book whose one page has six variants, two of which are its own parts."""
    tiny_book.make_project(tmp_path)
    declare(tmp_path, DECLARED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / ".cache"))
    cache._study_fingerprint.cache_clear()
    return tmp_path


def planned(**changes):
    pages = book.plan_pages({"tiny": changes} if changes else None)
    return pages, explorer.plan_explorers(pages, {"tiny": changes})


@pytest.fixture
def kept(project):
    """The same with all pages kept; its pages and explorers."""
    pages, explorers = planned()
    for variant in explorers["tiny"].variants:
        keep(variant.execution)
    return pages, explorers


def test_a_grid_is_every_combination_and_no_part_is_executed_twice(project):
    pages, explorers = planned()
    found = explorers["tiny"]
    assert found.names == ("study", "n_boot", "names")
    assert [list(variant.values.values()) for variant in found.variants] == [
        ["published", 1000],
        ["published", 200],
        ["testbed", 1000, None],
        ["testbed", 1000, ["a"]],
        ["testbed", 200, None],
        ["testbed", 200, ["a"]],
    ]
    assert [variant.own for variant in found.variants] == [True, False, True, False, False, False]
    extra = explorer.to_execute(explorers)["tiny"]
    own = {execution.name for execution in pages["tiny"]}
    assert len(extra) == 4 and not own & {execution.name for execution in extra}
    assert list(explorer.labels(explorers).values()) == [
        "tiny (published, n_boot=200)",
        'tiny (testbed, n_boot=1000, names=["a"])',
        "tiny (testbed, n_boot=200, names=None)",
        'tiny (testbed, n_boot=200, names=["a"])',
    ]
    # The same execution is called the same wherever it is declared.
    assert found.variants[1].execution.name == explorer.plan("tiny", found.variants[1].values).name


def test_what_is_declared_twice_is_there_once(project):
    declare(project, DECLARED | {"grids": [*GRIDS, GRIDS[0]]})
    assert len(planned()[1]["tiny"].variants) == 6


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"grids": []}, "grids is \\[\\]; a list of grids, each with a list of values"),
        ({"grids": [{"study": "testbed"}]}, "a list of values for every parameter named is expe"),
        ({"grids": [{"study": []}]}, "a list of values for every parameter named is expected"),
        ({"grids": [{}]}, "a list of grids"),
        ({"seconds": 0}, "seconds is 0; a number above 0 is expected"),
        ({"seconds": True}, "seconds is True; a number above 0"),
        ({"megabytes": "1"}, "megabytes is '1'; a number above 0"),
        ({"megabyte": 1}, "has 'megabyte'; did you mean 'megabytes'"),
        ({"grids": [{"studdy": ["testbed"]}]}, "studdy"),
        ({"grids": [{"n_boot": [1000, 1]}]}, "Parameter n_boot is 1; an integer from 100 to"),
        (
            {"grids": [{"study": ["testbed"]}, {"names": [["a"]], "study": ["testbed"]}]},
            "two variants with {}; a parameter with several values",
        ),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(project, change, expected):
    declare(project, DECLARED | change)
    with pytest.raises(InputError, match=expected) as caught:
        planned()
    assert str(caught.value).startswith("Notebook 'tiny': brainalign.explore")


def test_a_declaration_must_be_complete(project):
    declare(project, {"grids": GRIDS, "seconds": 3})
    with pytest.raises(InputError, match="'tiny'.*megabytes is missing; a number above 0"):
        planned()
    declare(project, [1])
    with pytest.raises(InputError, match="is \\[1\\]; grids, seconds, megabytes are expected"):
        planned()


def test_a_declaration_without_tagged_cells_is_refused(project):
    cells = [tiny_book.text("# Q?"), tiny_book.code(tiny_book.PARAMETERS, "parameters")]
    path = tiny_book.write_notebook(project, "tiny", cells, [{"study": "testbed"}])
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["brainalign"]["explore"] = DECLARED
    nbformat.write(notebook, path)
    with pytest.raises(InputError, match="a code cell tagged 'explore' is expected"):
        planned()


def test_changed_parameters_leave_fewer_choices_or_none(project):
    found = planned(n_boot=300)[1]["tiny"]
    assert found.names == ("study", "names") and len(found.variants) == 3
    assert planned(study="published", n_boot=300)[1] == {}


def test_status_lists_variants(kept):
    lines = overview.status_text().splitlines()
    assert len(lines) == 6
    assert all(line.endswith("up to date") for line in lines)
    assert lines[1].startswith("tiny (testbed) ")
    assert lines[2].startswith("tiny (published, n_boot=200) ")


def test_the_section_has_every_variant_in_full(kept):
    explorers = kept[1]
    cells = section(explorers["tiny"])
    assert cells[0].source.startswith("## Explore\n\n") and "6 variants" in cells[0].source
    shown = json.loads(re.search(r"json\" class=\"[\w-]+\">(.*)</script>", cells[1].source)[1])
    assert [variant["tag"] for variant in shown["variants"]] == [
        f"explore-tiny-{number}" for number in range(1, 7)
    ]
    per_variant = [cells[2 + 4 * number : 6 + 4 * number] for number in range(6)]
    for variant, tag, found in zip(
        explorers["tiny"].variants,
        (f"explore-tiny-{n}" for n in range(1, 7)),
        per_variant,
        strict=True,
    ):
        heading, figure, caption, last = found
        study = {"published": "The paper's own numbers", "testbed": "The simulated testbed"}
        assert f"**{study[variant.values['study']]} · n boot: " in heading.source
        assert f"{{container}} {tag} explore-heading" in heading.source
        # Neither the code nor a fold: outputs alone.
        assert figure.metadata["tags"] == ["remove-input", EXPLORED, tag]
        assert CAPTION in caption.source and LABEL.strip() not in caption.source
        assert f"`n_boot = {variant.values['n_boot']}`" in caption.source
        command = re.search(r"```bash\n(brainalign run .*)\n```", last.source)[1]
        assert rerun(command).parameters == variant.execution.parameters
    assert "names: none" in per_variant[2][0].source
    assert 'names: ["a"]' in per_variant[3][0].source


def rerun(command: str):
    """The execution that a command of a page asks for."""
    import shlex

    from brainalign.arguments import build_parser

    arguments = build_parser().parse_args(shlex.split(command)[1:])
    schema = read_schema(arguments.notebook)
    values = parse_assignments(schema, arguments.texts, arguments.notebook)
    return explorer.plan(arguments.notebook, values)


def test_data_for_the_script(kept):
    found = data(kept[1]["tiny"], {})
    study, n_boot, names = found["parameters"]
    assert study["label"] == "Study" and study["meaning"] == "whose brain responses"
    assert [value["label"] for value in study["values"]] == [
        "The paper's own numbers",
        "The simulated testbed",
    ]
    assert [value["value"] for value in n_boot["values"]] == ["1000", "200"]
    assert names["values"] == [
        {"value": "None", "label": "none"},
        {"value": '["a"]', "label": '["a"]'},
    ]
    assert found["variants"][0] == {"values": ["published", "1000", None], "tag": None}


def test_a_value_cannot_end_the_script(project):
    declare(project, DECLARED | {"grids": [{"names": [["</script>"], ["<b>"]]}]})
    found = planned()[1]["tiny"]
    for variant in found.variants:
        keep(variant.execution)
    source = section(found)[1].source
    assert source.count("</script>") == 1 and source.endswith("</script>")
    content = re.search(r"\">(\{.*)</script>", source)[1]
    assert json.loads(content)["variants"][0]["values"] == ['["</script>"]']


def test_the_section_follows_the_parts_and_every_image_has_its_alt_text(kept):
    cells = [
        tiny_book.text("# Q?", "once"),
        tiny_book.text("Part."),
        tiny_book.text("End.", "once"),
    ]
    part = Part({"study": "testbed"}, nbformat.v4.new_notebook(cells=cells))
    page = compose([part], explorer=section(kept[1]["tiny"]))
    sources = [cell.source for cell in page.cells]
    explore = next(i for i, source in enumerate(sources) if source.startswith("## Explore"))
    assert sources[explore - 1] == "Part." and sources[-1] == "End."
    alt = [c.metadata["mystnb"]["image"]["alt"] for c in page.cells if "mystnb" in c.metadata]
    assert len(alt) == 12 and len(set(alt)) == 12
    assert all(first.startswith("Up") for first in alt[::2])
    # They are figures of the page already, and would be found hidden.
    assert entries(page, "tiny") == []


def test_what_was_not_executed_cannot_be_chosen(kept, monkeypatch):
    found = kept[1]["tiny"]
    shutil.rmtree(cache.page_folder(found.variants[1].execution))
    missing = found.variants[3].execution.name
    monkeypatch.setattr(
        "brainalign.companion.site.explorer_section.lacks",
        lambda execution: ["data"] if execution.name == missing else [],
    )
    cells = section(found)
    assert "4 variants" in cells[0].source
    content = json.loads(re.search(r"\">(\{.*)</script>", cells[1].source)[1])
    tags = [variant["tag"] for variant in content["variants"]]
    assert [tag is None for tag in tags] == [False, True, False, True, False, False]
    assert [tag for tag in tags if tag] == [f"explore-tiny-{number}" for number in (1, 2, 3, 4)]


def test_without_two_variants_there_is_no_section(kept):
    found = kept[1]["tiny"]
    for variant in found.variants[1:]:
        shutil.rmtree(cache.page_folder(variant.execution))
    assert section(found) == []


def test_a_variant_that_shows_nothing_fails_unless_it_is_out_of_date(kept):
    execution = kept[1]["tiny"].variants[4].execution
    keep(execution, shown=False)
    with pytest.raises(WorkError, match="Page tiny: the variant .*200.* shows nothing"):
        section(kept[1]["tiny"])
    path = cache.page_folder(execution) / "provenance.json"
    record = json.loads(path.read_text())
    record["dependencies"]["notebook"] = "before"
    path.write_text(json.dumps(record))
    assert "5 variants" in section(kept[1]["tiny"])[0].source


def test_bytes_over_the_budget_fail(kept):
    found = kept[1]["tiny"]
    size = shown_bytes(section(found))
    # One image, which the website keeps once, and six tables.
    tables = sum(
        len(_table(json.dumps(v.execution.parameters)).data["text/html"]) for v in found.variants
    )
    assert size == len(kept_pages.PNG) + tables
    exact = explorer.Explorer(found.notebook, found.names, found.variants, 1, size / 1e6)
    assert section(exact)
    small = explorer.Explorer(found.notebook, found.names, found.variants, 1, (size - 1) / 1e6)
    with pytest.raises(WorkError, match=r"Page tiny: .* are 0.00 MB; .* MB are allowed"):
        section(small)


def test_seconds_over_the_budget_fail(kept):
    pages, explorers = kept
    explorer.check_seconds(pages, explorers)
    for execution in explorer.to_execute(explorers)["tiny"]:
        keep(execution, cpu_seconds=5.5)
    with pytest.raises(WorkError) as caught:
        explorer.check_seconds(pages, explorers)
    assert str(caught.value) == (
        "Page tiny: the variants of its explorer took 22.0 s of processor time; 20.0 s are allowed "
        "(brainalign.explore.seconds is 20)."
    )
    explorer.check_seconds(pages, explorers, only=["other"])


def test_variants_read_no_scores_but_those_of_the_parts(kept):
    pages, explorers = kept
    own, variant = pages["tiny"][0], explorer.to_execute(explorers)["tiny"][0]

    def read(execution, *keys):
        lines = [{"key": k, "model": "m", "study": {"name": "testbed"}} for k in keys]
        path = cache.page_folder(execution) / "scores.jsonl"
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    read(own, "a", "b")
    read(variant, "a")
    explorer.check_scores(pages, explorers)
    # Kept since an earlier execution, so that no budget of seconds sees it.
    read(variant, "a", "c")
    explorer.check_seconds(pages, explorers)
    with pytest.raises(WorkError, match=r"Page tiny: .* reads scores of m on testbed that no page"):
        explorer.check_scores(pages, explorers)
    explorer.check_scores(pages, explorers, only=["other"])
    (cache.page_folder(own) / "provenance.json").unlink()
    explorer.check_scores(pages, explorers)


def test_what_the_page_needs_itself_is_not_counted(kept):
    pages, explorers = kept
    for execution in pages["tiny"]:
        keep(execution, cpu_seconds=500)
    explorer.check_seconds(pages, explorers)


def test_a_slow_machine_has_more_seconds(kept):
    pages, explorers = kept
    for variant in explorers["tiny"].variants:
        keep(variant.execution, cpu_seconds=3 * explorer.CHEAPEST_PAGE)
    # Three times as slow: 4 variants of 6 s, 60 s allowed.
    explorer.check_seconds(pages, explorers)
    for execution in explorer.to_execute(explorers)["tiny"]:
        keep(execution, cpu_seconds=16)
    with pytest.raises(WorkError, match="took 64.0 s .* 60.0 s are .* 3.0 times as long on this"):
        explorer.check_seconds(pages, explorers)


def test_the_book_executes_and_checks_its_grids(project, monkeypatch):
    """Pages first, because they leave the scores that variants read."""
    executed, said = [], []

    def execute(execution, warm=False):
        executed.append(execution.name)
        keep(execution, cpu_seconds=6 if len(executed) > 2 else 2)

    monkeypatch.setattr(cache, "refresh", execute)
    monkeypatch.setattr(book.kernels, "start_server", lambda: False)
    monkeypatch.setattr(book, "build", lambda root: root)
    with pytest.raises(WorkError, match="Page tiny: .* 24.0 s of processor time"):
        book.make_book(jobs=1, only=["tiny"], say=said.append)
    pages, explorers = planned()
    assert set(executed[:2]) == {execution.name for execution in pages["tiny"]}
    assert set(executed[2:]) == {one.name for one in explorer.to_execute(explorers)["tiny"]}
    assert any(line.startswith("tiny (published, n_boot=200): ") for line in said)


def test_grids_of_the_book_have_figures_captions_and_tables():
    declared = 0
    for path in NOTEBOOKS:
        notebook = read_notebook(path)
        tagged = [cell for cell in notebook.cells if "explore" in cell.metadata.get("tags", [])]
        if explorer.declaration(notebook, path.stem) is None:
            assert not tagged, path.stem
            continue
        declared += 1
        code = "\n".join(cell.source for cell in tagged if cell.cell_type == "code")
        assert "show(" in code and "table(" in code, path.stem
        captions = [cell.source for cell in tagged if cell.cell_type == "markdown"]
        assert captions and all(text.startswith("**Figure") for text in captions), path.stem
        for place, cell in enumerate(notebook.cells):
            if cell in tagged and "show(" in cell.source:
                assert notebook.cells[place + 1] in tagged, f"{path.stem}: the caption"
    assert declared >= 5


def test_the_grids_of_the_book_can_be_planned(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = explorer.plan_explorers(book.plan_pages())
    assert {"scaling_law", "asymmetry", "isc_reliability"} <= set(found)
    for one in found.values():
        assert any(variant.own for variant in one.variants), one.notebook
        assert 2 <= len(one.variants) <= 12
    assert sum(one.seconds for one in found.values()) <= 130


def test_the_declaration_in_the_prose_is_one():
    text = (ROOT / "book" / "rerun.md").read_text()
    shown = json.loads(re.search(r"```json\n(.*?)```", text, re.DOTALL)[1])
    notebook = read_notebook(ROOT / "notebooks" / "scaling_law.ipynb")
    notebook.metadata["brainalign"] |= shown
    assert explorer.declaration(notebook, "scaling_law") == shown["explore"]
    assert f"the {explorer.CHEAPEST_PAGE:.0f} seconds" in text


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A website built from kept pages: nothing is executed. One variant was not."""
    folder = tiny_book.make_project(tmp_path_factory.mktemp("explorer"))
    declare(folder, DECLARED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("BRAINALIGN_CACHE", str(folder / ".cache"))
        pages, explorers = planned()
        for variant in explorers["tiny"].variants[:-1]:
            keep(variant.execution)
        book.write_pages(pages, explorers)
        return book.build(folder).parent


def test_every_variant_is_on_the_page_without_scripts(site):
    path = site / "book" / "executed" / "tiny.html"
    page = BeautifulSoup(path.read_text(), "html.parser")
    assert [tag["src"].split("?")[0] for tag in page.find_all("script", src=re.compile("explorer"))]
    for number in range(1, 6):
        tag = f"explore-tiny-{number}"
        cells = page.find_all(class_=[tag, f"tag_{tag}"])
        # Heading, two figures (the table goes with the second), caption, command.
        assert len(cells) == 5
        assert sum(len(cell.find_all("img", alt=True)) for cell in cells) == 2
        assert sum(len(cell.find_all("table")) for cell in cells) == 1
        assert not [cell for cell in cells if cell.find(class_="cell_input")]
        assert not [cell for cell in cells if cell.find("details")]
    assert not page.find_all(class_="explore-tiny-6")


def explore(site: Path, **settings) -> dict:
    from brainalign.companion.site import export

    chromium = next(filter(None, map(shutil.which, export.CHROMIUM)), None)
    if not chromium or not shutil.which("node"):
        pytest.skip("chromium or node is not installed")
    code = 'require.resolve("playwright-core")'
    if subprocess.run(["node", "-e", code], cwd=BROWSER, capture_output=True).returncode:
        pytest.skip("npm has not installed the packages of tests/browser")
    settings = {"page": "book/executed/tiny.html", "id": "explore-tiny", **settings}
    command = ["node", "explore.mjs", chromium, str(site), json.dumps(settings)]
    done = subprocess.run(command, cwd=BROWSER, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def shown(state: dict) -> str:
    """The variant that is shown whole while nothing of any other is."""
    (tag,) = [tag for tag, variant in state["variants"].items() if variant["shown"]]
    variant = state["variants"][tag]
    assert variant["shown"] == 5 and variant["hidden"] == 0
    assert len(variant["alt"]) == 2 and variant["tables"] == 1 and len(variant["commands"]) == 1
    return tag


def test_choices_switch_everything_together(site):
    """By keyboard alone, from disk, with the choice in the address."""
    keys = ["ArrowDown", "Tab", "ArrowDown", "Tab", "ArrowDown", "Shift+Tab", "ArrowUp"]
    found = explore(site, presses=keys, hash="#explore-tiny?study=published&n_boot=200")
    assert found["seen"] == {"errors": [], "console": [], "failed": [], "external": []}
    assert found["sticksOut"] == [] and found["withoutScripts"] == "25/25"
    first, steps = found["first"], found["presses"]
    assert shown(first) == "explore-tiny-1"
    assert [c["legend"] for c in first["choices"]][0] == "Study whose brain responses"
    # The first grid does not name `names`: nothing of it can be chosen.
    assert [choice["disabled"] for choice in first["choices"]] == [False, False, True]
    assert [shown(step) for step in steps] == [
        f"explore-tiny-{number}" for number in (3, 3, 5, 5, 5, 5, 3)
    ]
    state = steps[2]
    variant = state["variants"]["explore-tiny-5"]
    assert '"study": "testbed", "n_boot": 200' in variant["alt"][0]
    assert "n_boot = 200" in variant["text"] and '"n_boot": 200' in variant["text"]
    assert variant["commands"][0].startswith("brainalign run tiny -p study=testbed -p n_boot=200")
    assert state["status"] == "Shown: Study: The simulated testbed; N boot: 200; Names: none."
    assert state["hash"] == state["link"] == "#explore-tiny?study=testbed&n_boot=200&names=None"
    # The sixth variant was not executed: its choice is disabled beside the fifth, and says why.
    last = state["choices"][2]["values"][1]
    assert last["disabled"] and "not executed here" in last["label"]
    assert not steps[0]["choices"][2]["values"][1]["disabled"]
    # On paper there is nothing to choose, and the variant chosen last.
    assert not found["print"]["form"] and shown(found["print"]) == "explore-tiny-3"
    assert shown(found["opened"]) == "explore-tiny-2"
    assert shown(found["elsewhere"]) == "explore-tiny-2"


def test_an_address_that_names_no_variant_opens_the_nearest(site):
    found = explore(site, hash="#explore-tiny?study=testbed&n_boot=200&names=%5B%22a%22%5D&x=1")
    assert shown(found["opened"]) == "explore-tiny-5"
    found = explore(site, hash="#explore-tiny?study=none")
    assert shown(found["opened"]) == "explore-tiny-1"
