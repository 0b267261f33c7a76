"""From composed pages to a website: Jupyter Book is called, and what it wrote is checked."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from brainalign.companion import DISK_FULL, WorkError, says_disk_full
from brainalign.companion.project import book_settings, read_project
from brainalign.companion.run import plain
from brainalign.companion.site import SITE, site_checks
from brainalign.companion.site.slides import with_slides
from brainalign.files import cache_folder, digest, file_sha256

#: The website's first page, below the book's folder.
INDEX = SITE / "index.html"
_STAMP = Path("_build/inputs.txt")
_BUILDERS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "pydata-sphinx-theme")
_BUILDERS += ("myst-parser", "sphinx-exercise", "sphinxcontrib-bibtex", "docutils", "pygments")
# What shapes pages beside this file: modules, the items of checklists, and the book's settings.
_SHAPED_BY = ("*.py", "*/*.yml", "../project.py")


def inputs_digest(root: Path) -> str:
    """Digest of everything that the website is built from."""
    code = Path(__file__).parent
    files = [root / name for name in ("_config.yml", "_toc.yml", "pyproject.toml")]
    files += sorted(path for path in (root / "book").rglob("*") if path.is_file())
    shaped_by = [path for kind in _SHAPED_BY for path in sorted(code.glob(kind))]
    versions = {name: metadata.version(name) for name in _BUILDERS}
    # Names below their folders: a book that was moved or copied is still the same.
    content = {f"book {path.relative_to(root)}": file_sha256(path) for path in files}
    content |= {f"code {path.relative_to(code)}": file_sha256(path) for path in shaped_by}
    return digest([content, versions])


def is_current(root: Path) -> bool:
    """Whether the website is there and was built from what lies in the book's folder now.

    Pictures of the website that other code or other numbers would draw are drawn first.

    Parameters
    ----------
    root
        Folder with _config.yml and _toc.yml.
    """
    from brainalign.companion.site.artwork import write_artwork

    write_artwork(root)
    index, stamp = root / INDEX, root / _STAMP
    return index.is_file() and stamp.is_file() and stamp.read_text() == inputs_digest(root)


def build(root: Path, say: Callable[[str], object] | None = None) -> Path:
    """Build the website with Jupyter Book, unless nothing has changed since the last time.

    Parameters
    ----------
    root
        Folder with _config.yml and _toc.yml.
    say
        Takes one line where the website has to be built.

    Returns
    -------
    pathlib.Path
        Its index.html.

    Raises
    ------
    WorkError
        If Jupyter Book warns or fails, if a link inside the website leads to nothing, if a page
        would ask the web for something, or if it is larger than its budget.
    """
    index = root / INDEX
    if is_current(root):
        return index
    inputs = inputs_digest(root)
    # A build that failed must not leave a page that looks new, nor one that left the book.
    shutil.rmtree(root / "_build", ignore_errors=True)
    log = cache_folder() / "logs" / "jupyter-book.log"
    if say:
        say(f"Building the website, because what it is made from has changed; log: {log}")
    failed = call_jupyter_book(root, "html", log)
    if failed or not index.is_file():
        if says_disk_full(log.read_text(encoding="utf-8")):
            shutil.rmtree(root / "_build", ignore_errors=True)
            raise WorkError(DISK_FULL, log)
        raise WorkError(f"The website could not be built: {first_warning(log, root)}", log)
    _check(index.parent, log)
    (root / _STAMP).write_text(inputs)
    return index


def _check(site: Path, log: Path) -> None:
    """Refuse a website that has problems which can be seen without a browser."""
    if problems := site_checks.site_problems(site):
        log.write_text("\n".join(problems) + "\n", encoding="utf-8")
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise WorkError(f"The website was built, but {problems[0]}{more}.", log)


def call_jupyter_book(root: Path, builder: str, log: Path) -> bool:
    """Run Jupyter Book with its output in a log; whether it failed or warned.

    Parameters
    ----------
    root
        Folder with _config.yml and _toc.yml.
    builder
        "html", or "singlehtml" for one page; the folder below _build has this name.
    log
        File for what it says.
    """
    import yaml

    base = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    settings = root / "_build" / "_config.yml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    content = with_slides(book_settings(base, read_project(root)), root)
    settings.write_text(yaml.safe_dump(content), encoding="utf-8")
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [str(root), "--config", str(settings), "-W", "--keep-going", "--builder", builder]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=root, env=environment
    )
    text = plain(done.stdout.decode("utf-8", errors="replace"))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text, encoding="utf-8")
    return done.returncode != 0


def first_warning(log: Path, root: Path) -> str:
    """The first thing that Jupyter Book complained of, without the project's folder."""
    lines = log.read_text(encoding="utf-8").replace(f"{root}/", "").splitlines()
    for mark in ("ERROR", "WARNING", "Error"):
        for line in lines:
            if mark in line:
                return line.strip()
    return lines[-1].strip() if lines else "Jupyter Book said nothing"
