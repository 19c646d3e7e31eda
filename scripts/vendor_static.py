"""Vendor the browser parts named in static/vendor/vendor.lock.json, and check them.

Files are committed, so installing Kos needs no npm. Add a package or an icon to the lock,
run ``python scripts/vendor_static.py``, and commit what changed; ``--check`` (run in CI)
compares the committed files with the hashes, and what they say of licence and version with the
lock, and fetches nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What a licence's text says of itself, by the name that the package gives it.
SAYS = {
    "0BSD": "Zero-Clause BSD",
    "BSD-0-Clause": "Zero-Clause BSD",
    "ISC": "ISC License",
    "MIT": "MIT License",
    "OFL-1.1": "SIL Open Font License, Version 1.1",
}
# A script's own word for its version: htmx 4 and uPlot's first line.
VERSION = re.compile(r'version\s*[:=]\s*"(\d+\.\d+\.\d+)"|\(v(\d+\.\d+\.\d+)\)')

STATIC = Path(__file__).resolve().parent.parent / "static"
LOCK = STATIC / "vendor" / "vendor.lock.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare hashes, fetch nothing")
    lock = json.loads(LOCK.read_text())
    if parser.parse_args().check:
        wrong = check(lock)
        sys.stdout.write("".join(f"{line}\n" for line in wrong))
        return 1 if wrong else 0
    with tempfile.TemporaryDirectory() as scratch:
        for package in lock["packages"]:
            vendor(package, lock["icons"], Path(scratch))
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")
    return 0


def vendor(package: dict[str, Any], icons: list[str], scratch: Path) -> None:
    """Fetch ``package``, copy its listed files and its licence, note their hashes."""
    source = unpack(f"{package['name']}@{package['version']}", scratch)
    package["licence"] = json.loads((source / "package.json").read_text())["license"]
    for name in {**package["files"], "LICENSE": ""}:
        content = (source / name).read_bytes()
        target = place(package, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        package["files"][name] = digest(content)
    if package["name"] == "lucide-static":
        sprite = draw_sprite(source / "icons", icons).encode()
        (STATIC / "icons.svg").write_bytes(sprite)
        package["sprite"] = digest(sprite)


def unpack(package: str, scratch: Path) -> Path:
    packed = subprocess.run(
        ["npm", "pack", "--silent", "--ignore-scripts", package],  # noqa: S607
        cwd=scratch,
        check=True,
        capture_output=True,
        text=True,
    )
    folder = scratch / re.sub(r"\W+", "-", package)
    with tarfile.open(scratch / packed.stdout.strip()) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def draw_sprite(folder: Path, icons: list[str]) -> str:
    """One SVG file with a symbol per icon; strokes take the text's colour."""
    symbols = []
    for name in icons:
        body = re.search(r"<svg[^>]*>(.*)</svg>", (folder / f"{name}.svg").read_text(), re.DOTALL)
        assert body is not None, name
        symbols.append(
            f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
            f'stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">'
            f"{''.join(line.strip() for line in body[1].splitlines())}</symbol>\n"
        )
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n{"".join(symbols)}</svg>\n'


def place(package: dict[str, Any], name: str) -> Path:
    folder = f"{package['name'].lstrip('@').replace('/', '-')}@{package['version']}"
    return STATIC / "vendor" / folder / Path(name).name


def check(lock: dict[str, Any]) -> list[str]:
    """What differs from the lock, a sentence a file."""
    wanted = {
        place(package, name): sha
        for package in lock["packages"]
        for name, sha in package["files"].items()
    }
    for package in lock["packages"]:
        if "sprite" in package:
            wanted[STATIC / "icons.svg"] = package["sprite"]
    wrong = [
        f"{path.relative_to(STATIC)} is missing or differs from vendor.lock.json"
        for path, sha in wanted.items()
        if not path.is_file() or digest(path.read_bytes()) != sha
    ]
    there = {path for path in LOCK.parent.rglob("*") if path.is_file()} - {LOCK}
    wrong += [f"{path.relative_to(STATIC)} is not in the lock" for path in there - {*wanted}]
    return wrong or [line for package in lock["packages"] for line in unlike(package)]


def unlike(package: dict[str, Any]) -> Iterator[str]:
    """Where files say another licence or version than the lock does."""
    name, licence = package["name"], package["licence"]
    if licence not in SAYS:
        yield f"{name} is under {licence}, which SAYS does not know"
    elif SAYS[licence] not in place(package, "LICENSE").read_text():
        yield f"{name}: its LICENSE is not the text of {licence}"
    for script in (place(package, one) for one in package["files"] if one.endswith(".js")):
        stated = {one or two for one, two in VERSION.findall(script.read_text())}
        if package["version"] not in stated:
            yield f"{name}: {script.name} says it is {', '.join(stated) or 'no version'}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
