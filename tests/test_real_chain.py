"""From files as OpenNeuro has them to pages: fetch, prepare, extract, encode, run, as commands."""

import json
import os
import subprocess
import sys
from pathlib import Path

import corpus_files
import nbformat
import numpy as np
import pandas as pd
import pytest
from byte_server import byte_server

from brainalign.models import describe

ROOT = Path(__file__).parents[1]
MODELS = {
    "petitprince-en": ["nano-gpt2-8x2", "nano-gpt2-16x3", "nano-gpt2-24x4"],
    "petitprince-fr": ["nano-gpt2-fr-8x2", "nano-qwen2-fr-24x3", "nano-qwen2-fr-40x3"],
}
OPTIONS = ["-p", "responses=openneuro"]
PAGE_OPTIONS = ["-p", "study_options={responses: openneuro}"]


class Machine:
    """Commands on a machine of their own: with its data, its cache and the small corpus."""

    def __init__(self, folder: Path, url: str):
        self.folder, self.url = folder, url
        places = [ROOT / "tests" / "small_corpus", ROOT]
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, places)),
            "SMALL_CORPUS_TABLES": str(folder / "tables"),
            "BRAINALIGN_DATA": str(folder / "data"),
            "BRAINALIGN_CACHE": str(folder / "cache"),
        }

    def call(self, *arguments: str) -> str:
        """What a command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "brainalign.cli", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def page(self, notebook: str, study: str, *arguments: str) -> Path:
        """Folder of an executed page."""
        folder = self.folder / f"{notebook}-{study}"
        models = ["-p", f"models={json.dumps(MODELS[study])}"]
        chosen = ["-p", f"study={study}", *PAGE_OPTIONS, *models, *arguments]
        self.call("run", notebook, *chosen, "-o", str(folder))
        return folder


@pytest.fixture
def machine(tmp_path):
    files = corpus_files.contents()
    corpus_files.write_tables(files, tmp_path / "tables")
    (tmp_path / "data").mkdir()
    with byte_server({f"/{path}": content for path, content in files.items()}) as server:
        yield Machine(tmp_path, server.url)


# One test for each language, because every step takes what the one before has left.
@pytest.mark.parametrize("study", list(MODELS))
def test_from_fetching_to_pages(study, machine):
    fetch_and_prepare(study, machine)
    machine.call("extract", study, *OPTIONS, "--models", *MODELS[study])
    path = machine.folder / "scores.csv"
    machine.call("encode", study, *OPTIONS, "--models", *MODELS[study], "-o", str(path))
    table = pd.read_csv(path)
    # Sections in another order, or scans that do not follow the words, would give 0.
    assert (whole_brain(table) > 0.1).all()
    assert set(corpus_files.REGIONS) <= set(table["roi"])
    check_scaling_law(study, machine, whole_brain(table))
    check_asymmetry(study, machine, table)
    check_individuals(study, machine)
    if study == "petitprince-en":
        check_text(study, machine)


def fetch_and_prepare(study: str, machine: Machine) -> None:
    """Over the network, once; what is called again does nothing."""
    printed = machine.call("fetch", study, "--subjects", "all", "--mirror", machine.url)
    assert "to be fetched" in printed
    assert "all at hand" in machine.call("fetch", study, "--subjects", "all")
    assert "3 of 3 listener(s) prepared" in machine.call("prepare", study)
    assert "resampled 0 and cleaned 0" in machine.call("prepare", study)


def check_scaling_law(study: str, machine: Machine, scores: pd.Series) -> None:
    """Its line is that of the scores that the command printed."""
    folder = machine.page("scaling_law", study, "-p", "voxels=all", "-p", "baselines=[]")
    r = np.corrcoef(logarithms(scores.index), scores)[0, 1]
    found = numbers(folder)
    assert found["n_models"] == 3
    np.testing.assert_allclose(found["r_log_parameters"], r, atol=1e-6)
    text = shown(folder, "scaling_law")
    assert "3 measured listeners" in text and "SIMULATED" not in text


def check_asymmetry(study: str, machine: Machine, table: pd.DataFrame) -> None:
    """The slope of left - right is that of the scores that the command printed."""
    folder = machine.page("asymmetry", study, "-p", "baselines=[]", "-p", "measure=whole brain")
    sides = table[table["roi"] == "all"].set_index(["hemisphere", "model"])["score"]
    difference = sides["L"] - sides["R"]
    slope = np.polyfit(logarithms(difference.index), difference, 1)[0]
    found = numbers(folder)["slope_difference_per_decade"]
    np.testing.assert_allclose(found, slope, atol=1e-6)


def check_individuals(study: str, machine: Machine) -> None:
    """The first two listeners are there by their names."""
    folder = machine.page("individuals", study, "-p", "listeners=2")
    text = shown(folder, "individuals")
    assert all(name in text for name in corpus_files.LISTENERS[corpus_files.STUDIES[study]][:2])
    assert "SIMULATED" not in text


def check_text(study: str, machine: Machine) -> None:
    """The user's copy of the book changes the scores, and nothing of it is kept."""
    book = machine.folder / "book"
    book.mkdir()
    for name, text in corpus_files.text_files(corpus_files.sections("EN")).items():
        (book / name).write_text(text, encoding="utf-8")
    chosen = [*OPTIONS, "--models", MODELS[study][0]]
    without = machine.call("encode", study, *chosen)
    assert without != machine.call("encode", study, *chosen, "-p", f"text={book}")
    passage = (book / "text_run3.txt").read_bytes()[100:140]
    for path in machine.folder.joinpath("cache").rglob("*"):
        assert path.is_dir() or passage not in path.read_bytes(), path


def whole_brain(table: pd.DataFrame) -> pd.Series:
    """Mean score over all voxels of every model, from those of both sides and the midline."""
    parts = table[table["roi"] == "all"]
    sums = (parts["score"] * parts["n_voxels"]).groupby(parts["model"]).sum()
    return sums / parts.groupby("model")["n_voxels"].sum()


def logarithms(models: pd.Index) -> np.ndarray:
    """Decimal logarithms of the numbers of parameters."""
    return np.log10([float(describe(model).n_parameters) for model in models])


def numbers(folder: Path) -> dict[str, float]:
    return json.loads((folder / "numbers.json").read_text())


def shown(folder: Path, notebook: str) -> str:
    """Outputs of a page, and its figures' alt texts."""
    page = nbformat.read(folder / f"{notebook}.ipynb", as_version=4)
    outputs = [str(output) for cell in page.cells for output in cell.get("outputs", [])]
    return "".join(outputs) + "".join(path.read_text() for path in folder.glob("figures/*.txt"))
