"""Pages whose data or models are not at hand: what is missing is known, said, and mended."""

import json
from types import SimpleNamespace

import nbformat
import pytest
import tiny_book

from brainalign import models
from brainalign.companion import book, cache
from brainalign.companion.availability import in_words, lacks, model_lack, note, require, study_lack
from brainalign.companion.compose import Part, compose
from brainalign.companion.overview import list_everything, status_text
from brainalign.companion.run import plan, run_to
from brainalign.errors import InputError
from brainalign.studies import registry

PARAMETERS = """from brainalign.companion.parameters import Literal, ModelName

study: Literal["published", "testbed", "alice"] = "testbed"  # whose brain responses
models: list[ModelName] | None = None  # None: the study's own
baselines: list[ModelName] | None = None  # controls
"""
FETCH = "brainalign fetch alice"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tiny_book.make_project(tmp_path_factory.mktemp("lacking"))
    cells = [
        tiny_book.text("# Is it there?", "once"),
        tiny_book.code(PARAMETERS, "parameters"),
        tiny_book.text("(label)=\n## Compute"),
        tiny_book.code("print('found', study)"),
        tiny_book.text("## Exercise", "once"),
    ]
    tiny_book.write_notebook(folder, "tiny", cells, [{"study": "alice"}, {"study": "testbed"}])
    return folder


@pytest.fixture(autouse=True)
def inside(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(project / ".cache"))


@pytest.fixture
def machine(monkeypatch):
    """A machine without Alice and minilm; what the test adds to `has` is there."""
    has = set()
    files = [SimpleNamespace(size=size) for size in (1_500_000, None, 1_000_000)]
    monkeypatch.setattr(
        registry, "missing_files", lambda study: files if {study} - has == {"alice"} else []
    )
    monkeypatch.setattr(models, "available", lambda name: name != models.MINILM or name in has)
    return has


def page(project):
    return nbformat.read(project / "book" / "executed" / "tiny.ipynb", as_version=4)


def test_what_is_missing_of_a_study(machine):
    assert study_lack("alice").what == "data of alice (3 files, 2.5 MB)"
    assert study_lack("alice").command == FETCH
    assert study_lack("testbed") is study_lack("published") is study_lack(None) is None
    machine.add("alice")
    assert study_lack("alice") is None


def test_what_is_missing_of_a_model(machine, monkeypatch):
    assert model_lack("minilm").command == models.MINILM_COMMAND
    assert model_lack("random-vectors-8") is model_lack(models.zoo_names()[0]) is None
    monkeypatch.setattr(models, "available", lambda name: False)
    assert model_lack("gpt2:untrained-1").command == "hf download openai-community/gpt2"


def test_a_part_needs_its_study_and_its_models(machine):
    def commands(**values):
        return [lack.command for lack in lacks(plan("tiny", values))]

    both = [FETCH, models.MINILM_COMMAND]
    assert commands(study="alice") == both  # of a real study, minilm is the default
    assert commands(study="alice", models=["minilm", "minilm:untrained-0"]) == [FETCH] + both[1:]
    assert commands(study="alice", models=["random-vectors-8"]) == [FETCH]
    assert commands(study="testbed") == []
    assert commands(study="testbed", baselines=["minilm"]) == both[1:]
    assert commands(study="published", models=["minilm"]) == []  # nothing is encoded
    machine |= {"alice", "minilm"}
    assert commands(study="alice") == []


def test_words_name_what_is_missing_and_the_command(machine):
    missing = lacks(plan("tiny", {"study": "alice"}))
    assert in_words(missing) == (
        "not on this machine: data of alice (3 files, 2.5 MB), language model minilm; "
        f"fetch with: {FETCH}, {models.MINILM_COMMAND}"
    )
    text = note(missing)
    assert text.startswith(":::{admonition}") and text.endswith(":::")
    assert f"```bash\n{FETCH}\n{models.MINILM_COMMAND}\nbrainalign book\n```" in text


def test_a_run_that_could_only_fail_is_refused(machine, project):
    machine.add("minilm")
    with pytest.raises(InputError, match=f"data of alice .*; fetch with `{FETCH}`"):
        run_to(plan("tiny", {"study": "alice"}), project / "no")
    assert not (project / "no").exists() and not list(project.glob(".brainalign-*"))
    require(plan("tiny", {}))


def test_a_model_on_the_hub_is_fetched_when_it_is_used(machine, monkeypatch):
    monkeypatch.setattr(models, "available", lambda name: False)
    require(plan("tiny", {"models": ["gpt2"]}))
    with pytest.raises(InputError, match="language model minilm"):
        require(plan("tiny", {"models": ["gpt2", "minilm"]}))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="model gpt2; fetch with `hf download openai-community/g"):
        require(plan("tiny", {"models": ["gpt2"]}))


def test_the_book_is_planned_without_the_models_package(monkeypatch):
    monkeypatch.setattr(models, "model_folder", lambda name: None)
    (execution,) = book.plan_pages({"tiny": {"study": "testbed", "models": ["minilm"]}})["tiny"]
    assert execution.parameters["models"] == ["minilm"]
    with pytest.raises(InputError, match="Unknown model 'minlm'"):
        plan("tiny", {"models": ["minlm"]})


def test_a_page_comes_and_goes_with_its_data(machine, project):
    pages, said = book.plan_pages(), []
    assert book.execute_stale(pages, jobs=1, say=said.append) == 1
    assert said[0].startswith("tiny (alice): left out; not on this machine: data of alice")
    assert said[1] == "tiny (testbed): never executed"
    assert not cache.page_folder(pages["tiny"][0]).exists()
    book.write_pages(pages)
    without = [cell.source for cell in page(project).cells]
    assert without[0] == "# Is it there?" and without[-2] == "## Exercise"
    assert without[-1].startswith("## How to cite this page")
    assert without[1].startswith("## In measured listeners to Alice\n\n:::{admonition} Not on")
    assert without[2].startswith("## In the simulated testbed")
    assert without[4] == "(label)=\n### Compute"  # the first part that is there keeps the label
    assert status_text().splitlines()[0].startswith("tiny (alice)    not on this machine")

    machine |= {"alice", "minilm"}
    assert cache.stale_reasons(pages["tiny"][0]) == ["parameters: never executed with this study"]
    assert book.execute_stale(pages, jobs=1, say=said.append) == 1
    book.write_pages(pages)
    there = page(project)
    assert "Measured data" in there.cells[1].source
    assert [c.outputs[0].text for c in there.cells if c.get("outputs")] == [
        "found alice\n",
        "found testbed\n",
    ]
    assert status_text().splitlines()[0].split("  ")[-1].strip() == "up to date"

    machine.clear()
    assert book.execute_stale(pages, jobs=1) == 0
    book.write_pages(pages)
    assert [cell.source for cell in page(project).cells] == without


def test_a_page_of_nothing_but_notes(machine, project):
    pages = book.plan_pages({"tiny": {"study": "alice"}})
    assert book.execute_stale(pages) == 0
    book.write_pages(pages)
    cells = page(project).cells
    assert [cell.source.splitlines()[0] for cell in cells] == [
        "# Is it there?",
        ":::{admonition} Not on this machine",
        "## How to cite this page",
    ]
    nbformat.validate(json.loads(nbformat.writes(page(project))))


def test_a_note_takes_the_place_of_one_part():
    notebook = nbformat.v4.new_notebook(cells=[tiny_book.text("body")])
    parts = [Part({"study": "testbed"}, notebook), Part({"study": "alice"}, notebook, "the note")]
    found = [cell.source for cell in compose(parts).cells]
    assert found[1:] == ["body", "## In measured listeners to Alice\n\nthe note"]


def test_the_list_says_what_is_at_hand(machine):
    text = list_everything()
    assert f"not at hand: {FETCH}" in text and f"not at hand: {models.MINILM_COMMAND}" in text
    machine |= {"alice", "minilm"}
    assert "not at hand" not in list_everything()
