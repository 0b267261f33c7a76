"""The notebooks of the project: where they are, what they ask, which pages they become."""

from pathlib import Path

from brainalign.errors import InputError, suggestion
from brainalign.files import project_root


def book_root() -> Path:
    """Folder of the book.

    Raises
    ------
    InputError
        Where the package is installed without its book.
    """
    root = project_root()
    if root is None:
        raise InputError(
            "No book was found: run brainalign in a clone of its repository "
            "(a folder with _toc.yml and notebooks/)."
        )
    return root


def notebook_names() -> list[str]:
    """Names of all notebooks, in alphabetical order."""
    return sorted(path.stem for path in (book_root() / "notebooks").glob("*.ipynb"))


def notebook_path(name: str) -> Path:
    """File of a notebook that is named without folder and ending.

    Raises
    ------
    InputError
        For a notebook that does not exist.
    """
    known = notebook_names()
    if name not in known:
        raise InputError(f"There is no notebook {name!r}; {suggestion(name, known)}.")
    return book_root() / "notebooks" / f"{name}.ipynb"


def read_notebook(path: Path):
    """Read a notebook and give every cell an id that does not change from run to run.

    Returns
    -------
    nbformat.NotebookNode
        Of format 4.5.

    Raises
    ------
    InputError
        For a file that is not a notebook of format 4.
    """
    import nbformat
    from nbformat.reader import NotJSONError

    try:
        notebook = nbformat.from_dict(nbformat.reader.reads(path.read_text(encoding="utf-8")))
    except (NotJSONError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is not a Jupyter notebook: it is not JSON.") from error
    if notebook.get("nbformat") != 4 or "cells" not in notebook:
        raise InputError(f"{path.name} is not a Jupyter notebook of format 4.")
    notebook.nbformat_minor = 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:03d}"
        cell.source = "".join(cell.source)
        cell.setdefault("metadata", nbformat.from_dict({}))
    return notebook


def has_tag(cell, tag: str) -> bool:
    """Whether a cell carries a tag."""
    return tag in cell.get("metadata", {}).get("tags", [])


def parameters_cell(notebook, name: str):
    """The cell tagged `parameters`.

    Returns
    -------
    nbformat.NotebookNode
        The one code cell with this tag.

    Raises
    ------
    InputError
        Where there is none, or more than one.
    """
    found = [c for c in notebook.cells if c.cell_type == "code" and has_tag(c, "parameters")]
    if len(found) != 1:
        raise InputError(
            f"Notebook {name!r} has {len(found)} code cells tagged 'parameters'; one is expected."
        )
    return found[0]


def title(notebook) -> str:
    """First heading of a notebook, without its markup."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return line.removeprefix("# ").strip()
    return ""


def page_settings(notebook) -> list[dict]:
    """Parameters of every execution that the notebook's page is made of; `[{}]` by default."""
    return notebook.metadata.get("brainalign", {}).get("pages") or [{}]
