"""All benchmarks in one run: one table, and a file that the book's page about speed shows.

python benchmarks/run.py            some forty minutes on two idle cores
python benchmarks/run.py --quick    about a minute, small sizes
"""

import argparse
import importlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measure import add_ratios, clocks, machine, print_rows

from brainalign.companion.speed import code_digest, ratio_table, results_path
from brainalign.files import atomic_path

BENCHMARKS = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
# Takes as long to learn the machine's speed as all others together.
NOT_QUICK = ("bench_plan",)


def all_rows(quick: bool) -> Iterator[dict[str, Any]]:
    """Rows of all benchmarks; the quick ones leave out the plan."""
    for name in BENCHMARKS:
        if quick and name in NOT_QUICK:
            continue
        yield from importlib.import_module(name).rows(quick)


def run(quick: bool) -> dict[str, Any]:
    """Measure and print; what the page needs."""
    about = {"quick": quick, "date": datetime.now(UTC).isoformat(timespec="seconds")}
    about |= {"machine": machine(), "code": code_digest()}
    start = clocks()
    rows = add_ratios(print_rows(all_rows(quick)))
    seconds, own, busy = (clocks() - start).tolist()
    others = max(busy - own, 0.0)
    print(ratio_table(rows).to_string(float_format="{:.3g}".format, na_rep=""))
    print(f"\n{seconds:.0f} s; other processes took {others:.0f} s of processor time meanwhile")
    return about | {"seconds": seconds, "other_cpu_s": others, "rows": rows}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    quick = parser.parse_args().quick
    path, results = results_path(quick), run(quick)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
