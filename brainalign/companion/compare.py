"""Two runs side by side: what was run, and which parameters, numbers, rows and figures differ."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from brainalign.companion.targets import check_file
from brainalign.errors import InputError
from brainalign.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

# Numbers that agree to so many digits count as equal: the last ones depend on the machine.
DIGITS = 9
_NEEDED = ("provenance.json", "numbers.json")


@dataclass(frozen=True)
class Run:
    """What `brainalign run` left in a folder.

    Attributes
    ----------
    folder : str
        Its path, as it was given.
    provenance, numbers : dict
        Content of its two JSON files.
    table : pandas.DataFrame or None
        Its table.csv, where there is one.
    figures : dict of str to dict of str to bytes
        Name of a figure to its files by ending: "png", "svg", "txt" (the alt text).
    """

    folder: str
    provenance: dict
    numbers: dict
    table: "pd.DataFrame | None" = field(default=None, repr=False)
    figures: dict[str, dict[str, bytes]] = field(default_factory=dict, repr=False)

    @property
    def notebook(self) -> str:
        """Name of the notebook that was run."""
        return self.provenance["notebook"]


class Change(NamedTuple):
    """One number in both runs.

    Attributes
    ----------
    name : str
        What it is called.
    first, second : float or None
        Its values; None where it is not finite.
    """

    name: str
    first: float | None
    second: float | None

    @property
    def difference(self) -> float | None:
        """Second minus first; None where one is not a number."""
        return None if None in (self.first, self.second) else self.second - self.first

    @property
    def ratio(self) -> float | None:
        """Second over first; None where that is not a number."""
        return self.second / self.first if self.first and self.second is not None else None

    @property
    def relative(self) -> float:
        """Size of the change relative to the larger value; infinite from or to no number."""
        if self.first == self.second:
            return 0.0
        if self.difference is None:
            return math.inf
        return abs(self.difference) / max(abs(self.first), abs(self.second))

    @property
    def equal(self) -> bool:
        """Whether both agree to `DIGITS` digits."""
        return self.relative <= 10.0**-DIGITS


def _read_json(folder: Path, name: str) -> dict:
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InputError(f"Run folder {str(folder)!r}: {name} is not a JSON object.")
    return content


def read_run(folder: Path) -> Run:
    """Read what a run left.

    Raises
    ------
    InputError
        For a folder that does not exist, lacks a file that every run leaves, or holds one that
        cannot be read.
    """
    import pandas as pd

    folder = folder.expanduser()
    if not folder.is_dir():
        raise InputError(
            f"There is no folder {str(folder)!r}; a folder that brainalign run left is expected."
        )
    if missing := [name for name in _NEEDED if not (folder / name).is_file()]:
        raise InputError(
            f"Folder {str(folder)!r} has no {' and no '.join(missing)}; a folder that brainalign "
            "run left is expected."
        )
    provenance = _read_json(folder, _NEEDED[0])
    for name in ("notebook", "parameters"):
        if name not in provenance:
            raise InputError(f"Run folder {str(folder)!r}: provenance.json names no {name}.")
    if not isinstance(provenance["parameters"], dict):
        raise InputError(f"Run folder {str(folder)!r}: its parameters are no names with values.")
    table = None
    if (path := folder / "table.csv").is_file():
        try:
            table = pd.read_csv(path)
        except ValueError as error:
            raise InputError(f"Run folder {str(folder)!r}: table.csv is no table.") from error
    figures: dict[str, dict[str, bytes]] = {}
    for path in sorted((folder / "figures").glob("*")):
        if path.suffix in (".png", ".svg", ".txt"):
            content = figures.setdefault(path.stem, {})
            content[path.suffix[1:]] = path.read_bytes()
            if path.suffix == ".png" and not _is_picture(content["png"]):
                raise InputError(f"Run folder {str(folder)!r}: {path.name} is no whole picture.")
    return Run(str(folder), provenance, _read_json(folder, _NEEDED[1]), table, figures)


def split_names(first: Mapping, second: Mapping) -> tuple[list[str], list[str], list[str]]:
    """Names in both, in the first only, in the second only; in their own order."""
    return (
        [name for name in first if name in second],
        [name for name in first if name not in second],
        [name for name in second if name not in first],
    )


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    number = isinstance(value, int | float) and math.isfinite(value)
    return value if number else None


def changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Change]:
    """Numbers of the same name, the largest relative change first; equal ones in their order."""
    shared = split_names(first, second)[0]
    found = [Change(name, _number(first[name]), _number(second[name])) for name in shared]
    return sorted(found, key=lambda change: 0 if change.equal else -change.relative)


class TableChanges(NamedTuple):
    """Rows of two tables that differ.

    Attributes
    ----------
    keys : list of str
        Columns that tell the rows apart.
    rows : list of tuple
        Key values, then the column that differs, then the first and the second value.
    n_shared : int
        Rows in both tables.
    only_first, only_second : sequence of tuple
        Keys of rows that are in one table only.
    why_not : str
        Why the tables cannot be compared; else empty.
    """

    keys: list[str]
    rows: list[tuple]
    n_shared: int = 0
    only_first: Sequence[tuple] = ()
    only_second: Sequence[tuple] = ()
    why_not: str = ""


def _keys(first: "pd.DataFrame", second: "pd.DataFrame") -> list[str] | None:
    """Columns that tell rows apart in both tables: those of text, then those of whole numbers."""
    from pandas.api.types import is_integer_dtype, is_numeric_dtype

    text = [c for c in first if not (is_numeric_dtype(first[c]) and is_numeric_dtype(second[c]))]
    whole = [c for c in first if is_integer_dtype(first[c]) and is_integer_dtype(second[c])]
    for number in range(len(whole) + 1):
        keys = [*text, *whole[:number]]
        if keys and not (first.duplicated(keys).any() or second.duplicated(keys).any()):
            return keys
    return None


def _same(first: object, second: object) -> bool:
    if _number(first) is not None and _number(second) is not None:
        return Change("", first, second).equal
    return first == second or (first != first and second != second)


def table_changes(first: "pd.DataFrame | None", second: "pd.DataFrame | None") -> TableChanges:
    """Compare two tables row by row.

    Parameters
    ----------
    first, second
        From table.csv. They can be compared where they have the same columns, and columns of text
        or whole numbers tell all rows apart.

    Returns
    -------
    TableChanges
        Its `why_not` says so where they cannot.
    """
    if first is None or second is None:
        return TableChanges([], [], why_not="One of the runs, or both, left no table.")
    if set(first.columns) != set(second.columns):
        apart = sorted({*map(str, first.columns)} ^ {*map(str, second.columns)})
        return TableChanges([], [], why_not=f"The tables differ in columns: {', '.join(apart)}.")
    keys = _keys(first, second)
    if keys is None:
        return TableChanges([], [], why_not="No column of text or whole numbers names the rows.")
    # Python's own numbers, and one kind of "missing" in the keys.
    rows = [_by_key(table, keys) for table in (first, second)]
    shared, only_first, only_second = split_names(*rows)
    others = [str(column) for column in first if column not in keys]
    differing = [
        (*key, column, rows[0][key][column], rows[1][key][column])
        for key in shared
        for column in others
        if not _same(rows[0][key][column], rows[1][key][column])
    ]
    return TableChanges(keys, differing, len(shared), only_first, only_second)


def _by_key(table: "pd.DataFrame", keys: list[str]) -> dict[tuple, dict]:
    records = table.to_dict("records")
    return {tuple("" if row[key] != row[key] else row[key] for key in keys): row for row in records}


def _is_picture(content: bytes) -> bool:
    """Whether a PNG can be read to its end."""
    import io

    from matplotlib.image import imread

    try:
        imread(io.BytesIO(content), format="png")
    except (OSError, ValueError, SyntaxError):
        return False
    return True


class ScoreChanges(NamedTuple):
    """Brain scores that two runs read.

    Attributes
    ----------
    n_same : int
        Scores that both read.
    refitted : dict of str to list of str
        Study to models of which both read scores, but not the same ones.
    settings : dict of str to dict of str to tuple
        Study to the settings that differ there, each with its values in both as texts.
    only_first, only_second : list of str
        "MODEL on STUDY", of which one run read scores.
    """

    n_same: int
    refitted: dict[str, list[str]]
    settings: dict[str, dict[str, tuple[str, str]]]
    only_first: list[str]
    only_second: list[str]


def score_changes(first: Mapping[str, str], second: Mapping[str, str]) -> ScoreChanges:
    """Tell scores that both runs read from those that were fitted in another way.

    Parameters
    ----------
    first, second
        "MODEL on STUDY {options} {settings}" to the key of these scores, as in provenance.json.

    Returns
    -------
    ScoreChanges
    """
    sides = [{(_whose(name), key): name for name, key in one.items()} for one in (first, second)]
    same, *single = split_names(*sides)
    names = [{} for _ in sides]
    for side, keys, found in zip(sides, single, names, strict=True):
        for key in keys:
            found.setdefault(key[0], []).append(_settings(side[key]))
    both, *only = split_names(*names)
    refitted: dict[str, list[str]] = {}
    for name in both:
        model, _, study = name.rpartition(" on ")
        refitted.setdefault(study, []).append(model)
    settings = {
        study: _that_differ(*([x for m in models for x in one[f"{m} on {study}"]] for one in names))
        for study, models in refitted.items()
    }
    return ScoreChanges(len(same), refitted, settings, *map(sorted, only))


def _whose(score: str) -> str:
    """Model and study of a score's name."""
    return score.split(" {")[0]


def _settings(score: str) -> dict[str, str]:
    """Options of the study and settings of the encoding in a score's name, as texts."""
    found, text, decoder = {}, score.removeprefix(_whose(score)).lstrip(), json.JSONDecoder()
    while text.startswith("{"):
        try:
            part, end = decoder.raw_decode(text)
        except ValueError:
            break
        text = text[end:].lstrip()
        for name, value in part.items():
            inner = value if isinstance(value, dict) else {name: value}
            found |= {
                key: one if isinstance(one, str) else json.dumps(one) for key, one in inner.items()
            }
    return found


def _that_differ(first: Sequence[Mapping], second: Sequence[Mapping]) -> dict[str, tuple[str, str]]:
    """Settings whose values are not the same on both sides."""
    names = dict.fromkeys(name for one in [*first, *second] for name in one)
    values = {
        name: tuple(
            " and ".join(dict.fromkeys(one.get(name, "not stated") for one in side))
            for side in (first, second)
        )
        for name in names
    }
    return {name: pair for name, pair in values.items() if pair[0] != pair[1]}


def pixels_that_differ(first: bytes, second: bytes) -> float | None:
    """Part of the pixels of two PNG pictures that differ in any colour; None for other sizes."""
    import io

    import numpy as np
    from matplotlib.image import imread

    one, two = (imread(io.BytesIO(content), format="png") for content in (first, second))
    return None if one.shape != two.shape else float(np.mean(np.any(one != two, axis=-1)))


def compare(first: Path, second: Path, target: Path) -> Path:
    """Write a page that puts two runs side by side.

    Parameters
    ----------
    first, second
        Folders that `brainalign run` left.
    target
        HTML file to write; one that is there is replaced.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    InputError
        For a folder that no run left, a target that cannot be written, or one that is there and is
        no page.
    """
    from brainalign.companion.compare_page import page

    check_file(target, ".html")
    content = page(read_run(first), read_run(second))
    with atomic_path(target) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return target
