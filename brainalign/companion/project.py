"""Authors and address of the project: one setting, in `pyproject.toml`.

`[project] authors` and `[project.urls] Repository` are all there is to set; the book's settings,
its links and CITATION.cff follow from them. Where no repository is set, links to it are left out.
`python -m brainalign.companion.project` prints CITATION.cff, and codemeta.json where `codemeta`
follows it.
"""

import json
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from brainalign.companion.notebooks import book_root

_TITLE = "brainalign: an executable companion for language models and brain responses"
_KEYWORDS = ["fMRI", "language models", "encoding models", "lateralization"]
# The paper at the centre of the book, and the data that it shows.
_RESTS_ON = ("bonnassegahot2024", "li2022", "ds003643", "brennan2016", "ryskina2025", "pereira2018")
_ABSTRACT = (
    "An executable companion to studies that align large language models with the human brain: "
    "encoding models of fMRI responses to stories, the scaling law of brain scores and the "
    "left-right asymmetry that comes with it, each figure as a notebook with parameters."
)


# Branch that GitHub Pages shows, and where on it notebooks with a page's parameters lie.
PAGES_BRANCH = "gh-pages"
PUBLISHED_NOTEBOOKS = "notebooks-with-parameters"
# Folder on Binder that they are pulled into.
_PULLED = "pages-of-the-book"


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
    homepage : str
        Address of the built website; empty while there is none.
    """

    authors: tuple[str, ...]
    repository: str
    version: str
    branch: str = "main"
    homepage: str = ""

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
        homepage=project.get("urls", {}).get("Homepage", "").rstrip("/"),
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
        sphinx = base.get("sphinx", {})
        copied = {"html_extra_path": ["book/executed/published"]}
        sphinx = sphinx | {"config": sphinx.get("config", {}) | copied}
        settings |= {"repository": repository, "html": html, "sphinx": sphinx}
    if project.homepage:
        settings["html"] = settings.get("html", {}) | {"baseurl": f"{project.homepage}/"}
    return settings


def launch_links(project: Project, notebook: str) -> str:
    """Markdown link to a page's source, for its introduction; empty while no repository is set.

    Executed pages are not in the repository, so the link goes to the notebook they come from.
    """
    if not project.repository:
        return ""
    source = f"{project.repository}/blob/{project.branch}/notebooks/{notebook}.ipynb"
    return (
        f"[Source of this notebook]({source}). The box at the end of each part opens it with the "
        "part's own parameters."
    )


def part_links(project: Project, notebook: str, slug: str, folder: str, binder: bool = True) -> str:
    """Markdown links that open a notebook with the parameters of one part of its page.

    Binder and Colab take the copy that is published with the website, on the branch of GitHub
    Pages; a local Jupyter takes the one that `brainalign book` leaves in the reader's clone.

    Parameters
    ----------
    project
        From `read_project`.
    notebook
        Its name.
    slug
        Short name of the part.
    folder
        Of the part's files, below the composed pages.
    binder
        Whether the part runs on Binder, which has no torch.

    Returns
    -------
    str
        Empty while no repository is set; only the local link where it is not on GitHub.
    """
    if not project.repository:
        return ""
    links = []
    path = f"{PUBLISHED_NOTEBOOKS}/{notebook}-{slug}.ipynb"
    if project.github and binder:
        # A folder of its own: that of the repository's name may hold something else there.
        pull = {"repo": project.repository, "branch": PAGES_BRANCH, "targetpath": _PULLED}
        pull["urlpath"] = f"lab/tree/{_PULLED}/{path}"
        query = urlencode({"urlpath": f"git-pull?{urlencode(pull)}"})
        address = f"https://mybinder.org/v2/gh/{project.github}/{project.branch}?{query}"
        links.append(f"[on Binder]({address})")
    if project.github:
        place = f"{project.github}/blob/{PAGES_BRANCH}/{path}"
        links.append(f"[in Colab](https://colab.research.google.com/github/{place})")
    local = f"http://localhost:8888/lab/tree/book/executed/{folder}/{notebook}.ipynb"
    links.append(f"[in your own Jupyter]({local})")
    return (
        f"Open the notebook with these parameters: {' · '.join(links)}. For the last, call "
        "`brainalign book` in your clone of the repository, then `jupyter lab`."
    )


def _cff_author(name: str) -> dict[str, str]:
    family, comma, given = name.partition(",")
    if not comma:
        return {"name": name}
    return {"family-names": family.strip(), "given-names": given.strip()}


def citation(project: Project) -> dict[str, Any]:
    """Content of CITATION.cff, version 1.2.0 of the format."""
    from brainalign.companion.bibliography import cff_reference, entry

    record: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this software, please cite it as below.",
        "type": "software",
        "title": _TITLE,
        "abstract": _ABSTRACT,
        "authors": [_cff_author(name) for name in project.authors],
        "version": project.version,
        "license": "BSD-3-Clause",
        "keywords": _KEYWORDS,
    }
    if project.repository:
        record["repository-code"] = project.repository
    if project.homepage:
        record["url"] = project.homepage
    record["references"] = [cff_reference(entry(key)) for key in _RESTS_ON]
    return record


def citation_text(project: Project) -> str:
    """CITATION.cff as text."""
    import yaml

    return yaml.safe_dump(citation(project), sort_keys=False, width=88, allow_unicode=True)


def codemeta(project: Project, root: Path | None = None) -> dict[str, Any]:
    """Content of codemeta.json, version 3.0 of the format.

    Parameters
    ----------
    project
        From `read_project`.
    root
        Folder of its pyproject.toml, which names what it requires.
    """
    from brainalign.companion.bibliography import address, entry

    settings = tomllib.loads(((root or book_root()) / "pyproject.toml").read_text("utf-8"))
    licences = ("BSD-3-Clause", "CC-BY-4.0")
    record: dict[str, Any] = {
        "@context": "https://w3id.org/codemeta/3.0",
        "type": "SoftwareSourceCode",
        "name": settings["project"]["name"],
        "description": _ABSTRACT,
        "version": project.version,
        "license": [f"https://spdx.org/licenses/{name}" for name in licences],
        "author": [_codemeta_author(name) for name in project.authors],
        "keywords": _KEYWORDS,
        "programmingLanguage": "Python",
        "runtimePlatform": f"Python {settings['project']['requires-python']}",
        "softwareRequirements": settings["project"]["dependencies"],
        "referencePublication": [address(entry(key, root)) for key in _RESTS_ON],
    }
    if project.repository:
        record["codeRepository"] = project.repository
    if project.homepage:
        record["url"] = project.homepage
    return record


def _codemeta_author(name: str) -> dict[str, str]:
    family, comma, given = name.partition(",")
    if not comma:
        return {"type": "Organization", "name": name}
    return {"type": "Person", "familyName": family.strip(), "givenName": given.strip()}


def codemeta_text(project: Project, root: Path | None = None) -> str:
    """codemeta.json as text."""
    return json.dumps(codemeta(project, root), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write = codemeta_text if sys.argv[1:] == ["codemeta"] else citation_text
    print(write(read_project()), end="")
