"""The command line: what it prints, its exit status, and that it leaves nothing half-written."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import types
from functools import partial
from pathlib import Path

import pytest
import tiny_book

from brainalign.cli import main


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tiny_book.make_project(tmp_path_factory.mktemp("cli"))
    cells = [tiny_book.code('study: str = "testbed"  # whose responses', "parameters")]
    tiny_book.write_notebook(folder, "measured", cells)
    return folder


@pytest.fixture(autouse=True)
def inside(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(project / ".cache"))


def call(capsys, *arguments):
    """Exit status, standard output and standard error of a command."""
    try:
        status = main(list(arguments))
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_params(capsys):
    status, out, err = call(capsys, "params", "tiny")
    assert (status, err) == (0, "")
    assert "n_boot = 1000\n    bootstrap samples\n    an integer from 100 to 100,000" in out


def test_params_as_json(capsys):
    schema = json.loads(call(capsys, "params", "tiny", "--json")[1])
    assert schema["properties"]["study"]["enum"] == ["published", "testbed"]
    assert schema["properties"]["n_boot"]["default"] == 1000
    assert schema["properties"]["names"]["description"] == "Wörter, or None"


def test_list(capsys):
    from brainalign.models import zoo_names

    status, out, _ = call(capsys, "list")
    assert status == 0
    for name in ("tiny", "Does it grow?", "testbed", "published", "gpt2-xl", *zoo_names()):
        assert name in out


def test_run(capsys, project):
    (project / "params.yml").write_text("tiny:\n  n_boot: 300\n  names: [x]\n")
    arguments = ("run", "tiny", "-f", "params.yml", "-p", "n_boot=200", "-o", "out")
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (0, "out/tiny.html\n")
    assert re.fullmatch(r"Executing tiny; log: \S+tiny-\w+\.log\n", err)
    record = json.loads((project / "out" / "provenance.json").read_text())
    assert record["changed_parameters"] == {"n_boot": 200, "names": ["x"]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "tiny", "-p", "n_bot=3"], "no parameter 'n_bot'; did you mean 'n_boot'"),
        (["run", "tiny", "-p", "n_boot=abc"], 'n_boot is "abc"; an integer from 100'),
        (["run", "tiny", "-p", "n_boot=3"], "n_boot is 3; an integer from 100"),
        (["run", "tiny", "-p", "study=brain"], '"published" or "testbed" is expected'),
        (["run", "tiny", "-f", "none.yml"], "no parameter file"),
        (["run", "tinny"], "no notebook 'tinny'"),
        (["params", "tinny"], "no notebook 'tinny'"),
        (["book", "--only", "tinny"], "no notebook 'tinny'"),
        (["book", "--jobs", "0"], "not a positive integer"),
        (["runn"], "invalid choice: 'runn'"),
        (["run"], "required: notebook"),
        ([], "required: COMMAND"),
        (["fetch", "alcie"], "Unknown study 'alcie'; did you mean 'alice'"),
        (["extract", "alcie", "--models", "word-rate"], "did you mean 'alice'"),
        (["encode", "alice"], "required: --models"),
        (["encode", "alice", "--models", "word-rate"], "`brainalign fetch alice`"),
        (["encode", "alice", "--models", "word-rate", "-p", "x"], "not of the form name=value"),
        (["encode", "alice", "--models", "word-rate", "-p", "x=1"], "has no option 'x'"),
        (["encode", "alice", "--models", "m", "--alphas", "1", "2", "x"], "invalid float"),
        (["encode", "alice", "--models", "m", "--device", "gpu"], "invalid choice: 'gpu'"),
        (["run", "measured", "-p", "study=alice"], "fetch with `brainalign fetch alice`"),
    ],
)
def test_wrong_usage_is_one_sentence(capsys, project, arguments, expected):
    before = sorted(project.rglob("*"))
    status, out, err = call(capsys, *arguments, *["-o", "no"] * (arguments[:1] == ["run"]))
    assert (status, out) == (2, "")
    assert expected in err and err.count("\n") == 1
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"tiny: 5\n", "tiny holds 5; a mapping of parameters"), (b"\xff\xfe", "not text in UTF-8")],
)
def test_unusable_parameter_file(capsys, project, content, expected):
    path = project / "unusable.yml"
    path.write_bytes(content)
    status, out, err = call(capsys, "run", "tiny", "-f", path.name, "-o", "no")
    path.unlink()
    assert (status, out) == (2, "") and expected in err and err.count("\n") == 1


def test_failed_work_is_one_sentence_and_a_log(capsys, project):
    cells = [tiny_book.code("", "parameters"), tiny_book.code("1 / 0")]
    path = tiny_book.write_notebook(project, "failing", cells)
    status, out, err = call(capsys, "run", "failing", "-o", "no")
    path.unlink()
    _, sentence, log = err.splitlines()
    assert (status, out) == (1, "")
    expected = "Notebook failing failed in code cell 2: ZeroDivisionError: division by zero"
    assert sentence == f"brainalign: {expected}"
    assert "1 / 0" in open(log).read()
    assert not (project / "no").exists()


def test_input_that_a_notebook_refuses_is_wrong_usage(capsys, project):
    refusal = "from brainalign.errors import InputError\nraise InputError('No such model.')"
    cells = [tiny_book.code("", "parameters"), tiny_book.code(refusal)]
    path = tiny_book.write_notebook(project, "refusing", cells)
    status, out, err = call(capsys, "run", "refusing", "-o", "no")
    path.unlink()
    assert (status, out) == (2, "")
    assert err.splitlines()[1:] == ["brainalign: Notebook refusing: No such model."]
    assert not (project / "no").exists()
    assert not list(project.glob(".brainalign-*"))


def test_a_terminated_run_leaves_nothing(project):
    code = "from pathlib import Path\nPath('started').touch()\nimport time\ntime.sleep(60)"
    cells = [tiny_book.code("", "parameters"), tiny_book.code(code)]
    path = tiny_book.write_notebook(project, "slow", cells)
    command = [sys.executable, "-m", "brainalign.cli", "run", "slow", "-o", "no"]
    running = subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True)
    started = project / "started"
    while not started.exists() and running.poll() is None:
        time.sleep(0.1)
    running.terminate()
    err = running.communicate(timeout=60)[1]
    started.unlink()
    path.unlink()
    assert running.returncode != 0 and err.count("Traceback") == 0
    assert not (project / "no").exists()
    assert not list(project.glob(".brainalign-*"))


def test_an_interrupted_run_says_one_sentence(project):
    """The terminal interrupts the kernel, too, and what its cell raises then is not for the user."""
    code = "from pathlib import Path\nPath('started').touch()\nimport time\ntime.sleep(60)"
    cells = [tiny_book.code("", "parameters"), tiny_book.code(code)]
    path = tiny_book.write_notebook(project, "slow", cells)
    command = [sys.executable, "-m", "brainalign.cli", "run", "slow", "-o", "no"]
    running = subprocess.Popen(
        command,
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where tests run in the background, a shell has them ignore the signal.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    started = project / "started"
    while not started.exists() and running.poll() is None:
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    err = running.communicate(timeout=60)[1]
    started.unlink()
    path.unlink()
    assert running.returncode == 130 and not (project / "no").exists()
    assert err.splitlines()[1:] == [
        "brainalign: interrupted; what was computed is kept: call it again to go on."
    ]


def test_what_nobody_foresaw_goes_to_a_log(capsys, monkeypatch):
    monkeypatch.setattr("brainalign.companion.overview.list_everything", lambda: 1 / 0)
    status, _, err = call(capsys, "list")
    sentence, log = err.splitlines()
    assert status == 1 and sentence == "brainalign: ZeroDivisionError: division by zero"
    assert "Traceback" in open(log).read()


def test_status_and_book(capsys, monkeypatch):
    assert "tiny (published)  never executed" in call(capsys, "status")[1]
    monkeypatch.setattr("brainalign.companion.book.make_book", lambda *rest: "last/index.html")
    assert call(capsys, "book")[1].splitlines()[-1] == "last/index.html"


def test_zoo(capsys, monkeypatch):
    import pandas as pd

    calls = []
    zoo = types.ModuleType("brainalign.studies.testbed.zoo")
    zoo.zoo_table = lambda: pd.DataFrame({"name": ["nano"], "n_parameters": [6000]})
    zoo.train = lambda *given: calls.append(given) or zoo.zoo_table()
    monkeypatch.setitem(sys.modules, zoo.__name__, zoo)
    assert "nano" in call(capsys, "zoo", "list")[1]
    status, out, _ = call(capsys, "zoo", "train", "nano", "--jobs", "1")
    assert status == 0 and "nano" in out
    assert calls == [(["nano"], 1, Path("my-zoo"))]


def test_fetch(capsys, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "brainalign.studies.fetching.fetch",
        lambda *given, **options: calls.append((given, options)),
    )
    assert call(capsys, "fetch", "alice", "--dry-run") == (0, "", "")
    given = ["--all", "--subjects", "EN057", "EN058", "--files", "stimuli/*", "--jobs", "2"]
    assert call(capsys, "fetch", "petitprince-en", *given, "--mirror", "https://lab")[0] == 0
    none = {"subjects": [], "paths": [], "mirror": None, "jobs": 4}
    some = {"subjects": ["EN057", "EN058"], "paths": ["stimuli/*"], "mirror": "https://lab"}
    assert calls == [
        (("alice",), {"dry_run": True, "optional": False} | none),
        (("petitprince-en",), {"dry_run": False, "optional": True, "jobs": 2} | some),
    ]


def test_extract_and_encode(capsys, monkeypatch):
    import pandas as pd

    calls = []
    row = {"model": ["m"], "roi": ["all"], "hemisphere": ["L"], "n_voxels": [3], "score": [0.12345]}

    def table(*given, **cluster):
        calls.append((*given, cluster))
        return pd.DataFrame(row)

    monkeypatch.setattr("brainalign.companion.steps.extract_table", table)
    monkeypatch.setattr("brainalign.companion.steps.encode_table", table)
    some = ["--models", "m", "n", "--window", "64", "--precision", "bfloat16", "-p", "n_folds=4"]
    assert call(capsys, "extract", "alice", *some)[0] == 0
    more = ["--alphas", "-1", "6", "8", "--subject", "s18", "--device", "cuda", "-o", "x.csv"]
    status, out, _ = call(capsys, "encode", "alice", *some, *more)
    assert status == 0 and "m all" in out and "0.123" in out
    options = {"n_folds": 4}
    reading = {"window": 64, "precision": "bfloat16"}
    settings = reading | {"subject": "s18", "alphas": [-1.0, 6.0, 8.0]}
    elsewhere = ["--scheduler", "tcp://host:8786"]
    assert call(capsys, "extract", "alice", "--models", "m", *elsewhere)[0] == 0
    assert call(capsys, "extract", "alice", "--models", "m", "--workers", "3")[0] == 0
    here = {"scheduler": None, "workers": None}
    assert calls == [
        ("alice", ["m", "n"], options, reading, "auto", here),
        ("alice", ["m", "n"], options, settings, "cuda", Path("x.csv"), here),
        ("alice", ["m"], {}, {}, "auto", {"scheduler": "tcp://host:8786", "workers": None}),
        ("alice", ["m"], {}, {}, "auto", {"scheduler": "local", "workers": 3}),
    ]


def test_doctor(capsys, monkeypatch):
    monkeypatch.setattr("brainalign.companion.doctor.doctor_text", lambda: "all is well")
    assert call(capsys, "doctor") == (0, "all is well\n", "")


def test_outside_of_a_book(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("brainalign.companion.notebooks.project_root", lambda: None)
    status, _, err = call(capsys, "params", "tiny")
    assert status == 2 and "No book was found" in err


def test_the_module_can_be_called(project):
    command = [sys.executable, "-m", "brainalign.cli", "params", "none"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project)
    assert done.returncode == 2 and done.stderr.startswith("brainalign: There is no notebook")
