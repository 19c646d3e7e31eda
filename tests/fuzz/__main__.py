"""``python -m tests.fuzz parser --seconds 60``: hunt with atheris from the kept seeds on.

Needs the extra ``fuzz``. Without a name it goes through all targets. What breaks a target is
printed with its traceback and written to ``TARGET/crash-...`` in the folder ``--keep`` (a
temporary one when not given): put it into ``tests/fuzz/seeds/TARGET/`` once it is mended, and it stays mended.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import NAMES

SEEDS = Path(__file__).with_name("seeds")
# An input that takes longer than this is a fault, and so is one that takes more memory.
SLOW_SECONDS, MAX_MB = 10, 3000
DONE = re.compile(r"Done (\d+) runs")
FEATURES = re.compile(r"cov: (\d+) ft: (\d+)")


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("target", nargs="?", choices=NAMES)
    asked.add_argument("--seconds", type=int, default=60)
    asked.add_argument("--keep", type=Path)
    told = asked.parse_args()
    folder = told.keep or Path(tempfile.mkdtemp(prefix="kos-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    names = [told.target] if told.target else NAMES
    return max([hunt(name, told.seconds, folder) for name in names])


def hunt(name: str, seconds: int, folder: Path) -> int:
    """Each target in a process of its own: what is hooked into it cannot be undone."""
    found = folder / name
    found.mkdir(exist_ok=True)
    flags = [f"-max_total_time={seconds}", f"-timeout={SLOW_SECONDS}", f"-rss_limit_mb={MAX_MB}"]
    flags += ["-max_len=6000", f"-artifact_prefix={found}/", str(found), str(SEEDS / name)]
    command = [sys.executable, "-m", "tests.fuzz.hunting", name, str(found), *flags]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    runs, features = DONE.findall(done.stderr), FEATURES.findall(done.stderr)
    if done.returncode or not runs or not features:
        sys.stderr.write(done.stderr[-6000:])
        return done.returncode or 1
    edges, seen = features[-1]
    sys.stdout.write(f"{name}: {int(runs[-1]):,} runs, {edges} edges, {seen} features\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
