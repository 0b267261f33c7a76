"""The glossary is in order, of use, and has every abbreviation that a reader meets; the bibliography, too."""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

from brainalign.companion.notebooks import notebook_names
from brainalign.companion.parameters import read_schema
from brainalign.companion.site.reference import all_commands, arguments_of

ROOT = Path(__file__).parents[1]
GLOSSARY = ROOT / "book" / "reference" / "glossary.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]
DRAWN = [*(ROOT / "brainalign").glob("plots*.py"), *(ROOT / "brainalign").glob("look*.py")]
DRAWN += [ROOT / "brainalign" / f"{name}.py" for name in ("alt_text", "wording")]
#: What everybody who has a computer knows, names of models, and words written large.
COMMON = {"CSV", "GPU", "HTML", "ID", "JSON", "PDF", "URL", "YAML", "GPT", "OPT", "StableLM"}
COMMON |= {"SIMULATED", "LISTENERS", "NOTEBOOK"}
#: Names of parameters are written small.
SMALL = {"isc", "hrf", "roi", "snr", "tr", "fdr", "sd"}


def entries(text: str) -> list[tuple[list[str], str]]:
    """Names and text of every entry."""
    (block,) = re.findall(r"```\{glossary\}\n(.*?)\n```", text, re.DOTALL)
    found = []
    for part in block.split("\n\n"):
        lines = part.splitlines()
        names = [line for line in lines if not line.startswith(" ")]
        found.append((names, " ".join(line.strip() for line in lines[len(names) :])))
    return found


@cache
def prose() -> str:
    """All that the book says, the glossary left out; one line without marks of emphasis."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    return re.sub(r"[*`]", "", " ".join(" ".join(texts).split()))


def abbreviations(text: str) -> set[str]:
    return set(re.findall(r"\b[a-z]?[A-Z]{2,}\d*\b", text))


ENTRIES = entries(GLOSSARY.read_text(encoding="utf-8"))
NAMES = {name for names, _ in ENTRIES for name in names}


def test_there_are_enough_entries_and_each_once():
    assert len(ENTRIES) >= 60
    assert len(NAMES) == sum(len(names) for names, _ in ENTRIES)


def test_entries_are_in_alphabetical_order():
    first = [names[0].casefold() for names, _ in ENTRIES]
    assert first == sorted(first)


@pytest.mark.parametrize(("names", "text"), ENTRIES, ids=lambda value: str(value)[:30])
def test_an_entry_is_short_and_says_where_more_is(names, text):
    plain = re.sub(r"\[[^\]]+\]\([^)]+\)|\{ref\}`[^`]+`", "", text).strip()
    assert plain.endswith(".") and 4 <= len(plain.split()) <= 45
    links = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r"\{ref\}`[^<]+<(\w+)>`", text)
    assert len(links) == 1, names
    target = links[0].removeprefix("../")
    notebook = target.replace("executed/", "notebooks/")
    assert target == "parameters" or any(
        path.is_file() for path in (ROOT / "book" / target, ROOT / notebook)
    ), target
    assert set(re.findall(r"\{term\}`([^`]+)`", text)) <= NAMES


@pytest.mark.parametrize("names", [names for names, _ in ENTRIES], ids=lambda names: names[0])
def test_every_entry_is_used_in_the_book(names):
    # Plurals, hyphens and a capital at the start of a sentence are the same term.
    spelt = [re.escape(name).replace(r"\ ", r"[\s-]").replace("y$", "(y|ie)") for name in names]
    stems = [re.sub(r"(s|y|e)$", "", one) for one in spelt]
    assert re.search(rf"(?<!\w)({'|'.join(stems)})(s|es|y|ies|e|d)?(?!\w)", prose(), re.IGNORECASE)


def test_abbreviations_of_the_interface_are_explained():
    said, small = "", set()
    for notebook in notebook_names():
        for name, parameter in read_schema(notebook).items():
            said += f" {parameter.meaning} {parameter.expected}"
            small |= SMALL & set(name.split("_"))
    helps = " ".join(text for parser, _ in all_commands() for _, text in arguments_of(parser))
    used = abbreviations(f"{said} {helps}") | {name.upper() for name in small}
    assert {"ISC", "GPU", "HRF", "SNR"} <= used
    assert used - NAMES - COMMON - {"AG_TPJ"} == set()


def test_abbreviations_in_figures_are_explained():
    used = set()
    for path in DRAWN:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        notes = {id(node.body[0].value) for node in ast.walk(tree) if docstring(node)}
        for node in ast.walk(tree):
            # Labels and sentences; texts without a space or small letter are keys.
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if (
                is_text
                and id(node) not in notes
                and re.search(r"[a-z].* |^[A-Z]{2,4}$", node.value)
            ):
                used |= abbreviations(node.value)
    assert {"ISC"} <= used
    assert used - NAMES - COMMON == set()


def docstring(node: ast.AST) -> bool:
    kinds = ast.Module | ast.FunctionDef | ast.ClassDef
    return isinstance(node, kinds) and ast.get_docstring(node) is not None


def test_regions_of_the_figures_are_explained():
    from brainalign.studies import load_study

    regions = set(load_study("testbed").voxels["roi"]) - {""}
    assert len(regions) == 8
    assert regions <= NAMES


@pytest.mark.parametrize(
    ("change", "found"),
    [("zebra\n  A striped animal. [a](b.md)\n\nA1\n  x", False), ("XYZ of a voxel", True)],
)
def test_a_planted_fault_is_found(change, found):
    if found:
        assert abbreviations(change) - NAMES == {"XYZ"}
    else:
        (first, _), (second, _) = entries(f"```{{glossary}}\n{change}\n```")
        assert [first[0], second[0]] != sorted([first[0], second[0]], key=str.casefold)


def cited() -> dict[str, set[str]]:
    """Keys that a page or notebook cites."""
    texts = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    texts |= {path.name: path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb")}
    keys = {name: re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text) for name, text in texts.items()}
    return {n: {k.strip() for one in found for k in one.split(",")} for n, found in keys.items()}


def bibliography() -> dict[str, str]:
    """Key to the text of its entry."""
    text = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    return dict(re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", text, re.M | re.S))


def test_every_key_that_is_cited_is_in_the_bibliography():
    for page, keys in cited().items():
        assert keys <= set(bibliography()), page


def test_every_entry_of_the_bibliography_is_cited():
    from brainalign.companion import bibliography as works

    named = {key for keys in works.SOURCES.values() for key in keys}
    assert set(bibliography()) - set().union(*cited().values()) - named == set()


def test_every_entry_of_the_bibliography_has_an_address():
    for key, body in bibliography().items():
        assert re.search(r"^\s+(doi|url)\s*=", body, re.MULTILINE), key
