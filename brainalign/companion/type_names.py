"""Types of parameters in words, for messages and lists."""

import json
from collections.abc import Mapping


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number_range(schema: Mapping) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    parts = []
    if low is not None and high is not None:
        parts.append(f"from {low:,} to {high:,}")
    elif low is not None:
        parts.append(f"of at least {low:,}")
    elif high is not None:
        parts.append(f"of at most {high:,}")
    if (above := schema.get("exclusiveMinimum")) is not None:
        parts.append(f"above {above:,}")
    if (below := schema.get("exclusiveMaximum")) is not None:
        parts.append(f"below {below:,}")
    return "".join(f" {part}" for part in parts)


def _list_length(schema: Mapping) -> str:
    low, high = schema.get("minItems"), schema.get("maxItems")
    if low is not None and high is not None:
        return f" (with {low} to {high} items)" if low != high else f" (with {_items(low)})"
    if low:
        return f" (with at least {_items(low)})"
    return f" (with at most {_items(high)})" if high is not None else ""


def _items(number: int) -> str:
    return "1 item" if number == 1 else f"{number} items"


def describe(schema: Mapping) -> str:
    """Put a JSON schema into words.

    Parameters
    ----------
    schema
        Schema of one value, as pydantic writes it.

    Returns
    -------
    str
        "an integer from 1 to 10", "'a' or 'b'", "a list of numbers or null".
    """
    if "anyOf" in schema:
        options = [describe(option) for option in schema["anyOf"]]
        return (", or " if any("," in option for option in options) else " or ").join(options)
    if "enum" in schema:
        return " or ".join(_literal(value) for value in schema["enum"])
    if "const" in schema:
        return _literal(schema["const"])
    match schema.get("type"):
        case "integer":
            return "an integer" + _number_range(schema)
        case "number":
            return "a number" + _number_range(schema)
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case "string":
            return f"the name of a {schema['format']}" if "format" in schema else "a text"
        case "array" if "prefixItems" in schema:
            items = ", ".join(describe(item) for item in schema["prefixItems"])
            return f"a list of exactly these: [{items}]"
        case "array":
            items = f", each {describe(schema['items'])}" if schema.get("items") else ""
            return f"a list{_list_length(schema)}{items}"
        case "object":
            values = schema.get("additionalProperties")
            inner = f", each value {describe(values)}" if isinstance(values, dict) else ""
            return f"a mapping from names{inner}"
    return "any value"
