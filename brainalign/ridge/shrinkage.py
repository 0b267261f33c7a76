"""Shrunk predictions for many penalties from products that the penalties share.

In an eigenbasis, the prediction for a penalty α is Σₖ sₖ λₖ / (λₖ + α) cₖ over components k. The
factors of all penalties are smooth in log λ: over components with similar eigenvalues they are
combinations of a few functions hᵣ(λ), found by a singular value decomposition. So a few products
Σₖ sₖ hᵣ(λₖ) cₖ, each over a group of components, give the predictions for all penalties to float32
accuracy with a fifth to a half of the operations.
"""

from dataclasses import dataclass

import numpy as np

# Rounding error of float32: what the factors of all penalties may lose.
TOLERANCE = 1e-7
N_GROUPS = (1, 2, 4, 6, 8, 12, 16)


@dataclass(frozen=True)
class Shrinkage:
    """Factors of components for every penalty, as combinations within groups of components.

    Attributes
    ----------
    groups : list of slice
        Components of each group, neighbours in the order of eigenvalues.
    functions : list of numpy.ndarray
        For each group, (function, component).
    combinations : numpy.ndarray
        (penalty, function of all groups): what the functions are multiplied by and added up.
    factors : numpy.ndarray
        (penalty, component), the factors themselves.
    """

    groups: list[slice]
    functions: list[np.ndarray]
    combinations: np.ndarray
    factors: np.ndarray

    @property
    def combined(self) -> bool:
        """Whether the functions are not the factors themselves."""
        return self.functions[0] is not self.factors

    @property
    def multiplications(self) -> int:
        """Products of a factor with a component that the functions take."""
        return sum(function.size for function in self.functions)

    @property
    def cost(self) -> int:
        """Multiplications per predicted scan and voxel.

        Those of the combinations count four times: so few rows leave a core waiting for memory.
        """
        return self.multiplications + 4 * self.combinations.size * self.combined


def shrink(values: np.ndarray, alphas: np.ndarray) -> Shrinkage:
    """Factors λ / (λ + α), up to one factor per penalty, which changes no correlation.

    Parameters
    ----------
    values
        Eigenvalues λ in increasing order, positive.
    alphas
        Penalties α.

    Returns
    -------
    Shrinkage
        That of several groupings with the least cost.
    """
    # Divided by its largest value, a row keeps extreme penalties within float32.
    factors = values / (values + alphas[:, None])
    factors /= factors[:, -1:]
    every = Shrinkage([slice(0, len(values))], [factors], np.eye(len(alphas)), factors)
    if len(alphas) < 4 or len(values) < 2 * len(alphas):
        return every
    found = (_grouped(factors, edges) for edges in _groupings(values))
    return min([every, *found], key=lambda shrinkage: shrinkage.cost)


def _groupings(values: np.ndarray) -> list[list[int]]:
    """Borders of groups: equally many components, or equal steps of log λ."""
    logs, found = np.log(values), []
    for n_groups in N_GROUPS:
        found.append(np.linspace(0, len(values), n_groups + 1).astype(int))
        steps = np.linspace(logs[0], logs[-1], n_groups + 1)[1:-1]
        found.append(np.concatenate([[0], np.searchsorted(logs, steps), [len(values)]]))
    return [sorted(set(map(int, borders))) for borders in found]


def _grouped(factors: np.ndarray, borders: list[int]) -> Shrinkage:
    groups = [slice(*pair) for pair in zip(borders[:-1], borders[1:], strict=True)]
    functions, combinations = [], []
    for group in groups:
        left, strength, right = np.linalg.svd(factors[:, group], full_matrices=False)
        kept = max(int((strength > TOLERANCE).sum()), 1)
        functions.append(right[:kept])
        combinations.append(left[:, :kept] * strength[:kept])
    return Shrinkage(groups, functions, np.hstack(combinations), factors)
