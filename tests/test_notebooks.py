"""Notebooks: the house rules by reading them, and the published study by running them."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from brainalign.companion.exercises import end_source, read_exercises
from brainalign.companion.parameters import read_schema, resolve
from brainalign.errors import InputError

FOLDER = Path(__file__).parents[1] / "notebooks"
PUBLISHED = Path(__file__).parents[1] / "brainalign" / "published"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LONGEST_CELL = 15
# The interface of a page, one parameter on each line.
MOST_PARAMETERS = 18
# Characters that fit the page without a scroll bar.
WIDEST_LINE = 88
# Checks of exercises are on no page.
WIDEST_CHECK = 100
PAGES = {
    "isc_reliability": ["petitprince-en", "alice", "testbed"],
    "scaling_law": ["published", "alice", "testbed"],
    "asymmetry": ["published", "testbed"],
    "brain_maps": ["testbed"],
    "individuals": ["published", "testbed"],
    "parcels": ["published", "testbed"],
    "layer_depth": ["published", "testbed"],
    "training_checkpoints": ["published", "testbed"],
    "languages": ["published", "testbed"],
    "roi_slopes": ["published", "testbed"],
    "attribution": ["testbed"],
    "power": ["testbed"],
    "pitfalls": ["testbed"],
    "robustness": ["published", "testbed"],
    "task_performance": ["published", "testbed"],
    "semantic_consistency": ["concepts", "concepts-testbed"],
}
#: Language models on the published part of a page, and rows of its table, where it is not all 28.
FEWER_MODELS = {"individuals": 9, "training_checkpoints": 9, "languages": None}

ON_PUBLISHED_SCORES = [path for path in NOTEBOOKS if "published" in PAGES[path.stem]]


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
    assert set(PAGES) == {path.stem for path in NOTEBOOKS}


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
    assert {"study", "seed"} <= schema.keys()
    assert "n_boot" in schema or "models" not in schema
    for parameter in schema.values():
        assert len(parameter.meaning) > 3, parameter.name
        assert parameter.check(parameter.default) == parameter.default


def test_cells_are_short_and_define_no_helpers(notebook):
    for cell in code_cells(notebook):
        longest = MOST_PARAMETERS if "parameters" in tags(cell) else LONGEST_CELL
        assert len(cell.source.splitlines()) <= longest, cell.id
        widest = WIDEST_CHECK if "check" in tags(cell) else WIDEST_LINE
        assert all(len(line) <= widest for line in cell.source.splitlines()), cell.id
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


def test_has_a_main_table(notebook):
    """A run leaves it as table.csv."""
    calls = [
        node
        for cell in code_cells(notebook)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "table"
    ]
    names = [ast.literal_eval(one) for call in calls for one in call.args[1:2]]
    assert "table" in names


def test_keeps_to_the_standard_outline(notebook):
    text = markdown(notebook)
    assert notebook.cells[0].source.startswith("# ") and notebook.cells[0].source.count("?") >= 1
    for words in ["**What you will learn**", "**Prerequisites.**", "**Run time.**"]:
        assert words in notebook.cells[0].source
    assert re.search(r"^\*\*Time\.\*\* \w+ minutes to read\.$", notebook.cells[0].source, re.M)
    for heading in ["Published versus found here", "How far to trust this", "Try it", "Exercises"]:
        assert re.search(rf"^## .*{heading}", text, re.MULTILINE), heading
    if "models" in read_schema(notebook.name):
        assert "no error term over listeners" in " ".join(text.split())
    assert any("rerun_command(" in cell.source for cell in code_cells(notebook))
    assert sum(line.startswith("# ") for line in text.splitlines()) == 1


def test_solutions_fold_and_checks_explain_themselves(notebook):
    exercises = read_exercises(notebook.cells)
    assert len(exercises) >= 2
    cells = {cell.source: cell for cell in notebook.cells}
    for exercise in exercises:
        assert "hide-cell" in tags(cells[exercise.solution])
        asserted = [n for n in ast.walk(ast.parse(exercise.test)) if isinstance(n, ast.Assert)]
        assert asserted
        for node in asserted:
            names = {one.id for one in ast.walk(node.msg) if isinstance(one, ast.Name)}
            assert isinstance(node.msg, ast.Constant) or names, exercise.label
            assert not names & {*exercise.answers}
            words = [n.value for n in ast.walk(node.msg) if isinstance(n, ast.Constant)]
            assert all(re.search(r"[.?]$", text) for text in words), exercise.label


def test_exercises_and_introduction_appear_once_on_a_page(notebook):
    once = [("once" in tags(cell)) for cell in notebook.cells]
    assert once[0] and once[-1]
    inner = once[once.index(False) : len(once) - once[::-1].index(False)]
    assert not any(inner)
    pages = notebook.metadata["brainalign"]["pages"]
    assert [page["study"] for page in pages] == PAGES[notebook.name]


def executed(notebook, folder, monkeypatch, changes):
    """Run a notebook with some lines after its parameters; its numbers."""
    from nbclient import NotebookClient

    monkeypatch.setenv("BRAINALIGN_OUTPUT", str(folder))
    monkeypatch.setenv("BRAINALIGN_CACHE", str(folder / "cache"))
    first = next(i for i, cell in enumerate(notebook.cells) if "parameters" in tags(cell))
    notebook.cells.insert(first + 1, nbformat.v4.new_code_cell(changes))
    # As in every execution: stubs and wrong answers must fail.
    notebook.cells.append(nbformat.v4.new_code_cell(end_source(read_exercises(notebook.cells))))
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(folder))
    return json.loads((folder / "numbers.json").read_text())


@pytest.mark.parametrize("notebook", ON_PUBLISHED_SCORES, indirect=True, ids=lambda p: p.stem)
def test_runs_on_the_published_scores(notebook, tmp_path, monkeypatch):
    draws = "\nn_boot = 200" if "n_boot" in read_schema(notebook.name) else ""
    numbers = executed(notebook, tmp_path, monkeypatch, 'study = "published"' + draws)
    assert numbers.get("n_models") == FEWER_MODELS.get(notebook.name, 28)
    expected = {
        "scaling_law": {"r_log_parameters": 0.95},
        "asymmetry": {
            "r_log_parameters_difference": 0.82,
            "r_log_parameters_difference_reliable": 0.89,
        },
        "individuals": {
            "r_log_parameters_difference_EN057": 0.83,
            "r_log_parameters_EN062_p90": 0.97,
        },
        "parcels": {"r_log_parameters_difference": 0.87, "r_slope_isc": -0.09},
        "layer_depth": {"r_best_depth_log_parameters": -0.56, "r_best_depth_hellaswag": -0.68},
        "training_checkpoints": {"r_trained_GPT_2": 0.99, "r_trained_Qwen1_5": 0.96},
        "languages": {"r_log_parameters_en": 0.95, "r_log_parameters_difference_cn": 0.928},
        "roi_slopes": {
            f"r_log_parameters_difference_{roi}": r
            for roi, r in {"TP": 0.36, "aSTS": 0.85, "AG_TPJ": 0.84, "BA44": 0.15}.items()
        },
        "robustness": {"r_single_layer": 0.958, "n_right_aSTS": 28, "n_negative_normalised": 19},
        "task_performance": {"r_completion": 0.95, "r_completion_largest": 0.83},
    }[notebook.name]
    for name, value in expected.items():
        assert abs(numbers[name] - value) <= 0.006, name
    pictures = sorted((tmp_path / "figures").glob("*.png"))
    assert len(pictures) >= 2
    assert all(
        path.with_suffix(".txt").read_text().startswith("Published values") for path in pictures
    )
    n_rows = {"individuals": 10, "training_checkpoints": 18, "languages": 4}.get(notebook.name, 28)
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 1 + n_rows
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("notebook", [FOLDER / "isc_reliability.ipynb"], indirect=True)
@pytest.mark.parametrize(
    ("study", "expected", "n_rows", "n_figures"),
    [
        (
            "petitprince-en",
            {"n_voxels": 25_870, "n_reliable": 6468, "threshold": 0.4873, "n_parcels_near": 44},
            22,
            4,
        ),
        ("alice", {"isc_LATL": 0.277, "isc_RATL": 0.225, "isc_LPTL": 0.397}, 6, 2),
    ],
)
def test_reliability_of_measured_listeners(
    notebook, study, expected, n_rows, n_figures, real_data, tmp_path, monkeypatch
):
    numbers = executed(notebook, tmp_path, monkeypatch, f"study = {study!r}")
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, abs=5e-4)
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 1 + n_rows
    assert len(list((tmp_path / "figures").glob("*.png"))) == n_figures


@pytest.mark.parametrize("notebook", [FOLDER / "scaling_law.ipynb"], indirect=True)
def test_one_model_of_measured_listeners(notebook, real_data, tmp_path, monkeypatch):
    """Random embeddings stand in for the model: they are there at once."""
    changes = 'study = "alice"\nmodels = ["random-embeddings-32"]\nn_boot = 200'
    numbers = executed(notebook, tmp_path, monkeypatch, changes)
    assert numbers["n_models"] == 1 and numbers["slope_per_decade"] is None
    rates = {"LATL": (0.30, 0.35), "RATL": (0.26, 0.37), "LPTL": (0.45, 0.43)}
    for region, (boxcars, impulses) in rates.items():
        assert numbers[f"score_word_rate_{region}"] == pytest.approx(boxcars, abs=0.006)
        assert numbers[f"score_word_rate_impulses_{region}"] == pytest.approx(impulses, abs=0.006)
        model = f"random_embeddings_32_{region}"
        assert numbers[f"ci_low_{model}"] < numbers[f"score_{model}"] < numbers[f"ci_high_{model}"]
        assert abs(numbers[f"score_shifted_{region}"]) < 0.1
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 1 + 6 * 6
    assert len(list((tmp_path / "figures").glob("*.png"))) == 2


@pytest.mark.parametrize("notebook", [FOLDER / "semantic_consistency.ipynb"], indirect=True)
def test_published_maps_of_consistency(notebook, real_data, tmp_path, monkeypatch):
    changes = 'study = "concepts"\nn_null = 99'
    numbers = executed(notebook, tmp_path, monkeypatch, changes)
    counts = {"left": [24_272, 5_500, 1_380, 295], "right": [16_196, 1_784, 172, 14]}
    for side, expected in counts.items():
        assert [numbers[f"n_{side}_k{k}"] for k in (1, 2, 3, 4)] == expected
    assert [numbers[f"n_roi_{label}"] for label in (1, 2, 3)] == [975, 675, 646]
    selectivity = [numbers[f"selectivity_roi_{label}"] for label in (1, 2, 3)]
    assert selectivity == pytest.approx([0.591, 0.128, -0.158], abs=6e-4)
    assert numbers["r_probability_selectivity"] == pytest.approx(0.1325, abs=6e-5)
    assert numbers["n_agree"] == 27 == len(pd.read_csv(PUBLISHED / "concepts.csv"))
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 1 + 3
    assert len(list((tmp_path / "figures").glob("*.png"))) == 4
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("notebook", "changes", "words"),
    [
        ("training_checkpoints", 'model = "nano-gpt2-8x2"', "has no training checkpoints"),
        ("individuals", "listeners = 99", "listeners is 99; study 'testbed' has 8"),
        ("roi_slopes", 'regions = ["TP", "V1"]', "Region 'V1' has no voxels on both sides"),
        ("power", 'regions = ["V1"]', "Region 'V1' has no voxels on both sides"),
        ("attribution", 'region = "V1"', "Region 'V1' has no voxels on side 'L'"),
        ("attribution", "n_context = 200", "the model has 128 positions for text"),
    ],
)
def test_bad_input_is_refused_before_anything_is_encoded(
    notebook, changes, words, tmp_path, monkeypatch
):
    from nbclient.exceptions import CellExecutionError

    notebook = nbformat.read(FOLDER / f"{notebook}.ipynb", as_version=4)
    with pytest.raises(CellExecutionError) as refusal:
        executed(notebook, tmp_path, monkeypatch, changes)
    assert refusal.value.ename == "InputError" and words in refusal.value.evalue
    assert not (tmp_path / "cache" / "scores").exists()


@pytest.mark.parametrize("notebook", ["asymmetry", "roi_slopes", "individuals", "robustness"])
def test_a_single_model_is_refused_where_a_slope_is_drawn(notebook):
    with pytest.raises(InputError, match="at least"):
        resolve(read_schema(notebook), {"models": ["nano-gpt2-8x2"]}, notebook)
