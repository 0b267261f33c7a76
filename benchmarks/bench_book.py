"""The command line and the book: how long until there is something to read, with warm caches.

    python benchmarks/bench_book.py              two minutes, if scores are kept already
    python benchmarks/bench_book.py --quick      the command line alone, some seconds

Pages are executed in a copy of the project with caches of its own, which share activations, scores
and reliability with those of this machine. What is missing there is computed first and not measured.
Kernels belong to a server of their own: their processor time counts with the others'.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from measure import in_fresh_process, print_rows, row

from brainalign.files import PACKAGE, cache_folder

ROOT = PACKAGE.parent
SHARED = ("activations", "scores", "reliability")
PROJECT = ("notebooks", "book", "_toc.yml", "_config.yml", "pyproject.toml")
BOOK = """
from brainalign.companion import book

pages = book.plan_pages()
book.execute_stale(pages)
book.write_pages(pages)
book.build(book.book_root())
"""
CALL = ("-m", "brainalign.cli")
RERUN = (*CALL, "run", "scaling_law", "-p", "voxels=all", "-o", "rerun")
LIGHT = {"brainalign --help": (*CALL, "--help"), "import brainalign": ("-c", "import brainalign")}


def copy_project(folder: Path) -> None:
    """Copy what the book is made of, and link the caches that do not hold pages."""
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    shutil.rmtree(folder / "book" / "executed", ignore_errors=True)
    # The page about speed shows a benchmark; here it need not.
    (folder / "book" / "executed").mkdir()
    (folder / "book" / "executed" / "speed.md").write_text("## None\n")
    (folder / "cache").mkdir()
    for name in SHARED:
        kept = cache_folder() / name
        kept.mkdir(parents=True, exist_ok=True)
        (folder / "cache" / name).symlink_to(kept, target_is_directory=True)


def prepare(arguments: Sequence[str], folder: Path, forget: bool = False) -> Callable[[], None]:
    """Function that calls Python in the folder.

    Parameters
    ----------
    arguments
        Of Python.
    folder
        A copy of the project.
    forget
        Whether pages are deleted first, so that all are executed again.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    places = {"PYTHONPATH": path, "BRAINALIGN_CACHE": str(folder / "cache")}
    if forget:
        for pages in (folder / "cache" / "pages", folder / "_build"):
            shutil.rmtree(pages, ignore_errors=True)

    def call() -> None:
        subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=os.environ | places,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    return call


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of the table.

    Parameters
    ----------
    quick
        Without pages.
    """
    cases = {name: (arguments, False, 5) for name, arguments in LIGHT.items()}
    if not quick:
        cases |= {
            "all pages executed again": (("-c", BOOK), True, 1),
            "second book, nothing changed": (("-c", BOOK), False, 1),
            "one page with another parameter": (RERUN, False, 1),
        }
    with TemporaryDirectory(prefix="brainalign-") as name:
        folder = Path(name)
        if not quick:
            copy_project(folder)
            for arguments in (("-c", BOOK), RERUN):
                prepare(arguments, folder)()
        found = []
        for case, (arguments, forget, repeats) in cases.items():
            timing, _ = in_fresh_process(prepare, arguments, folder, forget, repeats=repeats)
            found.append(row("book", case, "brainalign", timing))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the command line alone")
    print_rows(rows(parser.parse_args().quick))


if __name__ == "__main__":
    main()
