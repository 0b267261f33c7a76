"""How a result came about: `provenance.json` beside every executed notebook."""

import datetime
import json
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from brainalign.files import atomic_path, project_root
from brainalign.parallel import cpu_count

if TYPE_CHECKING:
    from brainalign.companion.run import Execution


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def git_state(root: Path | None = None) -> dict | None:
    """Commit of the project's folder and whether files differ from it; None outside git."""
    root = root or project_root()
    if root is None or not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain")
    return {"commit": commit, "dirty": bool(changes)} if commit and changes is not None else None


def machine() -> dict:
    """Operating system, processor and Python of this machine."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": cpu_count(),
        "python": platform.python_version(),
    }


def _cpu_seconds(folder: Path) -> float | None:
    """Seconds of the processor that a run noted, see `output.write_modules`."""
    path = folder / "usage.json"
    return json.loads(path.read_text(encoding="utf-8"))["cpu_seconds"] if path.is_file() else None


def write(execution: "Execution", folder: Path, started: float, seconds: float) -> None:
    """Write `provenance.json` into the folder of a run that has just ended.

    Parameters
    ----------
    execution
        What ran.
    folder
        Where; its `modules.json`, `models.jsonl`, `scores.jsonl` and `usage.json` are read.
    started
        Seconds since the epoch.
    seconds
        Wall time.
    """
    from brainalign.companion import cache

    scores = cache.read_scores(folder)
    parts = cache.dependencies(execution, cache.read_modules(folder), scores)
    begin = datetime.datetime.fromtimestamp(started, datetime.UTC)
    record = {
        "notebook": execution.notebook,
        "notebook_sha256": parts["notebook"],
        "parameters": execution.parameters,
        "changed_parameters": execution.changed,
        "started": begin.isoformat(timespec="seconds"),
        "seconds": round(seconds, 2),
        "cpu_seconds": _cpu_seconds(folder),
        "machine": machine(),
        "git": git_state(),
        "versions": parts["versions"],
        "models": cache.read_models(folder),
        "scores": scores,
        "dependencies": parts,
    }
    with atomic_path(folder / "provenance.json") as path:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
