"""Docstrings read from the source: what is public, its signature, its numpydoc sections.

Nothing is imported, so that a page about all modules needs neither torch nor a second of time.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from brainalign.errors import InputError
from brainalign.files import PACKAGE

Definition = ast.FunctionDef | ast.ClassDef
#: Sections of numpydoc that list names or types.
LISTS = ("Parameters", "Attributes", "Returns", "Yields", "Raises")
_KNOWN = (*LISTS, "Notes")


@dataclass(frozen=True)
class Entry:
    """A public function, class, method or property.

    Attributes
    ----------
    name : str
        Of the object; its full name is `module` and `name` (for a method `Class.name`).
    kind : str
        "function", "class", "exception", "method" or "property".
    arguments : tuple of str
        What it takes, without `self`.
    signature : str
        Arguments in brackets, types as in the source, and what it returns.
    summary : str
        First paragraph of the docstring.
    description : str
        What follows it, before the sections.
    sections : dict of str to object
        Section to its items (pairs of a heading and its text), or to its text.
    line : int
        Where it begins in the file.
    returns : bool
        Whether it gives something back.
    members : tuple of Entry
        Methods and properties of a class.
    """

    name: str
    kind: str
    arguments: tuple[str, ...]
    signature: str
    summary: str
    description: str
    sections: Mapping[str, object]
    line: int
    returns: bool = False
    members: tuple["Entry", ...] = ()


@dataclass(frozen=True)
class Module:
    """A module with its docstring and what is public in it.

    Attributes
    ----------
    name : str
        With the package, "brainalign.study".
    file : str
        Path from the project's folder, with slashes.
    description : str
        Its docstring.
    imported : dict of str to str
        Names that it imports from the package, to where they are from.
    aliases : dict of str to str
        Names of types that it defines, such as a choice of texts, to what they stand for.
    entries : tuple of Entry
        In the order of the file.
    """

    name: str
    file: str
    description: str
    imported: Mapping[str, str]
    aliases: Mapping[str, str]
    entries: tuple[Entry, ...] = field(default=())


def split_docstring(text: str) -> tuple[str, str, dict[str, object]]:
    """Take a docstring apart.

    Parameters
    ----------
    text
        Docstring in the style of numpydoc, without its indentation.

    Returns
    -------
    summary : str
        Its first paragraph.
    description : str
        What stands between that and the sections; may be empty.
    sections : dict of str to object
        Section to items, or to text for "Notes".

    Raises
    ------
    InputError
        For a section of another name, or one that is there twice.
    """
    pieces = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", f"{text.strip()}\n", flags=re.MULTILINE)
    summary, _, description = pieces[0].strip().partition("\n\n")
    sections: dict[str, object] = {}
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        if name not in _KNOWN or name in sections:
            raise InputError(
                f"A docstring has the section {name!r}; each of {', '.join(_KNOWN)} is expected "
                "at most once."
            )
        sections[name] = _items(body) if name in LISTS else body.strip()
    return " ".join(summary.split()), description.strip(), sections


def _items(body: str) -> list[tuple[str, str]]:
    """Items of a section: a heading at the margin, and the indented text below it."""
    items: list[tuple[str, list[str]]] = []
    for line in body.strip("\n").splitlines():
        if line and not line[0].isspace():
            items.append((line.strip(), []))
        elif items:
            items[-1][1].append(line)
    return [(head, inspect.cleandoc("\n".join(["", *lines]))) for head, lines in items]


def read_module(path: Path, package: Path = PACKAGE) -> Module:
    """Read one file of a package.

    Parameters
    ----------
    path
        The file.
    package
        Folder of the package, the parent of which its file names start from.

    Raises
    ------
    InputError
        For a docstring with unknown sections; it names file and function.
    """
    inside = path.relative_to(package.parent)
    parts = inside.with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = dict(_imported(tree, package.name))
    entries = tuple(_entries(tree.body, inside.as_posix()))
    description = ast.get_docstring(tree) or ""
    aliases = dict(_aliases(tree))
    return Module(name, inside.as_posix(), description, imported, aliases, entries)


def read_package(package: Path = PACKAGE) -> dict[str, Module]:
    """All modules of a package by name, in alphabetical order."""
    modules = [read_module(path, package) for path in package.rglob("*.py")]
    return {module.name: module for module in sorted(modules, key=lambda module: module.name)}


def _imported(tree: ast.Module, package: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}."):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Definitions such as `Rule = Literal["a", "b"]` or `Work = Callable[[int], None]`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
            name = ast.unparse(node.targets[0])
            if re.fullmatch(r"_?[A-Z][a-z]\w*", name):
                yield name, ast.unparse(node.value)


def _entries(statements: Iterable[ast.stmt], file: str) -> Iterator[Entry]:
    for node in statements:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield _entry(node, file)


def _entry(node: Definition, file: str) -> Entry:
    try:
        summary, description, sections = split_docstring(ast.get_docstring(node) or "")
    except InputError as error:
        raise InputError(f"{file}, {node.name}: {error}") from error
    parts = (summary, description, sections, node.lineno)
    if isinstance(node, ast.ClassDef):
        arguments, signature = _class_signature(node)
        bases = [ast.unparse(base) for base in node.bases]
        kind = "exception" if any(base.endswith("Error") for base in bases) else "class"
        members = [_member(entry, node) for entry in _entries(node.body, file)]
        return Entry(node.name, kind, arguments, signature, *parts, members=tuple(members))
    gives = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    signature = f"({ast.unparse(node.args)}){gives}"
    returns = bool(node.returns) and ast.unparse(node.returns) not in ("None", "NoReturn")
    return Entry(node.name, "function", _names(node.args), signature, *parts, returns=returns)


def _names(arguments: ast.arguments) -> tuple[str, ...]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    more = [one for one in (arguments.vararg, arguments.kwarg) if one]
    return tuple(one.arg for one in (*every, *more))


def _class_signature(node: ast.ClassDef) -> tuple[tuple[str, ...], str]:
    """Arguments of a class: of its `__init__`, or the fields of a dataclass or named tuple."""
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            without_self = ast.parse(ast.unparse(inner)).body[0].args
            without_self.args.pop(0)
            return _names(without_self), f"({ast.unparse(without_self)})"
    fields = [inner for inner in node.body if isinstance(inner, ast.AnnAssign) and _taken(inner)]
    written = [
        f"{ast.unparse(one.target)}: {ast.unparse(one.annotation)}{_default(one)}" for one in fields
    ]
    return tuple(ast.unparse(one.target) for one in fields), f"({', '.join(written)})"


def _taken(one: ast.AnnAssign) -> bool:
    """Whether a field is given when an object is made."""
    made_later = one.value is not None and "init=False" in ast.unparse(one.value)
    return not made_later and "ClassVar" not in ast.unparse(one.annotation)


def _default(one: ast.AnnAssign) -> str:
    """Default of a field as in the source; of `field(...)` only that there is one."""
    if one.value is None:
        return ""
    if isinstance(one.value, ast.Call) and ast.unparse(one.value.func) == "field":
        given = {option.arg: option.value for option in one.value.keywords}
        if "default" in given:
            return f" = {ast.unparse(given['default'])}"
        return " = ..." if "default_factory" in given else ""
    return f" = {ast.unparse(one.value)}"


def _member(entry: Entry, node: ast.ClassDef) -> Entry:
    """A function of a class as a method, without `self`, or as a property."""
    (inner,) = [n for n in node.body if getattr(n, "name", "") == entry.name]
    marks = {ast.unparse(mark) for mark in inner.decorator_list}
    changes = {"kind": "method"}
    if marks & {"property", "cached_property", "functools.cached_property"}:
        changes = {"kind": "property", "arguments": ()}
    elif "staticmethod" not in marks:
        signature = re.sub(r"^\((self|cls)(, )?", "(", entry.signature)
        changes |= {"arguments": entry.arguments[1:], "signature": signature}
    return Entry(**{**vars(entry), **changes})
