"""What there is, as text for the command line: notebooks, studies, models, parameters, status."""

import json
from collections.abc import Mapping

from brainalign.companion import cache
from brainalign.companion.availability import in_words, lacks, model_lack, study_lack
from brainalign.companion.book import label, plan_pages
from brainalign.companion.explorer import labels, plan_explorers, to_execute
from brainalign.companion.notebooks import notebook_names, notebook_path, read_notebook, title
from brainalign.companion.parameters import Parameter, to_source

_STUDIES = {
    "published": "the paper's own numbers, in the package; no brain responses",
    "testbed": "simulated listeners with a known truth, made when asked for",
    "alice": "27 listeners to Alice in Wonderland, six regions",
    "petitprince-en": "49 listeners to Le Petit Prince in English, and their published average",
    "petitprince-fr": "28 listeners in French",
    "petitprince-cn": "35 listeners in Chinese",
    "concepts": "180 concepts in sentences, pictures, word clouds: published maps of 17 people",
    "concepts-testbed": "simulated listeners to concepts with a known truth, made when asked for",
}


def columns(rows: list[tuple[str, ...]], indent: str = "  ") -> str:
    """Rows of text with their columns one below the other."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)


def list_everything() -> str:
    """Notebooks with their questions, studies, and language models."""
    import pandas as pd

    from brainalign.models import MINILM, model_table
    from brainalign.studies import study_names

    notebooks = [(name, title(read_notebook(notebook_path(name)))) for name in notebook_names()]
    names = dict.fromkeys(["published", *study_names()])
    studies = [(name, _STUDIES.get(name, "brain responses"), _at_hand(name)) for name in names]
    studies.append(("FOLDER", "your own: the path of a folder with a file study.yml", ""))
    rows = [("model", "family", "parameters", "where")]
    for model in model_table().itertuples():
        size = "" if pd.isna(model.n_parameters) else f"{int(model.n_parameters):,}"
        rows.append((model.name, str(model.family), size, _where(model.name, str(model.source))))
    if lack := model_lack(MINILM):
        rows.append((MINILM, "", "", f"not at hand: {lack.command}"))
    sections = {
        "Notebooks": columns(notebooks),
        "Studies": columns(studies),
        "Language models": columns(rows),
    }
    return "\n\n".join(f"{name}\n{text}" for name, text in sections.items())


def _at_hand(study: str) -> str:
    """Whether a study's data are on this machine, or else the command that helps."""
    from brainalign.studies.registry import damaged_files

    if missing := study_lack(study):
        return f"not at hand: {missing.command}"
    if damaged_files(study):
        return "damaged: brainalign doctor"
    without = study_lack(study, responses=True)
    return f"at hand, without the average listener: {without.command}" if without else "at hand"


def _where(name: str, source: str) -> str:
    """Where a model is: in the package, made on the spot, or on the hub."""
    from brainalign.models import available

    if not source.startswith("hub: "):
        return source
    return f"{source} ({'downloaded' if available(name) else 'to be downloaded'})"


def schema_json(schema: Mapping[str, Parameter]) -> str:
    """Parameters as a JSON schema of one object."""
    properties = {name: parameter.json_schema for name, parameter in schema.items()}
    value = {"type": "object", "properties": properties, "additionalProperties": False}
    return json.dumps(value, indent=1, ensure_ascii=False)


def schema_text(schema: Mapping[str, Parameter]) -> str:
    """Parameters for reading: name, default, what is expected, meaning."""
    blocks = []
    for name, parameter in schema.items():
        blocks.append(
            f"{name} = {to_source(parameter.default)}\n"
            f"    {parameter.meaning}\n    {parameter.expected}"
        )
    return "\n".join(blocks)


def status_text() -> str:
    """State of every part and variant of every page: up to date, what changed, or what is not at hand."""
    rows, pages = [], plan_pages()
    explorers = plan_explorers(pages)
    variants, called = to_execute(explorers), labels(explorers)
    for name, executions in pages.items():
        for execution in [*executions, *variants.get(name, [])]:
            missing = lacks(execution)
            reasons = [in_words(missing)] if missing else cache.stale_reasons(execution)
            told = called.get(execution.name, label(execution))
            rows.append((told, "; ".join(reasons) or "up to date"))
    return columns(rows, indent="") if rows else "The book has no notebooks."
