"""The parameters cell of a notebook is its interface: names, types, ranges and meanings.

The cell holds annotated assignments with a trailing comment::

    n_boot: Annotated[int, Field(ge=100, le=100_000)] = 1000  # bootstrap samples over models

It is read as text (`ast`) and never run; values are checked by pydantic in strict mode before
anything else happens, so that "abc" is never taken for a number nor "1" for a truth value.
"""

import ast
import io
import json
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from brainalign.companion.notebooks import notebook_path, parameters_cell, read_notebook
from brainalign.companion.type_names import describe
from brainalign.companion.yaml_files import parse_yaml, split_assignments
from brainalign.errors import InputError, did_you_mean, suggestion

__all__ = [
    "Annotated",
    "Field",
    "Literal",
    "ModelName",
    "Parameter",
    "Study",
    "StudyFolder",
    "describe",
    "read_schema",
    "resolve",
]


def _known_model(name: str) -> str:
    from brainalign.models import MINILM, check_name, split_name

    # Whether its package is installed is asked later: the book is planned without it, too.
    return name if split_name(name)[0] == MINILM else check_name(name)


def _with_papers_models(value: object) -> object:
    """A list of models in which "paper", if it is there, counts as so many."""
    if not isinstance(value, list):
        return value
    from brainalign.choices import PAPER
    from brainalign.models import paper_names

    if PAPER not in value:
        return value
    return [*paper_names(), *(name for name in value if name != PAPER)]


def _study_folder(path: str) -> str:
    from brainalign.studies import check_study, is_path

    if not is_path(path):
        raise ValueError("neither a known study nor a path")
    check_study(path)
    return path


ModelName = Annotated[
    str, AfterValidator(_known_model), Field(json_schema_extra={"format": "language model"})
]
StudyFolder = Annotated[
    str,
    AfterValidator(_study_folder),
    Field(json_schema_extra={"format": "folder with a study.yml"}),
]
#: A study of measured voxels: Le Petit Prince in three languages, or the user's own.
Study = Literal["petitprince-en", "petitprince-fr", "petitprince-cn"] | StudyFolder

_TYPES = {
    "Annotated": Annotated,
    "Field": Field,
    "Literal": Literal,
    "ModelName": ModelName,
    "Study": Study,
    "StudyFolder": StudyFolder,
    **{kind.__name__: kind for kind in (bool, int, float, str, list, dict, tuple)},
}


@dataclass(frozen=True)
class Parameter:
    """One annotated assignment of a parameters cell.

    Attributes
    ----------
    name, type, meaning : str
        As written in the cell.
    annotation : object
        The type itself.
    default : object
        Value in the cell.
    """

    name: str
    type: str
    annotation: Any
    default: Any
    meaning: str

    @cached_property
    def adapter(self) -> TypeAdapter:
        """Pydantic's check of the type."""
        return TypeAdapter(self.annotation, config={"allow_inf_nan": False})

    @property
    def json_schema(self) -> dict:
        """JSON schema of the type, with default and meaning."""
        schema = self.adapter.json_schema()
        return schema | {"default": self.default, "description": self.meaning}

    @property
    def expected(self) -> str:
        """The type in words: "an integer from 100 to 100,000"."""
        return describe(self.adapter.json_schema())

    def check(self, value: object) -> Any:
        """Return a value of the parameter's type.

        Raises
        ------
        InputError
            For a wrong type or a value out of range.
        """
        counted = _with_papers_models(value) if "ModelName" in self.type else value
        try:
            # JSON, because its strict mode takes lists for tuples but never "1" for 1.
            checked = self.adapter.validate_json(json.dumps(counted, default=str), strict=True)
            return checked if counted == value else value
        except ValidationError as error:
            for detail in error.errors():
                if isinstance(cause := detail.get("ctx", {}).get("error"), InputError):
                    raise InputError(f"Parameter {self.name}: {cause}") from error
            given = json.dumps(value, default=str, ensure_ascii=False)
            hint = did_you_mean(value, self._texts()) if isinstance(value, str) else ""
            raise InputError(
                f"Parameter {self.name} is {given}; {hint}{self.expected} is expected"
                f"{self._as_list(value)}."
            ) from error

    def _texts(self) -> list[str]:
        """Texts among which the type chooses."""
        schema = self.adapter.json_schema()
        parts = [*schema.get("anyOf", ()), schema]
        values = [one for part in parts for one in [*part.get("enum", ()), part.get("const")]]
        return [one for one in values if isinstance(one, str)]

    def _as_list(self, value: object) -> str:
        """Half a sentence that shows a text as the list which the type asks for."""
        if not isinstance(value, str):
            return ""
        items = [one.strip() for one in value.split(",")]
        try:
            self.adapter.validate_json(json.dumps(items), strict=True)
        except ValidationError:
            return ""
        return f", such as '{self.name}=[{', '.join(items)}]'"


def _comments(source: str) -> dict[int, str]:
    """Trailing comments by line number."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        t.start[0]: t.string.lstrip("# ").rstrip() for t in tokens if t.type == tokenize.COMMENT
    }


def _build_type(node: ast.expr) -> Any:
    """Build a type from its syntax, out of the names in `_TYPES` and literals alone."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name) if name in _TYPES:
            return _TYPES[name]
        case ast.Tuple(elements):
            return tuple(map(_build_type, elements))
        case ast.List(elements):
            return list(map(_build_type, elements))
        case ast.Subscript(kind, inside):
            return _build_type(kind)[_build_type(inside)]
        case ast.BinOp(left, ast.BitOr(), right):
            return _build_type(left) | _build_type(right)
        case ast.UnaryOp(ast.USub(), number):
            return -_build_type(number)
        case ast.Call(ast.Name("Field"), [], options):
            return Field(**{option.arg: _build_type(option.value) for option in options})
    raise TypeError(f"{ast.unparse(node)} is no type")


def _annotation(node: ast.expr, name: str, notebook: str) -> Any:
    """Type of a parameter; InputError where it is built from anything but a few names."""
    try:
        return _build_type(node)
    except TypeError as error:
        raise InputError(
            f"Parameter {name} of notebook {notebook!r} has the type {ast.unparse(node)!r}; "
            f"types are built from {', '.join(_TYPES)} and None."
        ) from error


def _parameter(statement: ast.stmt, comments: Mapping[int, str], notebook: str) -> Parameter:
    simple = isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    if not simple or statement.value is None:
        raise InputError(
            f"The parameters cell of notebook {notebook!r} has {ast.unparse(statement)!r}; "
            "'name: type = value  # meaning' is expected."
        )
    name = statement.target.id
    try:
        default = ast.literal_eval(statement.value)
    except ValueError as error:
        raise InputError(
            f"Parameter {name} of notebook {notebook!r} has the value "
            f"{ast.unparse(statement.value)!r}; a literal is expected."
        ) from error
    lines = (statement.end_lineno, statement.value.end_lineno, statement.lineno)
    meaning = next((comments[line] for line in lines if line in comments), "")
    annotation = _annotation(statement.annotation, name, notebook)
    parameter = Parameter(name, ast.unparse(statement.annotation), annotation, default, meaning)
    parameter.check(default)
    return parameter


def parse_cell(source: str, notebook: str) -> dict[str, Parameter]:
    """Read the source of a parameters cell.

    Parameters
    ----------
    source
        Imports, a docstring and annotated assignments.
    notebook
        Name for messages.

    Returns
    -------
    dict of str to Parameter
        In the order of the cell.

    Raises
    ------
    InputError
        For anything else in the cell, or a default that its own type forbids.
    """
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise InputError(
            f"The parameters cell of notebook {notebook!r} is not Python: {error.msg} in line "
            f"{error.lineno}."
        ) from error
    comments = _comments(source)
    passive = (ast.Import, ast.ImportFrom, ast.Expr)
    found = [_parameter(s, comments, notebook) for s in statements if not isinstance(s, passive)]
    return {parameter.name: parameter for parameter in found}


def read_schema(notebook: str, path: Path | None = None) -> dict[str, Parameter]:
    """Parameters of a notebook.

    Parameters
    ----------
    notebook
        Its name.
    path
        Its file, where it is not in the project's folder.
    """
    node = read_notebook(path or notebook_path(notebook))
    return parse_cell(parameters_cell(node, notebook).source, notebook)


def _check_names(schema: Mapping[str, Parameter], names, notebook: str) -> None:
    for name in names:
        if name not in schema:
            raise InputError(
                f"Notebook {notebook!r} has no parameter {name!r}; {suggestion(str(name), schema)}."
            )


def resolve(schema: Mapping[str, Parameter], values: Mapping, notebook: str) -> dict[str, Any]:
    """All parameters of a notebook, checked: the given ones, and the others' defaults.

    Parameters
    ----------
    schema
        From `read_schema`.
    values
        Parameters to change.
    notebook
        Name for messages.

    Returns
    -------
    dict
        Every parameter with its value, in the order of the cell; JSON types only.

    Raises
    ------
    InputError
        For an unknown name, a wrong type or a value out of range.
    """
    _check_names(schema, values, notebook)
    given = {name: schema[name].check(value) for name, value in values.items()}
    resolved = {name: given.get(name, parameter.default) for name, parameter in schema.items()}
    return json.loads(json.dumps(resolved))


def changed(schema: Mapping[str, Parameter], resolved: Mapping) -> dict[str, Any]:
    """Those resolved parameters that differ from their defaults."""
    default = resolve(schema, {}, "")
    return {name: value for name, value in resolved.items() if value != default[name]}


def parse_assignments(schema: Mapping[str, Parameter], texts: list[str], notebook: str) -> dict:
    """Read `name=value` texts of the command line.

    A value is read as YAML; where that does not suit the parameter's type, the text itself may
    (`-p subject=01` for a text).

    Raises
    ------
    InputError
        For a text without "=", a name given twice or unknown, or an unsuitable value.
    """
    values = {}
    for name, written in split_assignments(texts).items():
        _check_names(schema, [name], notebook)
        value = parse_yaml(written, f"parameter {name}")
        try:
            values[name] = schema[name].check(value)
        except InputError:
            try:
                values[name] = schema[name].check(written)
            except InputError:
                schema[name].check(value)
    return values


def to_source(value: object) -> str:
    """A JSON value as Python source, texts in double quotes."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(map(to_source, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_source(k)}: {to_source(v)}" for k, v in value.items()) + "}"
    return repr(value)


def rewrite_cell(source: str, resolved: Mapping) -> str:
    """Source of a parameters cell with the values of a run in place of the defaults.

    Types and comments stay; a value that did not change keeps its spelling.
    """
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    starts = [sum(map(len, lines[:n])) for n in range(len(lines))]
    text = b"".join(lines)
    for statement in reversed(ast.parse(source).body):
        if not isinstance(statement, ast.AnnAssign) or statement.target.id not in resolved:
            continue
        node, value = statement.value, resolved[statement.target.id]
        if json.loads(json.dumps(ast.literal_eval(node))) == value:
            continue
        # ast counts columns in bytes of UTF-8.
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        text = text[:begin] + to_source(value).encode() + text[end:]
    return text.decode()
