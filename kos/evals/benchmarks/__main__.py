"""``python -m kos.evals.benchmarks NAME > tasks.jsonl`` writes the tasks of an embedded benchmark.

Without a name it lists them all.
"""

from __future__ import annotations

import argparse
import sys

from kos.errors import UserError
from kos.evals.benchmarks.base import BENCHMARKS, find


def main(arguments: list[str] | None = None) -> int:
    """Write to standard output; a benchmark that must be imported is an error with its source."""
    parser = argparse.ArgumentParser(prog="python -m kos.evals.benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    if not chosen.name:
        for cls in BENCHMARKS:
            sys.stdout.write(f"{cls.model_fields['kind'].default}: {cls.label()}\n")
        return 0
    try:
        tasks = find(chosen.name).tasks(chosen.seed)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for task in tasks:
        sys.stdout.write(task.model_dump_json(exclude_defaults=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
