"""The environment of Binder: it has no torch, reads kept results and fetches those published."""

import importlib.metadata as metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import tomllib
from pathlib import Path

import pytest
import tiny_book
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from brainalign.companion import WorkError, kept
from brainalign.companion.project import Project
from brainalign.errors import InputError

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
# What needs torch, or is there to read text into models; and what only builds the website.
LEFT_OUT = {"torch", "transformers", "captum", "accelerate", "tokenizers", "huggingface-hub"}
LEFT_OUT |= {"jupyter-book", "sphinx-book-theme", "pydata-sphinx-theme", "sphinx-exercise"}
LEFT_OUT |= {"myst-nb", "sphinxcontrib-bibtex", "sphinx", "docutils"}
# Not in the environment of the tests: Binder's own server loads it.
ADDED = {"nbgitpuller"}

WITHOUT_TORCH = """
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "captum"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
"""
TESTBED_PAGE = """
from brainalign import brain_scores, encode, load_study
from brainalign.companion.output import record
from brainalign.study import select_voxels

study = load_study("testbed")
few = select_voxels(study, [voxel < 40 for voxel in range(study.n_voxels)])
scores = brain_scores(encode(few, [model], jobs=1), rule="nested")
record({"score": float(scores.mean())})
"""


def pins(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(n): v for n, v in (line.split("==") for line in lines)}


PINS = pins(BINDER / "requirements.txt")


def test_every_pin_is_that_of_the_constraints():
    everywhere = pins(ROOT / "constraints.txt")
    assert {name: everywhere[name] for name in PINS} == PINS


def test_nothing_that_needs_torch_is_installed():
    assert not PINS.keys() & LEFT_OUT
    needs = {
        name
        for name in PINS.keys() - ADDED
        for text in metadata.requires(name) or []
        if (r := Requirement(text)).name == "torch"
        and (not r.marker or r.marker.evaluate({"extra": ""}))
    }
    assert not needs


def test_what_the_package_needs_is_there_and_whole():
    """Requirements of the project and of everything in the list are in the list, or left out."""
    needed = {canonicalize_name("brainalign")}
    for name in [*PINS.keys() - ADDED]:
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
                needed.add(canonicalize_name(requirement.name))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed |= {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert needed - PINS.keys() - LEFT_OUT == {"brainalign"}


def test_python_is_one_that_the_project_allows():
    (version,) = re.findall(r"^python-(3\.\d+)$", (BINDER / "runtime.txt").read_text(), re.M)
    assert f'requires-python = ">={version}"' in (ROOT / "pyproject.toml").read_text()


def test_the_last_step_installs_the_package_alone_and_fetches_nothing_while_unset(tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(BINDER, folder / "binder")
    (folder / "notebooks").mkdir()
    (folder / "_toc.yml").write_text("")
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    for name, line in {
        "pip": 'echo "pip $@" >> called',
        "python": f'exec {sys.executable} "$@"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{line}\n")
        (tmp_path / name).chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    assert os.access(folder / "binder" / "postBuild", os.X_OK)
    done = subprocess.run(
        ["binder/postBuild"], cwd=folder, env=os.environ | path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "called").read_text() == "pip install --quiet --no-deps --editable .\n"
    assert done.stdout == "No repository is set: nothing to fetch.\n"
    assert kept.address(Project((), "", "1")) == ""


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A cache folder with one score that a page read, one that none did, and a measure."""
    folder = tmp_path / "cache"
    for name in ("scores/read.nc", "scores/other.nc", "reliability/r.nc", "scores/read.lock"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "pages" / "tiny-1").mkdir(parents=True)
    (folder / "pages" / "tiny-1" / "scores.jsonl").write_text('{"key": "read"}\n')
    monkeypatch.setenv("BRAINALIGN_CACHE", str(folder))
    return folder


def test_results_that_pages_read_travel(results, tmp_path, monkeypatch):
    checksum = kept.write(tmp_path / "results.tar")
    first = (tmp_path / "results.tar").read_bytes()
    os.utime(results / "scores" / "read.nc")
    kept.write(tmp_path / "results.tar")
    assert (tmp_path / "results.tar").read_bytes() == first
    assert checksum.read_text().split()[1] == "results.tar"
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "elsewhere"))
    assert kept.fetch((tmp_path / "results.tar").as_uri()) == 2
    arrived = sorted(p for p in (tmp_path / "elsewhere").rglob("*") if p.is_file())
    assert [path.read_text() for path in arrived] == ["reliability/r.nc", "scores/read.nc"]


def test_results_that_are_not_whole_or_not_there_are_refused(results, tmp_path):
    kept.write(tmp_path / "results.tar")
    with open(tmp_path / "results.tar", "ab") as archive:
        archive.write(b"more")
    with pytest.raises(WorkError, match="not those that the checksum is of"):
        kept.fetch((tmp_path / "results.tar").as_uri())
    with pytest.raises(WorkError, match="could not be fetched"):
        kept.fetch((tmp_path / "nothing.tar").as_uri())


@pytest.mark.parametrize("name", ["../scores/a.nc", "scores/a.py", "pages/a.nc", "/scores/a.nc"])
def test_archives_with_anything_else_are_refused(results, tmp_path, name):
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(InputError, match="which is no result"):
        kept.unpack(tmp_path / "bad.tar")


def test_the_command_of_results(results, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert kept.main(["write", "results.tar"]) == 0
    assert capsys.readouterr().out == "results.tar.sha256\n"
    set_ = Project((), (tmp_path / "repository").as_uri(), "1")
    monkeypatch.setattr(kept, "read_project", lambda: set_)
    assert kept.main(["fetch"]) == 1
    assert "could not be fetched" in capsys.readouterr().err
    target = tmp_path / "repository" / "releases" / "download" / "results"
    target.mkdir(parents=True)
    for name in ("results.tar", "results.tar.sha256"):
        shutil.copy(tmp_path / name, target)
    assert kept.main(["fetch"]) == 0 and capsys.readouterr().out == "2 files\n"
    assert kept.main([]) == 2
    shutil.rmtree(results)
    assert kept.main(["write", "results.tar"]) == 2


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory):
    """Environment of processes in which torch, transformers and captum cannot be imported."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "sitecustomize.py").write_text(WITHOUT_TORCH)
    return os.environ | {"PYTHONPATH": f"{folder}:{ROOT}"}


def run(arguments: list[str], environment: dict, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "brainalign.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_page_of_published_values_runs_without_torch(without_torch, tmp_path):
    environment = without_torch | {"BRAINALIGN_CACHE": str(tmp_path / "cache")}
    command = ["run", "scaling_law", "-p", "study=published", "-p", "n_boot=100"]
    done = run([*command, "-o", str(tmp_path / "out")], environment, ROOT)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"figures", "scaling_law.html"}


def test_a_page_of_the_testbed_runs_from_kept_scores_without_torch(
    without_torch, tmp_path, monkeypatch
):
    folder = tiny_book.make_project(tmp_path / "project")
    parameters = textwrap.dedent("""\
        study: str = "testbed"  # whose responses
        model: str = "nano-gpt2-8x2"  # language model
        """)
    cells = [tiny_book.code(parameters, "parameters"), tiny_book.code(TESTBED_PAGE)]
    tiny_book.write_notebook(folder, "few", cells)
    cache = tmp_path / "cache"
    monkeypatch.setenv("BRAINALIGN_CACHE", str(cache))
    expected = {"model": "nano-gpt2-8x2"}
    exec(TESTBED_PAGE, expected)
    environment = without_torch | {"BRAINALIGN_CACHE": str(cache)}
    done = run(["run", "few", "-o", "out"], environment, folder)
    assert done.returncode == 0, done.stderr
    numbers = json.loads((folder / "out" / "numbers.json").read_text())
    assert numbers == {"score": float(expected["scores"].mean())}


@pytest.mark.parametrize("name", ["torch", "transformers.utils", "captum"])
def test_what_is_missing_is_missing(without_torch, name):
    command = [sys.executable, "-c", f"import {name}"]
    done = subprocess.run(command, env=without_torch, capture_output=True, text=True)
    assert done.returncode == 1 and "No module named" in done.stderr
