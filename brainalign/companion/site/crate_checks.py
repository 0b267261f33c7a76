"""What RO-Crate 1.1 and the profile of Process Run Crates ask for, as checks of our own.

The full validators need the network or other versions of packages than this project; the rules
that a crate of ours could break are few, and each has its check here.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from brainalign.files import file_sha256

#: The file's name at the root of a crate.
METADATA = "ro-crate-metadata.json"
_SPECIFICATION = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/"
_ROOT = ("name", "description", "datePublished", "license")
_INSTRUMENTS = {"SoftwareApplication", "SoftwareSourceCode", "ComputationalWorkflow"}
_AGENTS = {"Person", "Organization"}

Graph = Mapping[str, Mapping[str, Any]]


def crate_faults(crate: Mapping[str, Any], site: Path) -> list[str]:
    """What is wrong with a crate; empty if nothing is.

    Parameters
    ----------
    crate
        Content of `ro-crate-metadata.json`.
    site
        Folder that it describes.

    Returns
    -------
    list of str
        One sentence, without a full stop, for each fault.
    """
    entities = crate.get("@graph", [])
    names = [entity.get("@id") for entity in entities]
    faults = [f"{name} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    faults += [f"an entity has no @type: {e.get('@id')}" for e in entities if not e.get("@type")]
    graph = {entity["@id"]: entity for entity in entities if entity.get("@id")}
    checks: list[Callable[[Graph, Path], Iterator[str]]] = [
        _descriptor_faults,
        _root_faults,
        _reference_faults,
        _file_faults,
        _action_faults,
        _reach_faults,
    ]
    return faults + [fault for check in checks for fault in check(graph, site)]


def kinds(entity: Mapping[str, Any]) -> set[str]:
    """Types of an entity."""
    found = entity.get("@type", [])
    return set(found if isinstance(found, list) else [found])


def references(value: Any) -> Iterator[str]:
    """Names of the entities that a value of a property refers to."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, Mapping) and set(one) == {"@id"}:
            yield one["@id"]


def is_web(name: str) -> bool:
    """Whether an entity is named by an address on the web."""
    return "://" in name


def _descriptor_faults(graph: Graph, site: Path) -> Iterator[str]:
    descriptor = graph.get(METADATA, {})
    if "CreativeWork" not in kinds(descriptor):
        yield f"{METADATA} is no entity of type CreativeWork"
    if list(references(descriptor.get("about"))) != ["./"]:
        yield f"{METADATA} is not about ./"
    if _SPECIFICATION not in references(descriptor.get("conformsTo")):
        yield f"{METADATA} does not conform to {_SPECIFICATION}"


def _root_faults(graph: Graph, site: Path) -> Iterator[str]:
    root = graph.get("./", {})
    if "Dataset" not in kinds(root):
        yield "./ is no entity of type Dataset"
    yield from (f"./ has no {name}" for name in _ROOT if not root.get(name))
    if not _is_time(root.get("datePublished", "")):
        yield "datePublished of ./ is no date of ISO 8601"
    profiles = [name for name in references(root.get("conformsTo")) if name.startswith(_PROFILE)]
    if not any("CreativeWork" in kinds(graph.get(name, {})) for name in profiles):
        yield f"./ does not conform to an entity of {_PROFILE}"


def _reference_faults(graph: Graph, site: Path) -> Iterator[str]:
    for name, entity in graph.items():
        for key, value in entity.items():
            for other in references(value):
                # Types of a specification are named without being described.
                if other not in graph and other != _SPECIFICATION:
                    yield f"{key} of {name} refers to {other}, which is not there"


def _file_faults(graph: Graph, site: Path) -> Iterator[str]:
    for name, entity in graph.items():
        if "File" not in kinds(entity):
            continue
        if missing := [key for key in ("contentSize", "sha256") if not entity.get(key)]:
            yield f"{name} has no {' and no '.join(missing)}"
        elif not is_web(name):
            path = site / name
            if not path.is_file():
                yield f"{name} is not in the site"
            elif str(path.stat().st_size) != entity["contentSize"]:
                yield f"{name} has another size"
            elif file_sha256(path) != entity["sha256"]:
                yield f"{name} has another checksum"


def _action_faults(graph: Graph, site: Path) -> Iterator[str]:
    actions = {name: e for name, e in graph.items() if "CreateAction" in kinds(e)}
    if not actions:
        yield "there is no CreateAction"
    mentioned = set(references(graph.get("./", {}).get("mentions", [])))
    for name, action in actions.items():
        if name not in mentioned:
            yield f"./ does not mention {name}"
        if not _all_of(graph, action.get("instrument"), _INSTRUMENTS):
            yield f"instrument of {name} is no software"
        if not _all_of(graph, action.get("agent"), _AGENTS):
            yield f"agent of {name} is no person or organization"
        for key in ("object", "result"):
            if not list(references(action.get(key))):
                yield f"{name} has no {key}"
        times = [action.get("startTime", ""), action.get("endTime", "")]
        if not all(map(_is_time, times)):
            yield f"startTime or endTime of {name} is no time of ISO 8601"
        elif datetime.fromisoformat(times[0]) > datetime.fromisoformat(times[1]):
            yield f"{name} ended before it began"


def _all_of(graph: Graph, value: Any, wanted: set[str]) -> bool:
    named = list(references(value))
    return bool(named) and all(kinds(graph.get(name, {})) & wanted for name in named)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _reach_faults(graph: Graph, site: Path) -> Iterator[str]:
    """Every file and data set of the crate is a part of the root, directly or through others."""
    reached: set[str] = set()
    todo = ["./"]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += references(graph.get(name, {}).get("hasPart", []))
    for name, entity in graph.items():
        if "File" in kinds(entity) and name not in reached:
            yield f"{name} is no part of ./"
