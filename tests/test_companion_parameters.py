"""The parameters cell: what it accepts, what it refuses, and in which words."""

import json

import pytest
import tiny_book
from hypothesis import given
from hypothesis import strategies as st

from brainalign.companion.parameters import (
    changed,
    describe,
    parse_assignments,
    parse_cell,
    read_schema,
    resolve,
    rewrite_cell,
)
from brainalign.companion.yaml_files import parse_yaml, read_mapping
from brainalign.errors import InputError

CELL = '''from brainalign.companion.parameters import Annotated, Field, Literal, ModelName

"""What can be changed."""
rule: Literal["nested", "published"] = "nested"  # how layers are chosen: ü, "#" and all
n_boot: Annotated[int, Field(ge=100, le=100_000)] = 1_000  # bootstrap samples
width: float | None = None  # in mm
show: bool = True  # whether to show
names: list[str] = [
    "a",  # not this one
    "b#c",
]  # what to call them
sizes: dict[str, Annotated[float, Field(gt=0)]] = {"x": 1.5}  # by name
pair: tuple[int, int] = (1, 2)  # two numbers
models: list[ModelName] | None = None  # language models
'''


@pytest.fixture(scope="module")
def schema():
    return parse_cell(CELL, "demo")


def test_schema_reads_types_defaults_and_meanings(schema):
    assert list(schema) == "rule n_boot width show names sizes pair models".split()
    assert schema["n_boot"].default == 1000
    assert schema["n_boot"].meaning == "bootstrap samples"
    assert schema["rule"].meaning == 'how layers are chosen: ü, "#" and all'
    assert schema["names"].meaning == "what to call them"
    assert schema["width"].type == "float | None"
    assert schema["n_boot"].json_schema["minimum"] == 100


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("rule", ["nested", "published"]),
        ("n_boot", [100, 100_000]),
        ("width", [None, 1, 2.5]),
        ("show", [True, False]),
        ("names", [[], ["x"]]),
        ("sizes", [{}, {"y": 2}]),
        ("pair", [[3, 4]]),
        ("models", [None, []]),
    ],
)
def test_suitable_values(schema, name, good):
    for value in good:
        resolved = resolve(schema, {name: value}, "demo")[name]
        assert json.loads(json.dumps(resolved)) == resolved == value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rule", "nestd", '"nested" or "published" is expected'),
        ("n_boot", "abc", "an integer from 100 to 100,000 is expected"),
        ("n_boot", "200", "an integer"),
        ("n_boot", 99, "an integer from 100"),
        ("n_boot", 200.0, "an integer"),
        ("n_boot", True, "an integer"),
        ("n_boot", None, "an integer"),
        ("width", "wide", "a number or null"),
        ("width", float("nan"), "a number or null"),
        ("show", 1, "true or false"),
        ("show", "yes", "true or false"),
        ("rule", "nestd", "did you mean 'nested'? \"nested\" or"),
        ("names", "a", "a list, each a text is expected, such as 'names=[a]'."),
        ("models", "gpt2, opt-125m", "is expected, such as 'models=[gpt2, opt-125m]'."),
        ("models", "gpt2,no-model", "or null is expected."),
        ("names", [1], "a list, each a text"),
        ("sizes", {"x": 0}, "each value a number above 0"),
        ("pair", [1], "a list of exactly these: [an integer, an integer]"),
    ],
)
def test_unsuitable_values_give_one_sentence(schema, name, value, expected):
    with pytest.raises(InputError) as caught:
        resolve(schema, {name: value}, "demo")
    sentence = str(caught.value)
    assert name in sentence and expected in sentence and "\n" not in sentence


def test_meaning_of_a_value_on_a_line_of_its_own():
    cell = 'kind: Literal["one", "two"] = (\n    "one"  # which\n)\nn: int = 1  # how many'
    meanings = {name: p.meaning for name, p in parse_cell(cell, "x").items()}
    assert meanings == {"kind": "which", "n": "how many"}


def test_unknown_names_point_at_the_one_that_was_meant(schema):
    with pytest.raises(InputError, match="no parameter 'nboot'; did you mean 'n_boot'"):
        resolve(schema, {"nboot": 1}, "demo")


def test_unknown_model(schema):
    with pytest.raises(InputError, match=r"models.*no-such-model"):
        resolve(schema, {"models": ["no-such-model"]}, "demo")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n_boot=200", 200),
        ("n_boot=1_000", 1000),
        ("width=1e2", 100.0),
        ("width=.5", 0.5),
        ("width=null", None),
        ("show=false", False),
        ("names=[no, 1.0.1, '2']", ["no", "1.0.1", "2"]),
        ("sizes={a: 1}", {"a": 1}),
        ("rule=published", "published"),
    ],
)
def test_assignments_are_yaml(schema, text, value):
    name = text.partition("=")[0]
    assert parse_assignments(schema, [text], "demo")[name] == value


def test_a_text_that_looks_like_a_number_stays_a_text():
    schema = parse_cell('subject: str = "average"  # who', "demo")
    assert parse_assignments(schema, ["subject=01"], "demo") == {"subject": "01"}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["n_boot"], "not of the form name=value"),
        (["=3"], "not of the form name=value"),
        (["n_boot=abc"], 'n_boot is "abc"; an integer'),
        (["n_boot=200", "n_boot=300"], "given twice"),
        (["names=[a"], "YAML of parameter names"),
        (["other=1"], "no parameter 'other'"),
    ],
)
def test_unusable_assignments(schema, texts, expected):
    with pytest.raises(InputError, match="."):
        try:
            parse_assignments(schema, texts, "demo")
        except InputError as error:
            assert expected in str(error) and "\n" not in str(error)
            raise


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("x = 1", "name: type = value"),
        ("x: int", "name: type = value"),
        ("x: int = 1 + y", "a literal is expected"),
        ("x: open('f') = 1", "types are built from"),
        ("x: Other = 1", "types are built from"),
        ("x: int = 'a'", "an integer is expected"),
        ("x: int =", "is not Python"),
    ],
)
def test_cells_that_are_no_interface(cell, expected):
    with pytest.raises(InputError, match="."):
        try:
            parse_cell(cell, "demo")
        except InputError as error:
            assert expected in str(error)
            raise


def test_changed_parameters_only(schema):
    assert changed(schema, resolve(schema, {"show": True, "width": 2.0}, "")) == {"width": 2.0}


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(
    n_boot=st.integers(100, 100_000),
    width=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    show=st.booleans(),
    names=st.lists(texts, max_size=3),
    sizes=st.dictionaries(texts, st.floats(0.1, 10), max_size=2),
)
def test_rewritten_cell_holds_the_resolved_values(n_boot, width, show, names, sizes):
    schema = parse_cell(CELL, "demo")
    values = {"n_boot": n_boot, "width": width, "show": show, "names": names, "sizes": sizes}
    resolved = resolve(schema, values, "demo")
    again = parse_cell(rewrite_cell(CELL, resolved), "demo")
    assert resolve(again, {}, "demo") == resolved
    assert [p.type for p in again.values()] == [p.type for p in schema.values()]
    assert again["rule"].meaning == schema["rule"].meaning


def test_rewriting_keeps_the_spelling_of_what_did_not_change():
    assert rewrite_cell(CELL, resolve(parse_cell(CELL, ""), {}, "")) == CELL


def test_description_of_lengths():
    schema = {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "number"}}
    assert describe(schema) == "a list (with 1 to 3 items), each a number"
    assert describe({"type": "array", "minItems": 1}) == "a list (with at least 1 item)"
    assert describe({"type": "integer", "exclusiveMaximum": 3}) == "an integer below 3"
    assert describe({"const": 1}) == "1"
    assert describe({}) == "any value"


@pytest.mark.parametrize(
    ("text", "value"),
    [("no", "no"), ("012", 12), ("12:30", "12:30"), ("1e5", 1e5), ("", None), ("2020-01-01",) * 2],
)
def test_yaml_scalars(text, value):
    assert parse_yaml(text, "test") == value


def test_parameter_files(tmp_path):
    path = tmp_path / "params.yml"
    path.write_text("n_boot: 200\nn_boot: 300\n")
    with pytest.raises(InputError, match="'n_boot' appears twice"):
        read_mapping(path)
    path.write_text("- 1\n")
    with pytest.raises(InputError, match="a mapping is expected"):
        read_mapping(path)
    path.write_text("")
    assert read_mapping(path) == {}
    with pytest.raises(InputError, match="no parameter file"):
        read_mapping(tmp_path / "none.yml")


def test_notebooks_without_one_parameters_cell(tmp_path):
    path = tiny_book.write_notebook(tmp_path, "bare", [tiny_book.code("1")])
    with pytest.raises(InputError, match="0 code cells tagged 'parameters'"):
        read_schema("bare", path)
    path.write_text("not json")
    with pytest.raises(InputError, match="not a Jupyter notebook"):
        read_schema("bare", path)
