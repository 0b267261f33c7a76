"""Commands that README and book show exist, and their parameters are ones that notebooks have."""

import re
import shlex
from pathlib import Path

import pytest

from brainalign.cli import build_parser
from brainalign.companion.parameters import parse_assignments, read_schema
from brainalign.studies import study_names

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


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_that_is_shown_can_be_called(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    parsed = build_parser().parse_args(words)
    if parsed.command in ("run", "params"):
        schema = read_schema(parsed.notebook)
        parse_assignments(schema, getattr(parsed, "texts", []), parsed.notebook)
    if parsed.command in ("fetch", "extract", "encode"):
        assert parsed.study in study_names()


def test_every_command_is_shown_somewhere():
    (actions,) = [a for a in build_parser()._actions if a.dest == "command"]
    assert {words[0] for words in COMMANDS} >= set(actions.choices)
