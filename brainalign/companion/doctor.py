"""What this machine has: versions, device, disk, data; and the command that mends what lacks."""

import os
import platform
import re
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from brainalign.companion.availability import Lack, model_lack, study_lack
from brainalign.companion.overview import columns
from brainalign.files import cache_folder, project_root
from brainalign.parallel import cpu_count

_INSTALL = "pip install -c constraints.txt -e ."


def doctor_text() -> str:
    """Report for reading; it ends with what is damaged and the commands for what is missing."""
    versions, unmet = _versions()
    studies = _studies()
    damaged = _damaged()
    models = _models()
    lacking = [*unmet, *(lack for _, lack in [*studies, *models] if lack)]
    sections = {
        "Versions": columns(versions),
        "Device": f"  {_device()}",
        "Folders": columns(_folders()),
        "Studies": columns(
            [(name, _state(lack, name in damaged) + _responses(name)) for name, lack in studies]
        ),
        "Language models": columns([(name, _state(lack)) for name, lack in models]),
    }
    if damaged:
        sentences = [sentence for found in damaged.values() for sentence in found]
        sections["Damaged files"] = "\n".join(f"  {sentence}" for sentence in sentences)
    text = "\n\n".join(f"{name}\n{body}" for name, body in sections.items())
    commands = list(dict.fromkeys(lack.command for lack in lacking))
    if not commands:
        return text if damaged else f"{text}\n\nNothing is missing."
    return f"{text}\n\nTo get what is missing:\n" + "\n".join(f"  {line}" for line in commands)


def _state(lack: Lack | None, damaged: bool = False) -> str:
    if lack:
        return f"not at hand: {lack.what}"
    return "damaged: see below" if damaged else "at hand"


def _responses(study: str) -> str:
    """Whether a published average listener is not at hand, and how many listeners are."""
    average = not study_lack(study) and study_lack(study, responses=True)
    without = f"; without the average listener ({average.command})" if average else ""
    return without + _listeners(study)


def _listeners(study: str) -> str:
    """How many listeners of a study are fetched and prepared; empty where none is."""
    from brainalign.studies import registry, study_preparation
    from brainalign.studies.preparation import prepared_subjects, subjects_at_hand

    if not registry.subject_names(study):
        return ""
    # The published mask need not be at hand.
    images = study_preparation(study, mask="common")
    fetched, prepared = len(subjects_at_hand(images)), len(prepared_subjects(images))
    if not fetched and not prepared:
        return ""
    return f"; of {len(images.subjects)} listeners {fetched} fetched, {prepared} prepared"


def _versions() -> tuple[list[tuple[str, str, str]], list[Lack]]:
    """Rows of name, version and remark for all that is required; what is not installed."""
    pins, unmet = _pins(), []
    rows = [("python", platform.python_version(), "")]
    for name in ["brainalign", *_required()]:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            rows.append((name, "not installed", ""))
            unmet.append(Lack(name, _INSTALL))
            continue
        # A build is marked behind a plus sign: "2.13.0+cpu".
        pin = pins.get(_plain(name), version)
        tested = pin == version or pin == version.partition("+")[0]
        rows.append((name, version, "" if tested else f"tested with {pin}"))
    return rows, unmet


def _required() -> list[str]:
    """Names of the packages that brainalign requires, without those of its extras."""
    try:
        requirements = metadata.requires("brainalign") or []
    except metadata.PackageNotFoundError:
        return []
    return [re.match(r"[\w.-]+", text)[0] for text in requirements if "extra ==" not in text]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins() -> dict[str, str]:
    """Versions that the project was tested with, by the plain name of the package."""
    root = project_root()
    path = root / "constraints.txt" if root else None
    if path is None or not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("==") for line in lines if "==" in line and not line.startswith("#")]
    return {_plain(name): version.strip() for name, _, version in pairs}


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        return f"cpu, {cpu_count()} cores; no CUDA device"
    names = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    return f"cpu, {cpu_count()} cores; cuda: {', '.join(names)}"


def _folders() -> list[tuple[str, str, str, str]]:
    """Rows of purpose, path, free space and whether it can be written, for every folder used."""
    from brainalign.studies import registry

    folders = {"results": cache_folder()}
    for number, path in enumerate(registry.data_folders()):
        named = os.environ.get("BRAINALIGN_DATA") and not number
        folders["data (BRAINALIGN_DATA)" if named else "data"] = path
    folders["temporary files"] = Path(tempfile.gettempdir())
    return [(name, str(path), *_disk(path)) for name, path in folders.items()]


def _disk(path: Path) -> tuple[str, str]:
    """Free space, and what can be done there, of a folder that need not exist yet."""
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = f"{shutil.disk_usage(existing).free / 1e9:.1f} GB free"
    if not existing.is_dir():
        return free, "is a file"
    return free, "writable" if os.access(existing, os.W_OK) else "read only"


def _studies() -> list[tuple[str, Lack | None]]:
    from brainalign.studies import study_names

    return [(name, study_lack(name)) for name in study_names()]


def _damaged() -> dict[str, list[str]]:
    """Sentences on the damaged files of each study that has any."""
    from brainalign.studies import registry, study_names

    found = {name: registry.damaged_files(name) for name in study_names()}
    return {name: sentences for name, sentences in found.items() if sentences}


def _models() -> list[tuple[str, Lack | None]]:
    from brainalign.models import MINILM, zoo_names

    own = f"the testbed's own ({len(zoo_names())})"
    return [(own, None), (MINILM, model_lack(MINILM))]
