"""Reference pages: everything public once, every link with an end, nothing that could go stale."""

import ast
import re
import shutil
from pathlib import Path

import pytest
import yaml

import brainalign
from brainalign import cli
from brainalign.arguments import build_parser
from brainalign.companion import WorkError, book
from brainalign.companion.notebooks import notebook_names
from brainalign.companion.parameters import read_schema, to_source
from brainalign.companion.site import docstrings, reference, reference_api
from brainalign.companion.site import reference_entries as entries
from brainalign.errors import InputError

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "brainalign"
# Characters of Markdown; a page of 80,000 has some hundred entries.
LONGEST_PAGE = 80_000
#: Variables that brainalign sets for processes of its own.
#: Results are kept under keys that hold the source of these modules, so that they stay as they are.
KEPT = {"brainalign.parallel.progress", "brainalign.attribution.gradients.collect"}
#: Arguments that are objects of nbformat or Sphinx, as their functions' sentences say.
OF_OTHER_LIBRARIES = {"app", "cell", "config", "doctree", "environment", "exception", "notebook"}
INTERNAL = {"BRAINALIGN_CHANGED", "BRAINALIGN_OUTPUT"}

SMALL = '''"""A module.

Its text has `add`, "value", a * star, schema.org and $money$::

    code = 1
"""

from brainalign.study import Study

Rule = Literal["a", "b"]


class Thing:
    """A thing.

    Attributes
    ----------
    size : int
        In mm.
    """

    size: int
    kind: Rule = "a"

    @property
    def double(self) -> int:
        """Twice as large."""

    def grow(self, by: float, *, slowly: bool = False) -> "Thing":
        """A larger one."""

    def _secret(self):
        pass


def add(thing: Thing, study: Study | None = None, rule: Rule = "a") -> Thing:
    """Add `thing` to a `Study`.

    Not `sub`, which is elsewhere.

    Parameters
    ----------
    thing, study
        What is
        added.
    rule : {"a", "b"}
        How.

    Returns
    -------
    Thing
        A new one.

    Raises
    ------
    InputError
        For [a] thing_ that is *not*.
    """


def say(thing: Thing, loud: bool) -> None:
    """What `add` does, aloud."""


def _hidden():
    pass
'''


@pytest.fixture(scope="module")
def modules():
    return docstrings.read_package()


@pytest.fixture(scope="module")
def names(modules):
    return entries.gather_names(modules)


@pytest.fixture(scope="module")
def pages():
    return reference.reference_pages(ROOT)


@pytest.fixture
def small(tmp_path):
    """A package of one module, and the names in it."""
    path = tmp_path / "tiny" / "part.py"
    path.parent.mkdir()
    path.write_text(SMALL)
    module = docstrings.read_module(path, path.parent)
    study = docstrings.read_module(PACKAGE / "study.py")
    return module, entries.gather_names({one.name: one for one in (module, study)})


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def public() -> list[str]:
    """Full names of all public functions and classes, found without the code under test."""
    return [
        f"{module_name(path)}.{name}"
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"^(?:def|class) ([A-Za-z]\w*)", path.read_text(), re.MULTILINE)
    ]


def defined(text: str) -> list[str]:
    """Full names that a page defines."""
    found, module, owner = [], "", ""
    for line in text.splitlines():
        if match := re.match(r"```\{py:module\} (.+)", line):
            module = match[1]
            found.append(module)
        elif match := re.match(r"`````\{py:\w+\} (\w+)", line):
            owner = f"{module}.{match[1]}"
            found.append(owner)
        elif match := re.match(r"````\{py:\w+\} (\w+)", line):
            found.append(f"{owner}.{match[1]}")
    return found


def test_every_public_name_stands_on_one_page(pages):
    found = [name for page in reference_api.GROUPS for name in defined(pages[page])]
    assert len(set(found)) == len(found)
    expected = set(public())
    assert expected - set(found) == set() and len(expected) > 1000
    others = set(found) - expected
    # Besides functions and classes: modules, and what belongs to a class.
    assert {name for name in others if name.rpartition(".")[0] not in expected} <= set(
        map(module_name, PACKAGE.rglob("*.py"))
    )


def silent(entry: docstrings.Entry, names: entries.Names, full: str) -> set[str]:
    """Arguments of a function with neither type nor description; "return" for its result."""
    tree = ast.parse(f"def f{entry.signature}: pass").body[0]
    described = entries._described(full, names)
    gives = tree.returns or {"Returns", "Yields"} & set(entry.sections)
    options = {one.arg for one in (tree.args.vararg, tree.args.kwarg) if one}
    arguments = [one for one in ast.walk(tree) if isinstance(one, ast.arg)]
    untyped = {one.arg for one in arguments if not one.annotation} - described - options
    return untyped | (set() if gives else {"return"})


def test_every_public_name_says_what_it_takes_and_gives(modules, names):
    for module in modules.values():
        for entry in module.entries:
            full = f"{module.name}.{entry.name}"
            assert entry.summary.endswith((".", "?", ":")), full
            if entry.kind == "function" and full not in KEPT:
                assert silent(entry, names, full) <= OF_OTHER_LIBRARIES, full


def test_a_silent_function_is_found(small):
    module, names = small
    entry = module.entries[2]
    assert silent(entry, names, "tiny.part.say") == set()
    (bad,) = docstrings._entries(ast.parse("def f(a, b: int): pass").body, "x.py")
    assert silent(bad, names, "tiny.part.f") == {"a", "return"}


def test_what_brainalign_exports_is_listed_and_described(pages, modules):
    for name in brainalign.__all__:
        module = f"brainalign.{brainalign._WHERE[name]}"
        assert f"| {{py:obj}}`{name} <{module}.{name}>` |" in pages["api"]
        (entry,) = [one for one in modules[module].entries if one.name == name]
        if entry.kind == "function" and entry.arguments and name not in ("model_table",):
            assert "Parameters" in entry.sections and "Returns" in entry.sections, name


def test_every_link_inside_the_package_has_an_end(pages):
    ends = {name for text in pages.values() for name in defined(text)}
    links = set()
    for text in pages.values():
        links |= set(re.findall(r"\{py:obj\}`[^`<]+ <([^>]+)>`", text))
        heads = re.findall(r"^`{4,5}\{py:\w+\} (.+)$", text, re.MULTILINE)
        links |= {name for head in heads for name in re.findall(r"~(brainalign[\w.]+)", head)}
    assert links - ends == set()
    assert len(links) > 300


def test_pages_are_no_longer_than_can_be_read(pages):
    assert [page for page, text in pages.items() if len(text) > LONGEST_PAGE] == []


def test_groups_follow_the_data_and_are_all_in_the_table_of_contents(pages):
    order = list(reference_api.GROUPS)
    flow = ["study", "models", "activations", "regressors", "ridge", "encoding", "scaling"]
    flow += ["figures", "companion"]
    places = [order.index(f"api_{name}") for name in flow]
    assert places == sorted(places)
    toc = book._toc_files(yaml.safe_load((ROOT / "_toc.yml").read_text()))
    listed = [Path(file).name for file in toc if Path(file).parent == reference.GENERATED]
    assert [name for name in listed if name in order] == order
    assert set(listed) == set(pages)


def test_a_module_of_no_group_is_an_error():
    assert reference_api.group_of("brainalign.studies.folder") == "api_study"
    assert reference_api.group_of("brainalign.studies.testbed.zoo") == "api_testbed"
    assert reference_api.group_of("brainalign.studies.alice") == "api_real_studies"
    with pytest.raises(InputError, match="brainalign.nowhere belongs to no page"):
        reference_api.group_of("brainalign.nowhere")


def test_a_docstring_is_taken_apart():
    text = "One\nsentence.\n\nMore.\n\nParameters\n----------\na, b : int\n    Two\n    lines.\nc\n"
    text += "    Third.\n\nNotes\n-----\nFree text.\n"
    summary, description, sections = docstrings.split_docstring(text)
    assert (summary, description) == ("One sentence.", "More.")
    assert sections == {
        "Parameters": [("a, b : int", "Two\nlines."), ("c", "Third.")],
        "Notes": "Free text.",
    }
    assert docstrings.split_docstring("") == ("", "", {})
    with pytest.raises(InputError, match="section 'Return'"):
        docstrings.split_docstring("A.\n\nReturn\n------\nint\n")


def test_a_wrong_section_is_reported_with_its_place(tmp_path):
    path = tmp_path / "tiny" / "bad.py"
    path.parent.mkdir()
    path.write_text('def f():\n    """A.\n\n    Retruns\n    -------\n    int\n    """\n')
    with pytest.raises(InputError, match=r"tiny/bad.py, f: .* 'Retruns'"):
        docstrings.read_module(path, path.parent)


def test_a_module_is_read_without_importing_it(small):
    module, _ = small
    assert module.name == "tiny.part" and module.file == "tiny/part.py"
    assert [entry.name for entry in module.entries] == ["Thing", "add", "say"]
    thing, add, say = module.entries
    assert thing.signature == "(size: int, kind: Rule = 'a')"
    assert [member.name for member in thing.members] == ["double", "grow"]
    assert thing.members[1].signature == "(by: float, *, slowly: bool=False) -> 'Thing'"
    assert add.arguments == ("thing", "study", "rule") and add.returns and not say.returns


def test_an_entry_has_links_types_and_no_stray_markup(small):
    module, names = small
    text = entries.entry_text(module.entries[1], names, module, "https://x.org/part.py")
    assert text.startswith(
        "`````{py:function} add(thing: ~tiny.part.Thing, study: ~brainalign.study.Study | None=None, "
        "rule: Literal['a', 'b']='a') -> ~tiny.part.Thing\n"
    )
    # An argument, a class of another module, and a name that is nothing here.
    assert "Add `thing` to a {py:obj}`Study <brainalign.study.Study>`.\n\nNot `sub`" in text
    assert "`thing`, `study`\n: What is\n  added.\n" in text
    assert '`rule` : \\{"a", "b"\\}\n: How.' in text
    assert "**Returns**\n\n{py:obj}`Thing <tiny.part.Thing>`\n: A new one." in text
    assert r": For \[a\] thing\_ that is \*not\*." in text
    assert "[Source](https://x.org/part.py#L" in text and text.endswith("\n\n`````")
    assert "Source" not in entries.entry_text(module.entries[1], names, module)


def test_a_short_docstring_points_to_the_one_it_mentions(small):
    module, names = small
    text = entries.entry_text(module.entries[2], names, module)
    assert "`thing`\n: As for {py:obj}`add <tiny.part.add>`." in text and "`loud`" not in text


def test_the_text_of_a_module(small):
    module, names = small
    text = entries.markdown(module.description, names, module)
    assert "{py:obj}`add <tiny.part.add>`" in text
    assert r'`"value"`, a \* star, schema\.org and \$money\$:' in text
    assert text.endswith("```python\ncode = 1\n```\n")


def test_sources_are_linked_only_where_an_address_is_set(names, pages):
    assert not any("[Source](" in text for text in pages.values())
    text = reference_api.page_text("api_regressors", names, "https://x.org/blob/main")
    assert "[Source](https://x.org/blob/main/brainalign/regressors.py#L" in text


def test_every_command_is_described_with_its_arguments(pages):
    text = pages["command_line"]
    found = {parser.prog: parser for parser, _ in reference.all_commands()}
    (actions,) = [action for action in build_parser()._actions if action.dest == "command"]
    assert {prog.split()[1] for prog in found} == set(actions.choices)
    assert "brainalign zoo train" in found and "brainalign zoo" not in found
    for prog, parser in found.items():
        (section,) = re.findall(
            rf"^## {prog.removeprefix('brainalign ')}\n(.*?)(?=^## |^\(exit)",
            text,
            re.DOTALL | re.MULTILINE,
        )
        assert f"```text\n{prog} [-h]" in section
        assert f"```bash\n{prog}" in section, f"{prog} has no example"
        for action in parser._actions:
            name = action.option_strings[0] if action.option_strings else action.dest
            assert action.help, f"{prog} {name} has no help"
            assert name in section or name.upper() in section or action.metavar in section


def test_examples_are_commands_of_the_prose(pages):
    shown = {" ".join(words) for words in reference.shown_commands(ROOT)}
    blocks = re.findall(r"```bash\n(.*?)```", pages["command_line"], re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) > 15
    assert {line.removeprefix("brainalign ").replace("'", "") for line in lines} <= shown


def test_the_page_does_not_depend_on_the_terminal(pages, monkeypatch):
    for width in ("40", "300"):
        monkeypatch.setenv("COLUMNS", width)
        assert reference.command_page(ROOT) == pages["command_line"]


@pytest.mark.parametrize("status", reference.EXIT_STATUS)
def test_commands_end_with_the_exit_status_that_the_page_explains(status, monkeypatch, pages):
    raised = {1: WorkError("It failed."), 2: InputError("Wrong."), 130: KeyboardInterrupt()}

    def work(arguments):
        if status in raised:
            raise raised[status]

    monkeypatch.setattr(cli, "_list", work)
    assert cli.main(["list"]) == status
    assert re.search(rf"^`{status}`\n: ", pages["command_line"], re.MULTILINE)


def test_variables_of_the_environment_are_listed(pages):
    sources = [path.read_text() for path in PACKAGE.rglob("*.py")]
    read = set(re.findall(r"\bBRAINALIGN_[A-Z_]+", "\n".join(sources)))
    listed = {name for name in reference.VARIABLES if name.startswith("BRAINALIGN_")}
    assert read - INTERNAL == listed
    assert all(f"`{name}`\n: " in pages["command_line"] for name in reference.VARIABLES)


@pytest.mark.parametrize("notebook", notebook_names())
def test_every_parameter_is_described_under_its_notebook(notebook, pages):
    (section,) = re.findall(
        rf"\(parameters-{notebook}\)=\n## {notebook}\n(.*?)(?=^\(param)",
        pages["parameters"],
        re.DOTALL | re.MULTILINE,
    )
    schema = read_schema(notebook)
    index = pages["parameters"].split("(parameter-index)=")[1]
    heads = re.findall(r"^`(\w+) = (.*)`\n: .+\n: .+$", section, re.MULTILINE)
    assert heads == [(name, to_source(one.default)) for name, one in schema.items()]
    for name in schema:
        (line,) = re.findall(rf"^`{name}`\n: (.+)$", index, re.MULTILINE)
        assert f"{{ref}}`{notebook} <parameters-{notebook}>`" in line


def test_what_is_written(tmp_path, monkeypatch):
    made = []

    def generate(root):
        made.append(root)
        return {"api": "a\n", "parameters": "p\n"}

    monkeypatch.setattr(reference, "reference_pages", generate)
    assert reference.write_reference(tmp_path, ["book/index", "book/executed/asymmetry"]) == []
    assert made == []
    listed = ["book/index", "book/executed/reference/parameters"]
    (path,) = reference.write_reference(tmp_path, listed)
    assert path == tmp_path / "book/executed/reference/parameters.md" and path.read_text() == "p\n"
    before = path.stat().st_mtime_ns
    reference.write_reference(tmp_path, listed)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="no reference page 'gone'"):
        reference.write_reference(tmp_path, ["book/executed/reference/gone"])


def test_the_same_code_gives_the_same_pages(pages, names):
    assert reference_api.page_text("api_ridge", names) == pages["api_ridge"]
    assert reference.command_page(ROOT) == pages["command_line"]


@pytest.fixture(scope="module")
def built(pages, tmp_path_factory):
    """Some of the pages as Sphinx renders them; a warning is a failure."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    folder = tmp_path_factory.mktemp("reference")
    chosen = ("api_regressors", "api_ridge", "command_line", "parameters")
    for name in chosen:
        (folder / f"{name}.md").write_text(pages[name], encoding="utf-8")
    for name in ("references.md", "references.bib"):
        shutil.copy(ROOT / "book" / name, folder)
    listed = "\n".join([*chosen, "references"])
    (folder / "index.md").write_text(f"# T\n\n```{{toctree}}\n{listed}\n```\n")
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    confoverrides = {
        "extensions": ["myst_parser", "sphinxcontrib.bibtex"],
        "bibtex_bibfiles": ["references.bib"],
        "myst_enable_extensions": settings["parse"]["myst_enable_extensions"],
        "html_theme": "basic",
        "python_maximum_signature_line_length": 70,
    }
    with patch_docutils(), docutils_namespace():
        site = Sphinx(
            folder,
            None,
            folder / "out",
            folder / "trees",
            "html",
            confoverrides,
            status=None,
            warningiserror=True,
        )
        site.build()
    assert site.statuscode == 0
    return folder / "out"


def soup(path: Path):
    from bs4 import BeautifulSoup

    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_entries_are_rendered_as_entries(built):
    page = soup(built / "api_ridge.html")
    entry = page.find(id="brainalign.ridge.leave_one_run_out").parent
    assert entry["class"] == ["py", "function"]
    link = entry.dt.find("a", string="RidgeResult") or entry.dt.find("a", title=True)
    assert link["href"].startswith("#brainalign.ridge.")
    assert {"Parameters", "Returns", "Raises"} >= {tag.text for tag in entry.find_all("strong")}
    assert not re.search(r"\{py:|\\[*_$]|(?<!\w)~brainalign", page.text)


def test_every_work_of_the_bibliography_is_a_link(built):
    works = soup(built / "references.html").find_all(attrs={"role": "doc-biblioentry"})
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    assert len(works) == len(re.findall(r"^@", text, re.MULTILINE)) > 20
    for work in works:
        links = [tag["href"] for tag in work.find_all("a", class_="external")]
        assert links and all(link.startswith("https://") for link in links), work.text


def test_choices_are_code_that_can_be_copied(built):
    page = soup(built / "parameters.html")
    assert '"published"' in [tag.text for tag in page.find_all("code")]
    assert page.find(id="parameter-index") and page.find(id="parameters-asymmetry")
    assert len(page.find_all("a", href="#parameters-asymmetry")) > 10
