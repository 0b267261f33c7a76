"""Commands that README and book show exist, and their parameters are ones that notebooks have."""

import re
import shlex
from pathlib import Path

import own_study
import pytest

from brainalign.arguments import build_parser
from brainalign.cli import main
from brainalign.companion.parameters import parse_assignments, read_schema
from brainalign.companion.run import plan
from brainalign.companion.steps import study_options
from brainalign.studies import check_study
from brainalign.studies.fetching import GLOVE

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]


def commands() -> list[list[str]]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["brainalign"]:
                    found.append(words[1:])
    return list(map(list, dict.fromkeys(map(tuple, found))))


COMMANDS = commands()
STUDY_COMMANDS = ("fetch", "prepare", "extract", "encode", "plan")
WITHOUT_OPTIONS = ("concepts", GLOVE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder in which the study of one's own is that the book speaks of."""
    return own_study.make_study(tmp_path_factory.mktemp("prose") / "my-study").parent


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_that_is_shown_can_be_called(words, folder, monkeypatch):
    monkeypatch.chdir(folder)
    parsed = build_parser().parse_args(words)
    if parsed.command in ("run", "params"):
        schema = read_schema(parsed.notebook)
        plan(
            parsed.notebook,
            parse_assignments(schema, getattr(parsed, "texts", []), parsed.notebook),
        )
    if parsed.command in STUDY_COMMANDS and parsed.study not in WITHOUT_OPTIONS:
        options = study_options(getattr(parsed, "texts", []))
        if parsed.command == "prepare" and "mask" in options:
            options["responses"] = "openneuro"  # there is nothing else to prepare
        check_study(parsed.study, **options)


def test_every_command_is_shown_somewhere():
    (actions,) = [a for a in build_parser()._actions if a.dest == "command"]
    assert {words[0] for words in COMMANDS} >= set(actions.choices)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["gpt2", "gpt2-medium", "opt-125m", "--subjects", "1"], ["gpt2-medium"]),
        (["paper"], ["gpt2", "gpt2-xl", "Llama-2-7b-hf", "Qwen1.5-14B"]),
    ],
)
def test_what_the_page_on_real_data_shows_is_what_plan_says(words, shown, real_data, capsys):
    """Bytes and operations; hours are those of the machine that the page names."""
    command = ["plan", "petitprince-en", "--no-calibration", "--models", *words]
    assert main(command) == 0
    printed = capsys.readouterr().out
    page = (ROOT / "book" / "real_data.md").read_text(encoding="utf-8")
    (downloads,) = re.findall(r"weights of models: (.*?)\. At", printed)
    assert f"weights of models: {downloads}." in page
    (kept,) = re.findall(r"downloads, (.*? of activations and scores)", printed)
    assert kept in page
    counted = r"^ *{name} +[\d,]+ M +[\d.]+ [MG]B +[\d.]+ [MG]B +[\d.]+ [MG]B +[\d.]+ [MG]B +\S+"
    for name in [*shown, "total"]:
        (row,) = re.findall(counted.format(name=re.escape(name)), printed, re.MULTILINE)
        assert row.split() in [line.split()[: len(row.split())] for line in page.splitlines()]
