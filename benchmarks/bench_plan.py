"""The cost planner: predicted seconds and memory beside measured ones.

    python benchmarks/bench_plan.py            some three minutes on two idle cores
    python benchmarks/bench_plan.py --quick    a small model and few voxels

The machine is calibrated as `brainalign plan` does it, in the process that is measured, before and
after; the mean of both predictions counts. A row "predicted" says how many times as long the plan
expects as it took; a factor of two is the aim. Other programs that come or go meanwhile spoil it.

GPT-2 has random weights and reads a part of the testbed; MiniLM reads Alice, where its files are
at hand.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from bench_extraction import TOKENIZER, save_gpt2
from measure import in_turn, print_rows, row

from brainalign.calibration import Speeds, measure
from brainalign.costs import Cost, cost, counted
from brainalign.fitting import EncodingSettings, encoding_settings
from brainalign.model_sizes import find_model
from brainalign.models import MINILM, available
from brainalign.parallel import changed_environment
from brainalign.planning import fitting_seconds, reading_seconds
from brainalign.scores import study_settings
from brainalign.studies import load_study
from brainalign.studies.registry import missing_files
from brainalign.study import Study, select_voxels


@dataclass(frozen=True)
class Case:
    """A model on a part of a study: its first runs, and one voxel in so many."""

    title: str
    study: str
    n_runs: int
    every_voxel: int
    model: str

    def load(self) -> Study:
        study = load_study(self.study)
        study = replace(study, runs=study.runs[: self.n_runs])
        return select_voxels(study, np.arange(study.n_voxels) % self.every_voxel == 0)

    def settings(self) -> EncodingSettings:
        return encoding_settings(**study_settings(self.study))


def prepare(case: Case, folder: Path) -> list[Callable[[], Any]]:
    """Functions that extract, encode, and give the counted cost with speeds before and after."""
    from brainalign.activations import extract
    from brainalign.encoding import encode
    from brainalign.loading import load_language_model

    study, settings = case.load(), case.settings()
    load_language_model(case.model)
    before = measure()

    def read() -> None:
        with changed_environment({"BRAINALIGN_CACHE": str(folder)}):
            extract(study, case.model, settings.activations)

    def fit() -> None:
        with changed_environment({"BRAINALIGN_CACHE": str(folder)}):
            encode(study, [case.model], settings, jobs=1)

    def plan() -> tuple[Cost, list[Speeds]]:
        return cost(counted(study), find_model(case.model), settings), [before, measure()]

    return [read, fit, plan]


def case_rows(case: Case) -> Iterator[dict[str, Any]]:
    """Rows of one case: measured and predicted, of reading and of fitting."""
    with TemporaryDirectory() as folder:
        (reading, _), (fitting, _), (_, planned) = in_turn(prepare, case, Path(folder))
    found, speeds = planned
    busy = " and ".join(f"{one.others:.0%}" for one in speeds)
    steps = ("reading", reading, reading_seconds), ("fitting", fitting, fitting_seconds)
    for step, timing, predict in steps:
        title = f"{case.title}: {step}"
        yield row("plan", title, "measured", timing)
        seconds = float(np.mean([predict(found, one) for one in speeds]))
        how = f"counted; others took {busy} of the cores while calibrated"
        yield row("plan", title, "predicted", timing, seconds, how) | {
            "peak_gb": found.memory / 1e9
        }


def rows(quick: bool = False) -> Iterator[dict[str, Any]]:
    """Rows of all cases, as they are measured.

    Parameters
    ----------
    quick
        One model of the testbed on three runs.
    """
    if quick:
        yield from case_rows(Case(f"{TOKENIZER.name}, testbed", "testbed", 3, 8, TOKENIZER.name))
        return
    with TemporaryDirectory() as folder:
        gpt2 = save_gpt2(Path(folder))
        yield from case_rows(Case("GPT-2 (random weights), testbed", "testbed", 5, 4, gpt2))
    if available(MINILM) and not missing_files("alice"):
        yield from case_rows(Case("MiniLM, Alice", "alice", 1, 1, MINILM))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small model and few voxels")
    print_rows(rows(parser.parse_args().quick))


if __name__ == "__main__":
    main()
