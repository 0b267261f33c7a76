"""The book's reference pages, written from what they describe: docstrings, notebooks, parser.

They are made whenever the book is, so that they cannot say what the code no longer does.
"""

import argparse
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from brainalign.arguments import build_parser
from brainalign.companion.notebooks import notebook_names, notebook_path, read_notebook, title
from brainalign.companion.parameters import Parameter, read_schema, to_source
from brainalign.companion.project import Project, read_project
from brainalign.companion.site.docstrings import read_package
from brainalign.companion.site.reference_api import GROUPS, overview_text, page_text
from brainalign.companion.site.reference_entries import gather_names
from brainalign.errors import InputError
from brainalign.files import atomic_path

GENERATED = Path("book/executed/reference")
#: Exit status of a command to what it means.
EXIT_STATUS = {
    0: "done",
    1: "the work failed; one sentence says how, and below it stands the path of a log, if there is one",
    2: "wrong usage: an unknown name, a wrong type, a value out of range; nothing was run",
    130: "interrupted; what was finished is kept, and the same command goes on from there",
}
#: Variable of the environment to what it changes.
VARIABLES = {
    "BRAINALIGN_CACHE": "folder for activations, scores and pages; by default `.cache/` in the book's folder",
    "BRAINALIGN_DATA": "folder with the files of real studies, asked before the user's cache; `fetch` "
    "writes there",
    "HF_HOME": "folder in which the Hugging Face hub keeps downloaded language models",
    "HF_HUB_OFFLINE": "set to 1, the hub is asked for nothing and models come from that folder",
    "HF_TOKEN": "key of those who accepted the terms of a model that asks for it",
    "HTTPS_PROXY": "address through which files are fetched",
}
_EXAMPLES = 3
_WIDTH = 88


def _prose(root: Path) -> list[Path]:
    """Pages whose commands are examples: what a new user reads comes first."""
    first = [root / "README.md", root / "book" / "rerun.md"]
    return [*first, *sorted(set((root / "book").glob("*.md")) - set(first))]


def shown_commands(root: Path) -> list[tuple[str, ...]]:
    """Commands of brainalign that README and book show, each once, as lists of words."""
    found = []
    for page in filter(Path.is_file, _prose(root)):
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["brainalign"]:
                    found.append(tuple(words[1:]))
    return list(dict.fromkeys(found))


def all_commands(
    parser: argparse.ArgumentParser | None = None,
) -> Iterator[tuple[argparse.ArgumentParser, str]]:
    """Every command, those within a command, too: its parser and what is said of it in the list."""
    for action in (parser or build_parser())._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {choice.dest: choice.help for choice in action._choices_actions}
            for name, inner in action.choices.items():
                within = list(all_commands(inner))
                yield from within or [(inner, said[name])]


def arguments_of(parser: argparse.ArgumentParser) -> list[tuple[str, str]]:
    """Arguments of a command but `--help`, as they are written, and their meanings."""
    rows = []
    for action in parser._actions:
        value = action.metavar or (
            "{" + ",".join(map(str, action.choices)) + "}"
            if action.choices
            else action.dest.upper()
        )
        values = " ".join(value) if isinstance(value, tuple) else value
        if not action.option_strings:
            written = action.metavar or action.dest
        elif action.nargs == 0:
            written = ", ".join(action.option_strings)
        else:
            several = " ..." if action.nargs in ("+", "*") else ""
            written = f"{', '.join(action.option_strings)} {values}{several}"
        if action.dest != "help":
            rows.append((written, action.help or ""))
    return rows


def usage(parser: argparse.ArgumentParser) -> str:
    """Usage of a command in lines of a fixed width, whatever the terminal's."""
    kept = parser.formatter_class
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=_WIDTH)
    try:
        return parser.format_usage().removeprefix("usage: ").strip()
    finally:
        parser.formatter_class = kept


def _plain(text: str) -> str:
    """Text of a help or a comment in which nothing is markup."""
    return re.sub(r"[*$<>\[\]{}|\\_`]", r"\\\g<0>", text)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _definitions(rows: Sequence[tuple[str, str]]) -> str:
    return "\n\n".join(f"{term}\n: {text}" for term, text in rows)


def command_page(root: Path) -> str:
    """Markdown of the page about the command line.

    Parameters
    ----------
    root
        The book's folder, whose README and pages have the examples.
    """
    shown = shown_commands(root)
    parts = [
        "(command-line)=\n# Command line",
        "Every command says the same of itself with `--help`.",
    ]
    for parser, said in all_commands():
        words = tuple(parser.prog.split())[1:]
        fitting = [command for command in shown if command[: len(words)] == words]
        examples = "\n".join(
            shlex.join(["brainalign", *command]) for command in fitting[:_EXAMPLES]
        )
        rows = [(f"`{written}`", _plain(text)) for written, text in arguments_of(parser)]
        parts += [f"## {' '.join(words)}", _sentence(_plain(said))]
        parts += [f"```text\n{usage(parser)}\n```", _definitions(rows)]
        parts += [f"For example:\n\n```bash\n{examples}\n```"] if examples else []
    status = [(f"`{number}`", meaning) for number, meaning in EXIT_STATUS.items()]
    variables = [(f"`{name}`", meaning) for name, meaning in VARIABLES.items()]
    parts += ["(exit-status)=\n## Exit status", _definitions(status)]
    parts += ["## Variables of the environment", _definitions(variables)]
    return "\n\n".join(parts) + "\n"


def parameter_text(parameter: Parameter) -> tuple[str, str]:
    """A parameter with its default, and below it its meaning and its type in words."""
    # Texts as code, or the quotation marks would be made typographic ones.
    pieces = re.split(r'("[^"]*")', parameter.expected)
    expected = "".join(f"`{p}`" if n % 2 else _plain(p) for n, p in enumerate(pieces))
    said = f"{_plain(parameter.meaning)}\n: {expected}"
    return f"`{parameter.name} = {to_source(parameter.default)}`", said


def parameters_page(
    schemas: Mapping[str, Mapping[str, Parameter]], titles: Mapping[str, str]
) -> str:
    """Markdown of the page about the notebooks' parameters.

    Parameters
    ----------
    schemas
        Notebook to its parameters.
    titles
        Notebook to its question.
    """
    notebooks = {}
    for notebook, schema in schemas.items():
        for name in schema:
            notebooks.setdefault(name, []).append(f"{{ref}}`{notebook} <parameters-{notebook}>`")
    parts = [
        "(parameters)=\n# Parameters",
        "The first code cell of a notebook holds its parameters; each line there is a name, a type,",
        "a default and a comment. `brainalign run NOTEBOOK -p NAME=VALUE` changes one. A value that",
        "does not fit is refused before anything runs. `None` is written `null` on the command line",
        "and in files of parameters. The [last section](parameter-index) goes from a parameter to its",
        "notebooks.",
    ]
    lines = ["\n".join([parts[0], "", *parts[1:]])]
    for notebook, schema in schemas.items():
        lines.append(f"(parameters-{notebook})=\n## {notebook}")
        lines.append(_plain(titles[notebook]))
        lines.append(_definitions([parameter_text(parameter) for parameter in schema.values()]))
    index = [(f"`{name}`", ", ".join(notebooks[name])) for name in sorted(notebooks)]
    lines += ["(parameter-index)=\n## Which notebooks have a parameter", _definitions(index)]
    return "\n\n".join(lines) + "\n"


def reference_pages(root: Path) -> dict[str, str]:
    """All generated pages of the reference: name to Markdown.

    Parameters
    ----------
    root
        The book's folder.
    """
    from brainalign import _WHERE

    project = read_project(root)
    names = gather_names(read_package())
    schemas = {name: read_schema(name) for name in notebook_names()}
    titles = {name: title(read_notebook(notebook_path(name))) for name in schemas}
    pages = {
        "parameters": parameters_page(schemas, titles),
        "command_line": command_page(root),
        "api": overview_text(names, _WHERE),
    }
    return pages | {page: page_text(page, names, _sources(project)) for page in GROUPS}


def _sources(project: Project) -> str:
    """Address below which the project's files are shown; empty while none is set."""
    return f"{project.repository}/blob/{project.branch}" if project.repository else ""


def write_reference(root: Path, listed: Sequence[str]) -> list[Path]:
    """Write the generated pages of the reference that the table of contents lists.

    Parameters
    ----------
    root
        The book's folder.
    listed
        Files of the table of contents, from the book's folder and without ending.

    Returns
    -------
    list of pathlib.Path
        The pages; those that did not change are not written again.

    Raises
    ------
    InputError
        If the table of contents lists a page there that is none.
    """
    wanted = [Path(file).name for file in listed if Path(file).parent == GENERATED]
    if not wanted:
        return []
    pages, written = reference_pages(root), []
    for name in wanted:
        if name not in pages:
            raise InputError(
                f"_toc.yml: there is no reference page {name!r}; {', '.join(pages)} are."
            )
        target = root / GENERATED / f"{name}.md"
        if not target.is_file() or target.read_text(encoding="utf-8") != pages[name]:
            with atomic_path(target) as temporary:
                temporary.write_text(pages[name], encoding="utf-8")
        written.append(target)
    return written
