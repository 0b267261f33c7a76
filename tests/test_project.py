"""The project as a whole: one list of dependencies, one direction of imports, one setting."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from brainalign.companion.project import Project, citation, citation_text, read_project

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "brainalign"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Each level may import from those below it and from itself.
LEVELS = [
    {"errors", "files", "archives", "parallel", "drift", "study", "averages", "words"},
    {"models", "hub", "loading", "devices", "checkpoints", "regressors"},
    {"studies"},
    {"ridge", "activations", "alignment", "baselines", "states", "fitting"},
    {"encoding", "agreement", "streaming", "reliability"},
    {"analyses"},  # everything that is not named here
    {"companion", "distributed", "arguments"},
    {"cli"},
]
HEAVY = {"torch", "transformers", "himalaya", "nilearn", "matplotlib", "sklearn", "papermill"}
HEAVY |= {"dask", "distributed"}


def level(module: str) -> int:
    known = {name: number for number, names in enumerate(LEVELS) for name in names}
    return known.get(module, known["analyses"])


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def requirements() -> list[Requirement]:
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    listed = [*PYPROJECT["project"]["dependencies"], *(r for extra in extras for r in extra)]
    found = [Requirement(text) for text in listed]
    # One extra may ask for another one of this project.
    return [requirement for requirement in found if requirement.name != "brainalign"]


def test_every_requirement_is_pinned_to_a_version_that_it_allows():
    for requirement in requirements():
        version = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_pins_are_plain_versions():
    assert all(re.fullmatch(r"[0-9][\w.]*", version) for version in pins().values())
    assert pins()["torch"] == "2.13.0"
    assert pins()["jupyter-book"] == "1.0.4.post1"


def test_environment_installs_python_and_this_project():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PYPROJECT["project"]["name"]
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PYPROJECT['project']['requires-python']}", "pip"]
    assert pip == {"pip": ["-c constraints.txt", "-e .[test]"]}
    assert "test" in PYPROJECT["project"]["optional-dependencies"]


def test_every_import_is_a_dependency():
    from brainalign.companion.cache import _distributions, _imported

    needed = {canonicalize_name(requirement.name) for requirement in requirements()}
    found = set().union(*(_imported(path.read_text()) for path in PACKAGE.rglob("*.py")))
    for name in found:
        packages = {canonicalize_name(package) for package in _distributions()[name]}
        assert packages & needed, f"{name} is imported but not required"


def test_citation_follows_from_the_setting():
    assert (ROOT / "CITATION.cff").read_text() == citation_text(read_project(ROOT))


@pytest.mark.parametrize(
    "project", [read_project(ROOT), Project(("Doe, Jane", "Group"), "https://x.org/y", "1.0")]
)
def test_citation_has_what_the_format_requires(project):
    record = yaml.safe_load(citation_text(project))
    assert {"cff-version", "message", "title", "authors"} <= set(record)
    assert record["cff-version"] == "1.2.0" and record["type"] in ("software", "dataset")
    assert isinstance(record["version"], str)
    assert record["authors"]
    for author in record["authors"]:
        assert set(author) in ({"name"}, {"family-names", "given-names"})
        assert all(author.values())
    assert ("repository-code" in record) == bool(project.repository)


def test_authors_by_kind():
    record = citation(Project(("Doe, Jane", "A Group"), "", "1"))
    assert record["authors"] == [
        {"family-names": "Doe", "given-names": "Jane"},
        {"name": "A Group"},
    ]


def test_licences_are_there():
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")
    assert "CC BY 4.0" in (ROOT / "LICENSE-prose").read_text()
    assert "Apache License" in (ROOT / "book/_static/mathjax/LICENSE").read_text()
    footer = yaml.safe_load((ROOT / "_config.yml").read_text())["html"]["extra_footer"]
    assert "CC BY 4.0" in footer and "BSD" in footer


def test_the_book_executes_nothing_itself():
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert settings["execute"]["execute_notebooks"] == "off"
    assert settings["only_build_toc_files"] is True
    assert settings["launch_buttons"]["thebe"] is False


def test_commands_of_the_makefile():
    text = (ROOT / "Makefile").read_text()
    for target in ("book", "test", "browser", "check", "lint", "bench", "serve", "clean"):
        assert re.search(rf"^{target}:", text, re.MULTILINE), target
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.search(r"^make test\n.*^make book\nmake check\n", script.read_text(), re.M | re.S)


def _loaded(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_is_light():
    assert not _loaded("import brainalign") & {"torch", "transformers"}


def test_the_command_line_imports_nothing_heavy():
    light = {"numpy", "pandas", "xarray", "scipy", "nbformat", "pydantic", "yaml", "jupyter_client"}
    assert not _loaded(
        "from brainalign.arguments import build_parser; build_parser(); import brainalign.cli"
    ) & (HEAVY | light)
    assert not _loaded("import brainalign.companion.overview") & {"torch", "transformers"}


def _imports(path: Path) -> set[str]:
    """Modules of brainalign that a file imports, by their first name below the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "brainalign":
            found |= {f"brainalign.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {name.split(".")[1] for name in found if name.startswith("brainalign.")}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_imports_go_one_way(path):
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own != "__init__":
        above = {name for name in _imports(path) if level(name) > level(own)}
        assert not above, f"{own} imports {sorted(above)}, which are above it"


def test_only_the_book_needs_what_makes_the_website():
    users = {
        path.stem
        for path in (PACKAGE / "companion").glob("*.py")
        if "brainalign.companion.site" in path.read_text()
    }
    assert users == {"book"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.stem)
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= 400
