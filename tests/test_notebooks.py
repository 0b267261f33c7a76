"""Notebooks: the house rules by reading them, and the published study by running them."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

from brainalign.companion.parameters import read_schema

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LONGEST_CELL = 15
# Characters that fit the page without a scroll bar.
WIDEST_LINE = 88


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    read = nbformat.read(request.param, as_version=4)
    read.name = request.param.stem
    return read


def tags(cell):
    return cell.metadata.get("tags", [])


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_there_are_notebooks():
    assert {"scaling_law", "asymmetry"} <= {path.stem for path in NOTEBOOKS}


def test_is_valid_and_has_no_outputs(notebook):
    nbformat.validate({key: value for key, value in notebook.items() if key != "name"})
    for cell in code_cells(notebook):
        assert cell.outputs == [] and cell.execution_count is None


def test_cell_ids_are_words_and_unique(notebook):
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", name) for name in ids)


def test_first_code_cell_alone_holds_the_parameters(notebook):
    tagged = ["parameters" in tags(cell) for cell in code_cells(notebook)]
    assert tagged == [True] + [False] * (len(tagged) - 1)


def test_parameters_have_types_and_meanings(notebook):
    schema = read_schema(notebook.name)
    assert {"study", "models", "n_boot", "seed"} <= schema.keys()
    for parameter in schema.values():
        assert len(parameter.meaning) > 3, parameter.name
        assert parameter.check(parameter.default) == parameter.default


def test_cells_are_short_and_define_no_helpers(notebook):
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= LONGEST_CELL, cell.id
        assert all(len(line) <= WIDEST_LINE for line in cell.source.splitlines()), cell.id
        nodes = list(ast.walk(ast.parse(cell.source)))
        assert not any(
            isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda) for node in nodes
        )
        assert not any(isinstance(node, ast.For | ast.While) for node in nodes), cell.id


def test_every_figure_is_shown_with_its_alt_text_and_a_caption(notebook):
    drawn = shown = 0
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        calls = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
        drawn += sum(ast.unparse(call.func).endswith("_figure") for call in calls)
        for call in calls:
            if ast.unparse(call.func) == "show":
                shown += 1
                assert "alt" in {keyword.arg for keyword in call.keywords}, cell.id
                assert notebook.cells[place + 1].source.startswith("**Figure"), cell.id
        assert ("_figure(" in cell.source) == ("_alt(" in cell.source), cell.id
    assert drawn == shown >= 2


def test_keeps_to_the_standard_outline(notebook):
    text = markdown(notebook)
    assert notebook.cells[0].source.startswith("# ") and notebook.cells[0].source.count("?") >= 1
    for words in ["**What you will learn**", "**Prerequisites.**", "**Run time.**"]:
        assert words in notebook.cells[0].source
    for heading in ["Published versus found here", "How far to trust this", "Try it", "Exercise"]:
        assert re.search(rf"^## .*{heading}", text, re.MULTILINE), heading
    assert "no error term over listeners" in " ".join(text.split())
    assert any("rerun_command(" in cell.source for cell in code_cells(notebook))
    assert sum(line.startswith("# ") for line in text.splitlines()) == 1


def test_solution_checks_itself(notebook):
    solutions = [cell for cell in code_cells(notebook) if "solution" in tags(cell)]
    assert solutions
    for cell in solutions:
        assert "assert" in cell.source and "hide-cell" in tags(cell)


def test_exercises_and_introduction_appear_once_on_a_page(notebook):
    once = [("once" in tags(cell)) for cell in notebook.cells]
    assert once[0] and once[-1]
    inner = once[once.index(False) : len(once) - once[::-1].index(False)]
    assert not any(inner)
    pages = notebook.metadata["brainalign"]["pages"]
    assert [page["study"] for page in pages] == ["published", "testbed"]


def test_runs_on_the_published_scores(notebook, tmp_path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("BRAINALIGN_OUTPUT", str(tmp_path))
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    first = next(i for i, cell in enumerate(notebook.cells) if "parameters" in tags(cell))
    changed = nbformat.v4.new_code_cell('study = "published"\nn_boot = 200')
    notebook.cells.insert(first + 1, changed)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(tmp_path))
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["n_models"] == 28
    expected = {
        "scaling_law": {"r_log_parameters": 0.95},
        "asymmetry": {
            "r_log_parameters_difference": 0.82,
            "r_log_parameters_difference_reliable": 0.89,
        },
    }[notebook.name]
    for name, value in expected.items():
        assert abs(numbers[name] - value) <= 0.006, name
    pictures = sorted((tmp_path / "figures").glob("*.png"))
    assert len(pictures) >= 2
    assert all(
        path.with_suffix(".txt").read_text().startswith("Published values") for path in pictures
    )
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 29
    assert not (tmp_path / "cache").exists()
