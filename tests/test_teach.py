"""Exercises: stubs, checks and their gates; the notebooks that `brainalign teach` writes."""

import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from tiny_book import code, make_project, text, tiny_cells, write_notebook

from brainalign.cli import main
from brainalign.companion import WorkError, teach
from brainalign.companion.compose import Part, compose
from brainalign.companion.exercises import (
    CHECKS,
    ExerciseError,
    check,
    read_exercises,
    stub,
    try_wrong_answers,
    verdict,
    without_marks,
    wrong,
    wrong_ones,
)
from brainalign.companion.notebooks import notebook_names, read_notebook
from brainalign.companion.run import execute, plan
from brainalign.companion.webpage import plain_markdown
from brainalign.errors import InputError

ROOT = Path(__file__).parents[1]

TEXT = """```{exercise} Twice as much
:label: tiny-twice

What is twice `n_boot`? Put it into `double`, one number, and its root into `root`.
```"""
SOLUTION = """given = n_boot
### BEGIN SOLUTION
double = 2 * given
half = [given / 2 for k in range(3)]
root = double**0.5
print(f"the answer is {double}")
### END SOLUTION
after = given + 1"""
CHECK = """_right = double == 2 * n_boot
assert _right or double != n_boot / 2, "This is half of it."
assert _right, "Not yet: two times."
assert abs(root - (2 * n_boot) ** 0.5) < 1e-6, "The root is another one."
"""


def exercise_cells(solution=SOLUTION, test=CHECK, body=TEXT, tags=()):
    return [
        text(body, "exercise", "once", *tags),
        code(solution, "hide-cell", "once", "solution", *tags),
        code(test, "check", "once", *tags),
    ]


def only(**changes):
    (one,) = read_exercises(exercise_cells(**changes))
    return one


def listed(one):
    return [(one.label, one.stub, one.test, one.answers, one.tags)]


def test_an_exercise_is_read_from_three_cells():
    one = only(tags=["line"])
    assert (one.label, one.title) == ("tiny-twice", "Twice as much")
    assert one.text.startswith("What is twice") and ":label:" not in one.text
    assert one.answers == ("double", "root")
    assert one.tags == ("line",)


def test_a_stub_has_the_given_lines_and_dots():
    assert (
        only().stub == "given = n_boot\n# Your answer\ndouble = ...\nroot = ...\nafter = given + 1"
    )
    inside = "if True:\n    ### BEGIN SOLUTION\n    a, b = 1, 2\n    ### END SOLUTION\n"
    assert stub(inside, ["a", "b"]) == "if True:\n    # Your answer\n    a = ...\n    b = ...\n"
    assert without_marks(inside) == "if True:\n    a, b = 1, 2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"solution": "double = 2\nroot = 1"}, "0 solutions between"),
        ({"solution": SOLUTION + "\n### BEGIN SOLUTION\n"}, "1 solutions between"),
        ({"test": "assert n_boot, 'a.'"}, "reads nothing that its solution assigns"),
        ({"test": "double = 2\nassert double, 'a.'"}, "assigns 'double', which is an answer"),
        ({"body": "What is it?"}, "is no `{exercise}` directive"),
        ({"body": TEXT + "\n\nMore."}, "is no `{exercise}` directive"),
    ],
)
def test_an_incomplete_exercise_is_refused(changes, words):
    with pytest.raises(InputError, match=re.escape(words)):
        only(**changes)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_cell_that_stands_alone_is_refused(missing):
    cells = exercise_cells()
    del cells[missing]
    with pytest.raises(InputError, match="an exercise is three cells in a row"):
        read_exercises([text("# Title"), *cells])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({}, "There is no `double` yet"),
        ({"double": ..., "root": 1}, "`double` is still `...`"),
        ({"double": None, "root": 1}, "`double` is None"),
        ({"double": 200, "root": np.nan}, "`root` is not a number"),
        ({"double": 50.0, "root": 1}, "This is half of it."),
        ({"double": 7, "root": 1}, "Not yet: two times."),
        ({"double": 200, "root": 3}, "The root is another one."),
        ({"double": np.ones((2, 3)), "root": 1}, "`double`, which is an array of 2 by 3 values"),
        ({"double": 200, "root": "a"}, "`root`, which is text"),
        ({"double": 200, "root": [1, 2]}, "`root`, which is a list of 2"),
        ({"double": 200, "root": 200**0.5}, ""),
    ],
)
def test_a_check_says_what_is_wrong_but_not_the_answer(names, words):
    one, names = only(), {"n_boot": 100, **names}
    before = dict(names)
    said = verdict(one.test, one.answers, names)
    assert words in said and bool(words) == bool(said)
    assert "200" not in said and "14." not in said
    assert names.keys() == before.keys()


def test_a_check_before_the_page_has_run_says_so():
    one = only()
    assert "There is no `n_boot` yet" in verdict(one.test, one.answers, {"double": 1, "root": 1})


RIGHT = {"n_boot": 100, "given": 100, "double": 200, "root": 200**0.5}


def test_a_good_exercise_passes_all_gates():
    names = dict(RIGHT)
    try_wrong_answers(listed(only()), names)
    assert names == RIGHT


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # The line after the solution gives the answers away.
        ({"solution": SOLUTION + "\ndouble, root = 200, 200**0.5"}, "The stub of .* passes"),
        ({"solution": SOLUTION + "\nprint(f'{double:.1f}')"}, "The stub of .* cannot be run"),
        ({"test": "assert double == 200 and root, 'a.'"}, "passes a wrong 'root'"),
        ({"test": "assert double > 199 and root < 15, 'a.'"}, "passes a wrong 'double'"),
        # Wide enough for 0, and for half as much again.
        ({"test": "assert double < 201 and abs(root - 14.1) < 1, 'a.'"}, "passes .*'double' .0."),
        ({"test": "assert 0 < double < 301 and abs(root - 14) < 1, 'a.'"}, "'double' .300"),
        ({"test": "assert double == root, 'Other.'"}, "The solution of .* fails its check: Other."),
    ],
)
def test_a_planted_fault_is_found(changes, words):
    with pytest.raises(ExerciseError, match=words):
        try_wrong_answers(listed(only(**changes)), dict(RIGHT))


def test_an_exercise_that_was_left_out_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_OUTPUT", str(tmp_path))
    (tmp_path / "left_out.json").write_text('["line"]')
    try_wrong_answers(listed(only(test="assert double is root, 'a.'", tags=["line"])), {})


@pytest.mark.parametrize("value", [True, 3, -0.5, 0, "left", np.float64(2), np.bool_(False)])
def test_a_wrong_value_is_of_the_same_kind_and_far_away(value):
    other = wrong(value)
    assert other != value
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert abs(other - value) >= 1


def test_wrong_arrays_differ_everywhere():
    for values in (np.arange(-2, 3), np.array([True, False]), pd.Series([0.0, 1.0])):
        assert np.all(np.asarray(wrong(values)) != np.asarray(values))
    assert wrong_ones(0.5) == [2, 0, 0.75] and wrong_ones(True) == [False]
    # What is 0 but for rounding has nothing near it that would be wrong.
    assert wrong_ones(0) == [1] and len(wrong_ones(-1e-3)) == 1
    assert wrong([1, "a"]) == [3, "not a"] and wrong({"x": False}) == {"x": True}


# A whole project: execution, pages, and the notebooks for a course.


@pytest.fixture
def project(tmp_path, monkeypatch):
    def make(**changes):
        root = make_project(tmp_path / "book")
        cells = [*tiny_cells()[:-1], text("## Exercises", "once"), *exercise_cells(**changes)]
        write_notebook(root, "tiny", cells, [{"study": "published"}])
        monkeypatch.chdir(root)
        monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
        return root

    return make


def test_an_execution_runs_solution_and_check_and_shows_neither_marks_nor_check(project, tmp_path):
    project()
    folder = tmp_path / "out"
    folder.mkdir()
    execute(plan("tiny", {"n_boot": 150}), folder)
    page = nbformat.read(folder / "tiny.ipynb", as_version=4)
    source = "\n".join(cell.source for cell in page.cells)
    assert "###" not in source and "assert" not in source and "_exercises" not in source
    (solution,) = [c for c in page.cells if "solution" in c.metadata.get("tags", [])]
    assert solution.outputs[0].text == "the answer is 300\n"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"solution": SOLUTION + "\ndouble, root = 200, 200**0.5"}, "passes its check"),
        ({"test": "assert double and root, 'a.'"}, "passes a wrong 'double'"),
        ({"test": "assert double == 1 and root, 'Not so.'"}, "AssertionError: Not so."),
        ({"body": "What?"}, "is no `{exercise}` directive"),
    ],
)
def test_an_execution_fails_with_a_faulty_exercise(project, tmp_path, changes, words):
    project(**changes)
    (tmp_path / "out").mkdir()
    with pytest.raises(WorkError, match=re.escape(words)) as failure:
        execute(plan("tiny", {"n_boot": 100}), tmp_path / "out")
    assert str(failure.value).startswith("Notebook tiny")


def run_cells(path, changes, monkeypatch):
    """Execute a notebook for students where it lies, with some changes; what its checks print."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for old, new in changes.items():
            cell.source = cell.source.replace(old, new)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(path.parent))
    checks = [c for c in notebook.cells if "\ncheck(" in c.source]
    return [c.outputs[0].text.strip() for c in checks]


def test_a_student_hears_what_is_wrong(project, tmp_path, monkeypatch, capsys):
    project()
    assert main(["teach", "--student", "for-students", "--instructor", "for-us", "tiny"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "for-students: 1 notebook, 1 exercise without solutions",
        "for-us: 1 notebook, 1 exercise with their solutions",
    ]
    student, ours = Path("for-students/tiny.ipynb"), Path("for-us/tiny.ipynb")
    for path, holds in ((student, False), (ours, True)):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        whole = path.read_text()
        assert ("2 * given" in whole) is holds and "BEGIN SOLUTION" not in whole
        assert ("double = ..." in whole) is not holds and "Not yet" not in whole
        assert "**Exercise 1: Twice as much**" in whole and ":label:" not in whole
        assert "{exercise}" not in whole and notebook.cells[0].source.startswith("# Does it grow?")
    # Away from the book, as on a student's machine.
    away = tmp_path / "away"
    Path("for-students").rename(away)
    monkeypatch.setenv("MPLBACKEND", "agg")
    path = away / "tiny.ipynb"
    dots = run_cells(path, {}, monkeypatch)
    half = run_cells(
        path, {"double = ...": "double = n_boot / 2", "root = ...": "root = 1"}, monkeypatch
    )
    right = {"double = ...": "double = n_boot * 2", "root = ...": "root = double**0.5"}
    assert dots == ["`double` is still `...`: put your answer there, and run that cell."]
    assert half == ["This is half of it."]
    assert run_cells(path, right, monkeypatch) == ["Correct."]
    assert run_cells(ours, {}, monkeypatch) == ["Correct."]


def test_nothing_that_somebody_made_is_replaced(project, capsys):
    project()
    folder = Path("course")
    folder.mkdir()
    own = folder / "notes.txt"
    own.write_text("mine")
    assert main(["teach", "--student", "course"]) == 0
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["teach", "--student", "course"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first
    assert own.read_text() == "mine"
    worked = folder / "tiny.ipynb"
    worked.write_text(worked.read_text().replace("double = ...", "double = 5"))
    edited = worked.read_bytes()
    capsys.readouterr()
    assert main(["teach", "--student", "course"]) == 2
    assert "was changed since it was written" in capsys.readouterr().err
    assert worked.read_bytes() == edited


def test_a_new_version_replaces_what_nobody_changed(project):
    root = project()
    assert main(["teach", "--student", "course"]) == 0
    path = root / "notebooks" / "tiny.ipynb"
    path.write_text(path.read_text().replace("Twice as much", "Two times"))
    assert main(["teach", "--student", "course"]) == 0
    assert "Two times" in Path("course/tiny.ipynb").read_text()


@pytest.mark.parametrize(
    ("words", "before", "said"),
    [
        (["--student", "course"], {"tiny.ipynb": "{}"}, "is not of this course"),
        (["--student", "course"], {CHECKS: "{}"}, "that brainalign teach did not write"),
        (["--student", "course"], {CHECKS: "no"}, "that brainalign teach did not write"),
        (["--student", "notebooks"], {}, "belongs to notebooks/, from which the book is made"),
        (["--instructor", "book/new"], {}, "belongs to book/, from which the book is made"),
        (["--student", "a", "--instructor", "./a"], {}, "name one folder"),
        ([], {}, "teach needs --student"),
        (["--student", "a", "tinny"], {}, "did you mean 'tiny'"),
        (["--student", "pyproject.toml"], {}, "is a file"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(project, capsys, words, before, said):
    root = project()
    for name, content in before.items():
        Path("course").mkdir(exist_ok=True)
        Path("course", name).write_text(content)
    files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert main(["teach", *words]) == 2
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == files


def test_solutions_are_not_put_among_the_students_notebooks(project, capsys):
    project()
    assert main(["teach", "--student", "course"]) == 0
    assert main(["teach", "--instructor", "course"]) == 2
    assert "holds the notebooks of students" in capsys.readouterr().err


def test_a_check_is_found_in_the_book_where_no_file_lies_beside_the_notebook(project, capsys):
    project()
    check("tiny-twice", {"n_boot": 3, "double": 6, "root": 6**0.5})
    assert capsys.readouterr().out == "Correct.\n"
    with pytest.raises(InputError, match="did you mean 'tiny-twice'"):
        check("tiny-twise", {})
    Path(CHECKS).write_text("[]")
    with pytest.raises(InputError, match="is not what `brainalign teach` wrote"):
        check("tiny-twice", {})


def test_on_a_page_labels_are_unique_and_solutions_say_that_they_fold():
    notebook = nbformat.v4.new_notebook(
        cells=[text("# T", "once"), code("study = 1", "parameters")]
    )
    # Of one part of the page, not of its end.
    notebook.cells += [*exercise_cells()[:2], text("End.")]
    for cell in notebook.cells[2:4]:
        cell.metadata["tags"].remove("once")
    parts = [Part({"study": study}, notebook) for study in ("published", "testbed")]
    page = compose(parts)
    labels = [re.findall("^:label: (.*)$", cell.source, re.MULTILINE) for cell in page.cells]
    assert [label for found in labels for label in found] == ["tiny-twice", "tiny-twice-testbed"]
    folded = [cell for cell in page.cells if "solution" in cell.metadata.get("tags", [])]
    assert len(folded) == 2
    assert {cell.metadata["mystnb"]["code_prompt_show"] for cell in folded} == {"Show the solution"}


def test_outside_the_book_an_exercise_is_a_box_with_its_title():
    shown = plain_markdown(TEXT)
    assert '<p class="admonition-title">Exercise: Twice as much</p>' in shown
    assert ":label:" not in shown and "What is twice" in shown


def test_the_list_of_chapters_is_written_for_a_book_with_the_page(project):
    root = project()
    cells = nbformat.read(root / "notebooks" / "tiny.ipynb", as_version=4).cells
    top = "\n\n**What you will learn**\n\n- one;\n- two.\n\n**Prerequisites.** None"
    top += "\n\n**Time.** Two minutes to read.\n\n**Run time.** Short"
    cells[0].source += top
    write_notebook(root, "tiny", cells)
    assert teach.write_chapters(["tiny"]) is None
    (root / teach.PAGE).write_text("# Teach\n")
    path = teach.write_chapters(["tiny"])
    written = path.read_text()
    assert "| [Does it grow?](executed/tiny.ipynb) | 1 | two minutes | Short |" in written
    assert "- One.\n- Two.\n\n*Needs:* None" in written
    before = path.stat().st_mtime_ns
    assert teach.write_chapters(["tiny"]) == path and path.stat().st_mtime_ns == before


# The book's own exercises.


@pytest.fixture(scope="module")
def exercises():
    folder = ROOT / "notebooks"
    return {
        path.stem: read_exercises(read_notebook(path).cells)
        for path in sorted(folder.glob("*.ipynb"))
    }


def test_labels_are_of_their_notebook_and_unique(exercises):
    labels = [one.label for found in exercises.values() for one in found]
    assert len(set(labels)) == len(labels)
    for name, found in exercises.items():
        assert len(found) >= 2, name
        for one in found:
            assert re.fullmatch(rf"{name}-[a-z][a-z-]*", one.label)


def test_texts_name_the_answers_and_stubs_hide_them(exercises):
    for one in [one for found in exercises.values() for one in found]:
        for name in one.answers:
            assert f"`{name}`" in one.text, (one.label, name)
            assert f"{name} = ..." in one.stub, (one.label, name)


def test_every_chapter_says_what_it_teaches(exercises):
    for name in exercises:
        one = teach.chapter(name)
        assert one["title"] and len(one["goals"]) >= 2 and one["needs"] and one["time"], name
        assert one["exercises"] == len(exercises[name])


def test_the_list_of_chapters_has_a_row_and_the_goals_of_each(exercises):
    written = teach.chapters_text(list(exercises))
    rows = [line for line in written.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(exercises)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)
    for name, found in exercises.items():
        link = f"(executed/{name}.ipynb)"
        assert written.count(link) == 2
        assert any(f"{link} | {len(found)} | " in row for row in rows)
    goals = [line for line in written.splitlines() if line.startswith("- ")]
    assert len(goals) == sum(len(teach.chapter(name)["goals"]) for name in exercises)


def test_the_page_on_teaching_shows_an_exercise_as_it_is():
    page = (ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
    notebook = read_notebook(ROOT / "notebooks" / "asymmetry.ipynb")
    sources = [cell.source for cell in notebook.cells]
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    assert all(block.rstrip("\n") in sources for block in blocks)
    (shown,) = re.findall(r"^````markdown\n(.*?)^````", page, re.MULTILINE | re.DOTALL)
    assert shown.rstrip("\n") in sources


def test_the_exercises_at_the_end_are_numbered_first(tmp_path):
    """An exercise above them is for one model; a student of the others begins with number 1."""
    teach.write_course(tmp_path, solutions=False, names=["scaling_law", "asymmetry"])
    found = {
        name: re.findall(
            r"\*\*Exercise (\d): ([^*]*)\*\*", (tmp_path / f"{name}.ipynb").read_text()
        )
        for name in ("scaling_law", "asymmetry")
    }
    assert [number for number, _ in found["asymmetry"]] == ["1", "2"]
    assert found["scaling_law"] == [
        ("3", "Ahead of both codings?"),
        ("1", "How many doublings?"),
        ("2", "Furthest below the line"),
    ]


def test_all_notebooks_can_be_written(tmp_path):
    count = teach.write_course(tmp_path, solutions=False)
    names = notebook_names()
    written = sorted(path.stem for path in tmp_path.glob("*.ipynb"))
    assert written == names
    checks = json.loads((tmp_path / CHECKS).read_text())["checks"]
    assert len(checks) == count >= 2 * len(names)
    for name in names:
        source = (tmp_path / f"{name}.ipynb").read_text()
        notebook = nbformat.reads(source, as_version=4)
        nbformat.validate(notebook)
        assert "SOLUTION" not in source and "hide-cell" not in source
        assert "**What you will learn**" in notebook.cells[0].source
        assert source.count("import check\\n") >= 2
