"""Pages of the reference that are made from docstrings, in the order in which data flow."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from brainalign.companion.site.reference_entries import Names, entry_text, markdown
from brainalign.errors import InputError
from brainalign.files import PACKAGE

#: Page to its title, what it is about, and patterns of its modules; of patterns that fit a module
#: the longest decides.
GROUPS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "api_study": (
        "Studies",
        "A study is words, responses and the place of every voxel, wherever it comes from.",
        ("study", "averages", "words")
        + ("studies", "studies.options", "studies.folder", "studies.folder_files"),
    ),
    "api_real_studies": (
        "Files of real studies",
        "From a published archive to the responses of a listener.",
        ("drift", "archives", "studies.*"),
    ),
    "api_testbed": (
        "The testbed",
        "Generated stories, small language models and simulated listeners.",
        ("studies.testbed", "studies.testbed.*", "acceptance"),
    ),
    "api_models": (
        "Language models",
        "Which models there are, where they come from and how they are loaded.",
        ("models", "hub", "loading", "checkpoints", "devices", "model_sizes"),
    ),
    "api_activations": (
        "Activations",
        "From a text and a model to words × layers × units.",
        ("activations", "alignment", "states", "streaming", "baselines"),
    ),
    "api_regressors": (
        "Regressors",
        "From words to scans: the haemodynamic response, standardisation.",
        ("regressors",),
    ),
    "api_ridge": (
        "Ridge regression",
        "Nested cross-validation over runs, and how its many fits share their work.",
        ("ridge", "ridge.*"),
    ),
    "api_encoding": (
        "Encoding",
        "From a study and models to brain scores, kept and found again; planning; many machines.",
        ("fitting", "encoding", "layer_choice", "scores", "choices", "distributed")
        + ("planning", "costs", "calibration"),
    ),
    "api_reliability": (
        "Reliability and ceilings",
        "Where listeners agree, and how well a prediction can become.",
        ("agreement", "reliability", "reliability_*", "individuals", "individuals_tables"),
    ),
    "api_scaling": (
        "Scaling law",
        "Scores against the size of models, their training and what they can do.",
        ("scaling", "task_performance", "languages", "published", "published_panels"),
    ),
    "api_lateralization": (
        "Left and right",
        "Hemispheres, regions, parcels and maps.",
        ("lateralization", "lateralization_tables", "brain_maps", "glass_brain", "region*s")
        + ("region_*", "parcels", "parcel_slopes"),
    ),
    "api_layers": (
        "Layers and training",
        "Where in a model, and when in its training, the brain is predicted best.",
        ("layers", "learning", "training_curves", "decoding"),
    ),
    "api_attribution": (
        "Which words",
        "Attribution of predictions to the words of a text.",
        ("attribution", "attribution.*", "attribution_*"),
    ),
    "api_concepts": (
        "Which concepts",
        "Voxels that respond to a concept alike, however it is shown.",
        ("concepts", "concepts.*"),
    ),
    "api_trust": (
        "What could fool us",
        "Controls, circular choices, power, and the comparison with published values.",
        ("robustness", "evidence", "circularity", "controls", "control_tables", "power")
        + ("simulations", "comparison", "inference"),
    ),
    "api_statistics": (
        "Statistics",
        "Regression, resampling, corrections and null distributions.",
        ("statistics", "regression", "resampling", "significance", "spatial", "clusters"),
    ),
    "api_lessons": (
        "Lessons",
        "Small worlds in which a mistake of method can be seen at work.",
        ("lessons", "lessons.*", "lessons_*"),
    ),
    "api_figures": (
        "Figures",
        "Drawings from tables, each with its alt text from the same numbers.",
        ("look", "look_*", "plots", "plots_*", "alt_text", "long_descriptions", "wording"),
    ),
    "api_companion": (
        "Notebooks with parameters",
        "Parameters, execution, caches, the command line, and what everything else stands on.",
        ("companion", "companion.parameters", "companion.type_names", "companion.yaml_files")
        + ("companion.notebooks", "companion.run", "companion.output", "companion.cache")
        + ("companion.kernels", "companion.steps", "companion.compare*")
        + ("companion.availability", "companion.overview", "companion.doctor")
        + ("cli", "arguments", "files", "parallel", "errors"),
    ),
    "api_website": (
        "The website",
        "From executed notebooks to this book, and its checks.",
        ("companion.book", "companion.compose", "companion.*")
        + ("companion.site", "companion.site.website", "companion.site.*"),
    ),
    "api_records": (
        "Records",
        "What the book knows of how it was made: times, versions, files, works to cite.",
        ("companion.provenance", "companion.site.record*", "companion.site.checklist*")
        + ("companion.site.crate*", "companion.site.citing", "companion.bibliography")
        + ("companion.kept",),
    ),
}
_API = "api"


def _inside(module: str) -> str:
    """Name of a module below the package."""
    return module.removeprefix(f"{PACKAGE.name}.")


def group_of(module: str) -> str:
    """Page on which a module stands.

    Raises
    ------
    InputError
        For a module that belongs to none.
    """
    inside = _inside(module)
    fitting = [
        (pattern == inside, len(pattern), page)
        for page, (_, _, patterns) in GROUPS.items()
        for pattern in patterns
        if fnmatchcase(inside, pattern)
    ]
    if fitting:
        return max(fitting)[-1]
    raise InputError(
        f"Module {module} belongs to no page of the reference; GROUPS in "
        "brainalign/companion/site/reference_api.py lists them."
    )


def page_text(page: str, names: Names, sources: str = "") -> str:
    """Markdown of the page of one group.

    Parameters
    ----------
    page
        One of `GROUPS`.
    names
        From `gather_names`.
    sources
        Address below which the files of the project are shown; empty while there is none.
    """
    title, about, patterns = GROUPS[page]
    below = [module for name, module in names.modules.items() if name != PACKAGE.name]
    chosen = [module for module in below if group_of(module.name) == page]
    places = [*patterns, None]
    chosen.sort(key=lambda module: (_place(module.name, places), module.name))
    parts = [f"({page})=\n# {title}", about]
    for module in chosen:
        if module.entries or module.description:
            source = f"{sources}/{module.file}" if sources else ""
            parts += [f"## `{_inside(module.name)}`", f"```{{py:module}} {module.name}\n```"]
            parts.append(markdown(module.description, names, module))
            parts += [entry_text(entry, names, module, source) for entry in module.entries]
    return "\n\n".join(part for part in parts if part) + "\n"


def _place(module: str, patterns: Sequence[str | None]) -> int:
    inside = _inside(module)
    fits = [p for p in patterns if p and (p == inside or fnmatchcase(inside, p))]
    return patterns.index(inside if inside in fits else fits[0]) if fits else len(patterns)


def overview_text(names: Names, exported: Mapping[str, str]) -> str:
    """Markdown of the page that the others stand below.

    Parameters
    ----------
    names
        From `gather_names`.
    exported
        Name to module, what can be imported from `brainalign` itself.
    """
    rows = ["| name | what |", "|---|---|"]
    for name, where in exported.items():
        module = names.modules[f"brainalign.{where}"]
        (entry,) = [entry for entry in module.entries if entry.name == name]
        said = markdown(entry.summary, names, module, entry.arguments)
        rows.append(f"| {{py:obj}}`{name} <{module.name}.{name}>` | {said} |")
    groups = [f"- {{ref}}`{title} <{page}>`. {about}" for page, (title, about, _) in GROUPS.items()]
    return "\n".join(
        [
            f"({_API})=\n# Functions and classes\n",
            "Made from the docstrings of the package, in the order in which data flow: from a study",
            "to activations, regressors, ridge regression and brain scores; then one group for each",
            "question; then figures, and what makes this book.\n",
            *groups,
            f"\n## Names to import from `{PACKAGE.name}`\n",
            f"```{{py:module}} {PACKAGE.name}\n```\n",
            "A notebook needs these; each is loaded when it is first used. Everything else is imported",
            "from its module.\n",
            *rows,
            "",
        ]
    )
