"""Which alpha: inner scores, the choice, and the alphas that a sample of voxels rules out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from brainalign.ridge import block_identities, eigenbasis
from brainalign.ridge.operations import Operations, of_block_identities, of_eigenbasis
from brainalign.ridge.work import Regressors, Request, Responses, Worker

if TYPE_CHECKING:
    from torch import Tensor

# Voxels drawn to rule alphas out, the standard errors by which a ruled-out alpha scores less, and
# how many times more voxels there must be to make drawing worth while.
SAMPLE = 1024
STANDARD_ERRORS = 7
ENOUGH = 4
# Alphas, as multiples of the kernel's mean eigenvalue, at which inverses in float64 are accurate.
INVERTIBLE = (1e-9, 1e8)


@dataclass(frozen=True)
class Task:
    """A nested regression, ready to be scored.

    Attributes
    ----------
    work, regressors, responses
        See `work`.
    alphas : numpy.ndarray
        The grid.
    inner_runs : list of tuple of int
        Validation runs of every fold.
    candidates : numpy.ndarray of bool
        Alphas that each fold may choose, (fold, alpha).
    """

    work: Worker
    regressors: Regressors
    responses: Responses
    alphas: np.ndarray
    inner_runs: list[tuple[int, ...]]
    candidates: np.ndarray

    def only(self, candidates: np.ndarray) -> "Task":
        """The same with fewer candidates, and without alphas that are none in any fold."""
        used = candidates.any(0)
        return replace(self, alphas=self.alphas[used], candidates=candidates[:, used])

    @property
    def inner_requests(self) -> list[Request]:
        """Scores of the validation runs of all folds."""
        return inner_requests(self.inner_runs, self.candidates)

    def weight(self, requests: Sequence[Request]) -> float:
        """Operations that the requests take."""
        return min(operations.weight for operations in self._ways(requests).values())

    def _ways(self, requests: Sequence[Request]) -> dict[ModuleType, Operations]:
        """Forms that can serve the requests, and their operations."""
        regressors, n_voxels = self.regressors, self.responses.n_voxels
        about = (regressors.lengths, regressors.values.shape[1], n_voxels, requests)
        ways = {eigenbasis: of_eigenbasis(*about)}
        low, high = (bound * regressors.mean_eigenvalue for bound in INVERTIBLE)
        if low <= self.alphas.min() and self.alphas.max() <= high:
            ways[block_identities] = of_block_identities(*about)
        return ways

    def score(self, requests: Sequence[Request], use) -> None:
        """Hand the correlations of all requests to a function."""
        ways = self._ways(requests)
        form = min(ways, key=lambda form: ways[form].weight)
        form.score(self.work, self.regressors, self.responses, self.alphas, requests, use)


def inner_requests(inner_runs: Sequence[Sequence[int]], candidates: np.ndarray) -> list[Request]:
    """Scores of validation runs, by pairs of the run of a fold and its validation run.

    Parameters
    ----------
    inner_runs
        Validation runs of every fold.
    candidates
        Alphas that are wanted, (fold, alpha), True or False.

    Returns
    -------
    list of Request
        A pair serves the folds of both its runs, where each validates the other's.
    """
    requests = []
    for pair in combinations(range(len(inner_runs)), 2):
        folds = [fold for fold in pair if sum(pair) - fold in inner_runs[fold]]
        if folds:
            scored = tuple(sum(pair) - fold for fold in folds)
            places = np.flatnonzero(candidates[folds].any(0))
            requests.append(Request(pair, scored, tuple(map(int, places))))
    return requests


def outer_requests(candidates: np.ndarray) -> list[Request]:
    """Scores of the runs of all folds at some alphas each; parameters as in `inner_requests`."""
    return [
        Request((fold,), (fold,), tuple(map(int, np.flatnonzero(wanted))))
        for fold, wanted in enumerate(candidates)
    ]


def candidates(task: Task, seed: int = 0) -> np.ndarray:
    """Alphas that may be the best of a fold, judged by a random sample of voxels.

    An alpha is ruled out if, in the sample, its inner score lies so far below that of the best one
    that the same in all voxels is as good as certain: by seven standard errors of the mean
    difference, drawn without replacement. Many alphas are far from the best, few are near it.

    Parameters
    ----------
    task
        All alphas and voxels.
    seed
        Of the drawing.

    Returns
    -------
    numpy.ndarray of bool
        (fold, alpha); all True where voxels or alphas are too few to gain anything.
    """
    n_voxels = task.responses.n_voxels
    if n_voxels < ENOUGH * SAMPLE or task.candidates.shape[1] == 1:
        return task.candidates
    voxels = np.sort(np.random.default_rng(seed).choice(n_voxels, SAMPLE, replace=False))
    place = task.work.backend.asarray(voxels, device=task.work.device)
    few = replace(task, responses=task.responses.take(place))
    sums, counts, _ = score_requests(few, few.inner_requests)
    means = task.work.backend.to_numpy(sums / counts[:, None]).astype(float)
    return np.stack([_not_ruled_out(fold, n_voxels) for fold in means])


def _not_ruled_out(scores: np.ndarray, n_voxels: int) -> np.ndarray:
    """Alphas that may be the best of one fold; `scores` has the dimensions (alpha, voxel)."""
    scores = scores[:, np.isfinite(scores).all(0)]
    n_drawn = scores.shape[1]
    if n_drawn < 2:
        return np.ones(len(scores), dtype=bool)
    difference = scores - scores[scores.mean(1).argmax()]
    error = difference.std(1, ddof=1) * np.sqrt((1 - n_drawn / n_voxels) / n_drawn)
    return difference.mean(1) + STANDARD_ERRORS * error >= 0


def score_requests(task: Task, requests: Sequence[Request]) -> "tuple[Tensor, Tensor, Tensor]":
    """Sums of validation scores, numbers of runs summed, and scores of the folds' own runs.

    Parameters
    ----------
    task
        What is scored.
    requests
        From `inner_requests`, `outer_requests` or both.

    Returns
    -------
    sums : Tensor
        (fold, alpha, voxel); incomplete where the alpha is no candidate.
    counts : Tensor
        (fold, voxel).
    outer : Tensor
        (fold, alpha, voxel), 0 where not requested.
    """
    n_runs, n_voxels = task.responses.valid.shape
    sums = task.work.zeros(n_runs, len(task.alphas), n_voxels)
    outer = task.work.zeros(n_runs, len(task.alphas), n_voxels)
    counts = task.work.zeros(n_runs, n_voxels)

    def use(request: Request, places: Sequence[int], block: slice, r: "Tensor") -> None:
        for run, scores in zip(request.scored, r, strict=True):
            alone = len(request.left_out) == 1
            target = outer[run] if alone else sums[sum(request.left_out) - run]
            for place, values in zip(places, scores, strict=True):
                target[place, block] += values

    task.score(requests, use)
    for request in requests:
        if len(request.left_out) == 2:
            for run in request.scored:
                counts[sum(request.left_out) - run] += task.responses.valid[run]
    return sums, counts, outer


def best(task: Task, per_voxel: bool) -> "tuple[Tensor, Tensor, Tensor]":
    """The chosen alphas, and the scores there.

    Parameters
    ----------
    task
        What is scored.
    per_voxel
        Whether every voxel has its own alpha.

    Returns
    -------
    choice : Tensor
        Places in the grid, (fold, voxel) or (fold, 1).
    r_inner : Tensor
        Mean inner scores, (fold, voxel); NaN where a voxel is constant in all validation runs.
    r : Tensor
        Scores of the folds' own runs, (fold, voxel); NaN where a voxel is constant there.
    """
    requests = task.inner_requests
    together = requests + outer_requests(task.candidates)
    # One inverse per alpha may score the folds' own runs on the way, before alpha is chosen.
    first = np.eye(1, len(task.alphas), dtype=bool).repeat(len(task.candidates), axis=0)
    on_the_way = task.weight(together) < task.weight(requests) + task.weight(outer_requests(first))
    sums, counts, outer = score_requests(task, together if on_the_way else requests)
    means = sums.div_(counts[:, None])
    # In float64 and over voxels; each voxel's own maximum needs neither.
    criterion = means if per_voxel else means.double().nanmean(-1, keepdim=True)
    allowed = task.work.backend.asarray(task.candidates, device=task.work.device)
    choice = criterion.nan_to_num(nan=-2).masked_fill(~allowed[..., None], -3).argmax(1)
    index = choice[:, None].expand(-1, 1, means.shape[-1])
    if not on_the_way:
        chosen = np.zeros_like(task.candidates)
        for fold, places in enumerate(choice):
            chosen[fold, task.work.backend.to_numpy(places.unique())] = True
        outer = score_requests(task, outer_requests(chosen))[2]
    r = outer.gather(1, index)[:, 0].masked_fill(~task.responses.valid, float("nan"))
    return choice, means.gather(1, index)[:, 0], r
