"""Kept pages with made-up records, as `brainalign book` leaves them, for tests of what reads them."""

import base64
import hashlib
import json
from pathlib import Path

import nbformat
import tiny_book

from brainalign.companion import book, cache

# A picture of one pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
MACHINE = {"system": "Linux-6", "processor": "x86_64", "cores": 2, "python": "3.11.7"}
ENCODING = {
    "subject": "average",
    "hrf": "glover",
    "alphas": [2.0, 7.0, 16],
    "alpha_per_voxel": False,
    "validation": "all",
    "activations": {"window": None},
}
STUDY = {
    "name": "testbed",
    "tr": 2.0,
    "trim": [10, 5],
    "licence": "BSD-3-Clause",
    "citation": "brainalign, simulated study",
    "high_pass": None,
    "n_folds": None,
    "gap": 0,
}


def score(model: str = "nano-gpt2-8x2", folds: int = 9, study=None, encoding=None) -> dict:
    """Settings of a score, as `records` reads them from its file."""
    return {
        "study": STUDY | (study or {}),
        "model": {"name": model},
        "encoding": ENCODING | (encoding or {}),
        "versions": {"himalaya": "0.4.11"},
        "folds": folds,
    }


def provenance(execution, seconds: float = 90.0, **changes) -> dict:
    """What lies beside an executed page."""
    return {
        "notebook": execution.notebook,
        "parameters": execution.parameters,
        "changed_parameters": execution.changed,
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": seconds,
        "machine": MACHINE,
        "git": {"commit": "0123456789abcdef", "dirty": False},
        "versions": {"python": "3.11.7", "numpy": "2.4.6"},
        "scores": [],
        "dependencies": {"notebook": "x"},
    } | changes


def keep(execution, **changes) -> Path:
    """Keep a page with one picture, its numbers and its record."""
    folder = cache.page_folder(execution)
    folder.mkdir(parents=True, exist_ok=True)
    output = nbformat.v4.new_output("display_data", {"image/png": base64.b64encode(PNG).decode()})
    cell = nbformat.v4.new_code_cell("draw()", outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    nbformat.write(notebook, folder / f"{execution.notebook}.ipynb")
    (folder / "numbers.json").write_text(json.dumps({"study": execution.parameters["study"]}))
    record = provenance(execution, **changes)
    (folder / "provenance.json").write_text(json.dumps(record))
    return folder


def make_book(folder: Path, monkeypatch) -> dict:
    """A project of one notebook with two kept executions; the pages, as `plan_pages` says."""
    tiny_book.make_project(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(folder / ".cache"))
    pages = book.plan_pages()
    for execution in pages["tiny"]:
        keep(execution)
    return pages


def make_site(folder: Path) -> Path:
    """What Jupyter Book would make of the kept pages, as far as a crate speaks of it."""
    site = folder / "_build" / "html"
    (site / "book" / "executed").mkdir(parents=True)
    (site / "book" / "executed" / "tiny.html").write_text("<html>tiny</html>")
    (site / "_images").mkdir()
    (site / "_images" / f"{hashlib.sha256(PNG).hexdigest()}.png").write_bytes(PNG)
    (site / "_downloads" / "1").mkdir(parents=True)
    (site / "_downloads" / "1" / "numbers.json").write_text(json.dumps({"study": "testbed"}))
    return site
