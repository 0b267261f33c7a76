"""YAML files, read without YAML's surprises.

In YAML 1.1, as PyYAML reads it, `no` is false, `1e5` is a text, `012` is ten and `12:30` is 750.
Here scalars follow YAML 1.2: true, false, null, decimal numbers, and everything else is text.
"""

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from brainalign.errors import InputError


class _Loader(yaml.SafeLoader):
    """Safe loader with the scalars of YAML 1.2 and no repeated keys."""

    yaml_implicit_resolvers: ClassVar[dict] = {}

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} appears twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in [
    ("bool", r"true|false|True|False", "tfTF"),
    ("null", r"null|Null|None|~|", ["n", "N", "~", ""]),
    ("int", r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", "-+.0123456789"),
]:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )
_Loader.add_constructor(
    "tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node))
)


def parse_yaml(text: str, where: str) -> Any:
    """Parse YAML.

    Raises
    ------
    InputError
        Naming `where` if the text is not YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise InputError(f"The YAML of {where} cannot be read: {problem}{line}.") from error
    except ValueError as error:
        raise InputError(f"The YAML of {where} cannot be read: {error}.") from error


def read_mapping(path: Path, kind: str = "parameter file") -> dict:
    """Read a YAML file that holds one mapping; `kind` is what messages call it.

    Raises
    ------
    InputError
        For a missing file, one that is no text, or anything but a mapping.
    """
    if not path.is_file():
        raise InputError(f"There is no {kind} {str(path)!r}.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"The {kind} {str(path)!r} is not text in UTF-8.") from error
    value = parse_yaml(text, str(path))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}; a mapping is expected.")
    return value
