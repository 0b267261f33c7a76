"""Authors and address of the project: one setting, in `pyproject.toml`.

`[project] authors` and `[project.urls] Repository` are all there is to set; the book's settings,
its links and CITATION.cff follow from them. Where no repository is set, links to it are left out.
`python -m brainalign.companion.project` prints CITATION.cff.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainalign.companion.notebooks import book_root

_ABSTRACT = (
    "An executable companion to studies that align large language models with the human brain: "
    "encoding models of fMRI responses to stories, the scaling law of brain scores and the "
    "left-right asymmetry that comes with it, each figure as a notebook with parameters."
)


@dataclass(frozen=True)
class Project:
    """What `pyproject.toml` says of the project.

    Attributes
    ----------
    authors : tuple of str
        Names; persons as "Family, Given", groups as they are called.
    repository : str
        Address on the web; empty while there is none.
    version : str
        Of the software.
    branch : str
        That links go to.
    """

    authors: tuple[str, ...]
    repository: str
    version: str
    branch: str = "main"

    @property
    def github(self) -> str:
        """Owner and name on GitHub; empty for another host."""
        prefix = "https://github.com/"
        inside = self.repository.startswith(prefix)
        return self.repository.removeprefix(prefix).strip("/") if inside else ""


def read_project(root: Path | None = None) -> Project:
    """Read the setting from the project's folder."""
    settings = tomllib.loads(((root or book_root()) / "pyproject.toml").read_text("utf-8"))
    project = settings["project"]
    return Project(
        authors=tuple(author["name"] for author in project.get("authors", [])),
        repository=project.get("urls", {}).get("Repository", "").rstrip("/"),
        version=project["version"],
        branch=settings.get("tool", {}).get("brainalign", {}).get("branch", "main"),
    )


def book_settings(base: dict, project: Project) -> dict:
    """Jupyter Book's settings with authors and, where it is set, the repository.

    Parameters
    ----------
    base
        Content of `_config.yml`.
    project
        From `read_project`.

    Returns
    -------
    dict
        Settings to build with.
    """
    settings = base | {"author": " and ".join(project.authors)}
    if project.repository:
        repository = {"url": project.repository, "branch": project.branch}
        html = base.get("html", {}) | {"use_repository_button": True, "use_issues_button": True}
        settings |= {"repository": repository, "html": html}
    return settings


def launch_links(project: Project, notebook: str) -> str:
    """Markdown links to a notebook's source and to places that run it; empty while unset.

    Executed pages are not in the repository, so the links go to the notebook they come from.
    """
    path = f"notebooks/{notebook}.ipynb"
    if not project.repository:
        return ""
    links = [f"[Source of this notebook]({project.repository}/blob/{project.branch}/{path})"]
    if project.github:
        place = f"{project.github}/{project.branch}"
        binder = f"https://mybinder.org/v2/gh/{place}?labpath={path}"
        colab = f"https://colab.research.google.com/github/{project.github}/blob/{project.branch}/{path}"
        links += [f"[run on Binder]({binder})", f"[open in Colab]({colab})"]
    return " · ".join(links)


def _cff_author(name: str) -> dict[str, str]:
    family, comma, given = name.partition(",")
    if not comma:
        return {"name": name}
    return {"family-names": family.strip(), "given-names": given.strip()}


def citation(project: Project) -> dict[str, Any]:
    """Content of CITATION.cff, version 1.2.0 of the format."""
    record = {
        "cff-version": "1.2.0",
        "message": "If you use this software, please cite it as below.",
        "type": "software",
        "title": "brainalign: an executable companion for language models and brain responses",
        "abstract": _ABSTRACT,
        "authors": [_cff_author(name) for name in project.authors],
        "version": project.version,
        "license": "BSD-3-Clause",
        "keywords": ["fMRI", "language models", "encoding models", "lateralization"],
    }
    if project.repository:
        record["repository-code"] = project.repository
    return record


def citation_text(project: Project) -> str:
    """CITATION.cff as text."""
    import yaml

    return yaml.safe_dump(citation(project), sort_keys=False, width=88, allow_unicode=True)


if __name__ == "__main__":
    print(citation_text(read_project()), end="")
