"""Nested leave-one-run-out ridge: time, memory and agreement beside others, in the same run.

    python benchmarks/bench_ridge.py --quick
    python benchmarks/bench_ridge.py --features 768 --voxels 5000
    py-spy record --subprocesses -o my-profile.svg -- python benchmarks/bench_ridge.py --alone

himalaya is asked fold by fold, as a user would: its cross-validation over the training runs, then
the prediction of the run that was left out. Every fold is the same work, so one or two of them are
measured and multiplied. Of scikit-learn and of the authors' loop only parts are measured.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import simulated
from measure import in_fresh_process, print_rows, row
from ridge_peers import (
    HIMALAYA,
    authors_parts,
    himalaya_fold,
    himalaya_scores,
    sklearn_parts,
)
from simulated import Size

from brainalign.ridge import ALPHAS

FULL = tuple(Size(simulated.SCANS, features, 25_870) for features in (768, 2048, 4096))
QUICK = (Size((100,) * 9, 256, 2000),)
_WARM_UP = Size((20, 20, 20), 8, 16)
_REFERENCE_VOXELS = 200
OURS = {"all": "brainalign, exact", "sample": "brainalign, sampled search"}


@dataclass(frozen=True)
class Mode:
    """How alpha is chosen: runs that validate, and whether every voxel has its own."""

    name: str
    validation: str
    per_voxel: bool = False
    peer_folds: int = 1

    def inner_runs(self, n_runs: int) -> int:
        """Validation runs of a fold."""
        return n_runs - 1 if self.validation == "all" else 1


ONE = Mode("one validation run", "first", peer_folds=2)
NESTED = Mode("nested", "all")
PER_VOXEL = Mode("nested, alpha per voxel", "all", per_voxel=True)


def _ours(folder: Path, size: Size, mode: Mode, search: str) -> Callable[[], Any]:
    from brainalign.ridge import leave_one_run_out

    options = {
        "alphas": ALPHAS,
        "per_voxel_alpha": mode.per_voxel,
        "validation": mode.validation,
        "alpha_search": search,
    }
    leave_one_run_out(*simulated.read(folder, _WARM_UP), **options)
    X, Y = simulated.read(folder, size)

    def fit() -> tuple[np.ndarray, np.ndarray]:
        result = leave_one_run_out(X, Y, **options)
        return result.r, result.alpha

    return fit


def _himalaya(folder: Path, size: Size, mode: Mode, name: str) -> Callable[[], Any]:
    options = {"validation": mode.validation, "per_voxel": mode.per_voxel}
    himalaya_fold(name, *simulated.read(folder, _WARM_UP), 0, **options)
    X, Y = simulated.read(folder, size)
    return lambda: [himalaya_fold(name, X, Y, fold, **options) for fold in range(mode.peer_folds)]


def _parts(folder: Path, size: Size, parts: Callable, *arguments: int) -> Callable[[], Any]:
    parts(*simulated.read(folder, _WARM_UP), *(min(number, 2) for number in arguments))
    X, Y = simulated.read(folder, size)
    return lambda: parts(X, Y, *arguments)


def whole(parts: dict[str, float], counts: dict[str, int]) -> float:
    """Seconds of a whole layer: how often each of its measured parts comes in it."""
    return sum(parts[name] * count for name, count in counts.items())


def sklearn_counts(n_runs: int, mode: Mode) -> dict[str, int]:
    """How often scikit-learn scores an alpha on a run, and fits again at the chosen one."""
    return {"search": n_runs * mode.inner_runs(n_runs) * len(ALPHAS), "refit": n_runs}


def authors_counts(n_runs: int, n_voxels: int) -> dict[str, int]:
    """Fits and correlations of the authors' loop: every alpha and the chosen one again."""
    n_fits = n_runs * (len(ALPHAS) + 1)
    return {"fit": n_fits, "correlate": n_fits * n_voxels}


def _largest_difference(folder: Path, size: Size, r: np.ndarray, alpha: np.ndarray) -> float:
    """Largest difference of a score from himalaya's in double precision, in the first fold."""
    X, Y = simulated.read(folder, size)
    some = np.linspace(0, size.voxels - 1, min(_REFERENCE_VOXELS, size.voxels)).astype(int)
    chosen = alpha[0, some] if alpha.ndim == 2 else float(alpha[0])
    reference = himalaya_scores(X, [run[:, some] for run in Y], 0, chosen)
    return float(np.abs(reference - r[0, some]).max())


def _operations(folder: Path, size: Size, mode: Mode) -> float:
    """Operations of the exact fit, with the functions shared by all penalties as they are found."""
    from brainalign.ridge import count_operations
    from brainalign.ridge.shrinkage import shrink

    training = np.vstack(simulated.read(folder, size)[0][2:]).astype(np.float64)
    gram = training.T @ training if size.features < len(training) else training @ training.T
    values = np.linalg.eigvalsh(gram)
    values = values[values > 1e-12 * values[-1]]
    found = shrink(values, ALPHAS)
    shared = (found.multiplications / len(values), found.combinations.shape[1] * found.combined)
    counted = (size.scans, size.features, size.voxels, len(ALPHAS), mode.validation, shared)
    return count_operations(*counted).total


def _own_row(folder: Path, size: Size, mode: Mode, search: str) -> tuple[dict, np.ndarray]:
    """A row of brainalign, and the alphas that it chose."""
    timing, (r, alpha) = in_fresh_process(_ours, folder, size, mode, search)
    options = {}
    if search == "all":
        options["flops"] = _operations(folder, size, mode)
        options["max_difference"] = _largest_difference(folder, size, r, alpha)
    return row("ridge", case_name(size, mode), OURS[search], timing, **options), alpha


def _himalaya_row(folder: Path, size: Size, mode: Mode, name: str) -> dict:
    timing, _ = in_fresh_process(_himalaya, folder, size, mode, name)
    n_runs = len(size.scans)
    seconds = timing.seconds * n_runs / mode.peer_folds
    how = f"{mode.peer_folds} of {n_runs} folds"
    return row("ridge", case_name(size, mode), f"himalaya {name}", timing, seconds, how)


def _sklearn_rows(folder: Path, size: Size, modes: Sequence[Mode]) -> Iterator[dict]:
    timing, parts = in_fresh_process(_parts, folder, size, sklearn_parts, 2)
    for mode in modes:
        seconds = whole(parts, sklearn_counts(len(size.scans), mode))
        how = f"1 fold, 1 inner run, 2 of {len(ALPHAS)} alphas"
        yield row("ridge", case_name(size, mode), "scikit-learn", timing, seconds, how)


def _authors_row(folder: Path, size: Size) -> dict:
    some = min(1000, size.voxels)
    timing, parts = in_fresh_process(_parts, folder, size, authors_parts, some)
    seconds = whole(parts, authors_counts(len(size.scans), size.voxels))
    how = f"1 fold, 1 of {len(ALPHAS)} alphas, correlation of {some:,} voxels"
    return row("ridge", case_name(size, ONE), "authors' loop", timing, seconds, how)


def case_name(size: Size, mode: Mode) -> str:
    """What the rows of one comparison have in common."""
    return f"{size.features:,} features, {mode.name}"


def mode_rows(
    folder: Path, size: Size, mode: Mode, peers: Sequence[str] = HIMALAYA
) -> Iterator[dict]:
    """Rows of brainalign and himalaya in turn, so that a slow minute of the machine hits both."""
    exact, alpha = _own_row(folder, size, mode, "all")
    yield exact
    for name in peers:
        yield _himalaya_row(folder, size, mode, name)
    if not mode.per_voxel:
        sampled, found = _own_row(folder, size, mode, "sample")
        how = f"all; same alpha as the exact fit in {np.sum(found == alpha)} of {len(alpha)} folds"
        yield sampled | {"how": how}


def size_rows(folder: Path, size: Size, alone: bool = False) -> Iterator[dict]:
    """All rows of one size.

    The class of himalaya that is faster with one validation run stands for it in the other modes.
    """
    for data in (size, _WARM_UP):
        simulated.write(folder, data)
    one = list(mode_rows(folder, size, ONE, () if alone else HIMALAYA))
    yield from one
    peers = [entry for entry in one if entry["who"].startswith("himalaya")]
    best = [min(peers, key=lambda entry: entry["seconds"])["who"].split()[1]] if peers else []
    for mode in (NESTED, PER_VOXEL):
        yield from mode_rows(folder, size, mode, best)
    if not alone:
        yield from _sklearn_rows(folder, size, (ONE, NESTED))
        yield _authors_row(folder, size)


def rows(quick: bool = False, sizes: Sequence[Size] = (), alone: bool = False) -> Iterator[dict]:
    """All rows, as they are measured."""
    for size in sizes or (QUICK if quick else FULL):
        with TemporaryDirectory() as folder:
            yield from size_rows(Path(folder), size, alone)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, half a minute")
    parser.add_argument("--features", type=int, nargs="+", help="instead of the usual ones")
    parser.add_argument("--voxels", type=int, default=FULL[0].voxels)
    parser.add_argument("--alone", action="store_true", help="brainalign without its peers")
    chosen = parser.parse_args()
    sizes = [Size(simulated.SCANS, n, chosen.voxels) for n in chosen.features or ()]
    print_rows(rows(chosen.quick, sizes, chosen.alone))


if __name__ == "__main__":
    main()
