"""How time and memory of a fit grow with scans, features, voxels, layers and penalties.

    python benchmarks/bench_growth.py --quick

One size is changed at a time; the others stay as they are in the middle of the table.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import simulated
from measure import in_fresh_process, print_rows, row
from simulated import Size


@dataclass(frozen=True)
class Fit:
    """Layers of one model that are fitted to the same responses, nine runs."""

    scans: int
    features: int
    voxels: int
    layers: int = 1
    alphas: int = 16

    @property
    def size(self) -> Size:
        """Sizes of one layer."""
        return Size((self.scans // 9,) * 9, self.features, self.voxels)


FULL = Fit(1350, 1024, 8000)
QUICK = Fit(540, 256, 2000)
FACTORS = {
    "scans": (0.5, 1, 2),
    "features": (0.5, 1, 2, 4),
    "voxels": (0.5, 1, 2, 4),
    "layers": (1, 2, 4),
    "alphas": (1, 2, 4),
}
QUICK_FACTORS = dict.fromkeys(("scans", "features", "voxels", "layers"), (1, 4))
_WARM_UP = Fit(180, 8, 16, alphas=2)


def _fit(folder: Path, what: Fit) -> Callable[[], Any]:
    from brainalign.ridge import leave_one_run_out, prepare_responses

    def run(what: Fit) -> None:
        X, Y = data[what]
        responses = prepare_responses(Y)
        for _ in range(what.layers):
            leave_one_run_out(X, responses, alphas=np.logspace(2, 7, what.alphas))

    data = {fit: simulated.read(folder, fit.size) for fit in (_WARM_UP, what)}
    run(_WARM_UP)
    return lambda: run(what)


def changed(base: Fit, factors: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, Fit]]:
    """What grows, and every fit to be measured for it, the smallest first."""
    for name, sizes in factors.items():
        for factor in sizes:
            yield name, replace(base, **{name: int(getattr(base, name) * factor)})


def rows(quick: bool = False, base: Fit | None = None) -> Iterator[dict[str, Any]]:
    """One row for every fit; `grows` says which size differs, `size` how large it is."""
    base = base or (QUICK if quick else FULL)
    timings = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        simulated.write(folder, _WARM_UP.size)
        for what, fit in changed(base, QUICK_FACTORS if quick else FACTORS):
            simulated.write(folder, fit.size)
            if fit not in timings:
                timings[fit], _ = in_fresh_process(_fit, folder, fit)
            size = getattr(fit, what)
            who = f"brainalign, {size:,} {what}"
            yield row("growth", f"more {what}", who, timings[fit], grows=what, size=size)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    print_rows(rows(parser.parse_args().quick))


if __name__ == "__main__":
    main()
