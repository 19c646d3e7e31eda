"""What Kos installs, held to account: exact versions, known licences, known vulnerabilities.

``python scripts/audit_packages.py`` (``make audit``, and in CI by ``make check``) reads every
lock below requirements/ and the metadata of what is installed here. It fails on a version that
is not exact, on a lock that pyproject.toml has outgrown, on a licence that ALLOWED and EXCEPTIONS
do not name, and on a vulnerability that ACCEPTED does not. Vulnerabilities are asked of osv.dev
in one request; where it does not answer that is said, and nothing fails for it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import NamedTuple

import httpx
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OSV = "https://api.osv.dev/v1/querybatch"
OSV_SECONDS = 3.0

# Why a licence is good for something that is installed beside Kos and not changed.
PERMISSIVE = "asks for its notice alone, which lies in the package"
BY_FILE = "copyleft of its own files, and Kos changes none of them"
ALLOWED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "0BSD",
            "Apache-2.0",
            "Apache-2.0 WITH LLVM-exception",
            "BSD",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "BSL-1.0",
            "CC0-1.0",
            "CNRI-Python",
            "ISC",
            "MIT",
            "MIT-0",
            "MIT-CMU",
            "PSF-2.0",
            "Zlib",
        ),
        PERMISSIVE,
    ),
    "MPL-1.1": BY_FILE,
    "MPL-2.0": BY_FILE,
}


class Exempt(NamedTuple):
    """Another licence, for these packages in these locks alone."""

    licence: str
    locks: str
    why: str


NVIDIA = "LicenseRef-NVIDIA-Proprietary"
CUDA = "CUDA's runtime, redistributable as it is; torch asks for it, and only a GPU loads it"
EXCEPTIONS: Mapping[str, Exempt] = {
    "psycopg": Exempt("LGPL-3.0-only", "*", "imported unchanged, and anybody may swap it"),
    "psycopg-*": Exempt("LGPL-3.0-only", "*", "as psycopg"),
    "djlint": Exempt("GPL-3.0-or-later", "[dt]e*", "a linter: no part of Kos imports it"),
    "nvidia-*": Exempt(NVIDIA, "*", CUDA),
    "cuda-toolkit": Exempt(NVIDIA, "*", CUDA),
}
# Metadata that names no licence: what the project's own repository says.
STATED: Mapping[str, str] = {
    "axe-playwright-python": "MIT",
    "cuda-toolkit": NVIDIA,
}
# What metadata older than SPDX says.
SPOKEN: Mapping[str, str] = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "bsd license": "BSD",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "nvidia proprietary software": NVIDIA,
    "other/proprietary license": "LicenseRef-Proprietary",
    "python software foundation license": "PSF-2.0",
}
# Advisories that do not reach Kos: their ids, with why and until when.
ACCEPTED: Mapping[str, str] = {}

# Extras that are pinned in pyproject.toml alone: no target of the Makefile installs them.
UNLOCKED = ("fuzz",)
# Which lock must satisfy which extra of pyproject.toml; test.txt has the others.
LOCK_OF = {"local": "local", "train": "train", "dev": "dev", "cpu": "cpu", "gpu": "gpu"}
PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[\w,-]+\])?==([^\s;*]+)(?:\s*;.+)?")


class Locked(NamedTuple):
    name: str
    version: str
    lock: str


def main() -> int:
    wrong: list[str] = []
    locked = [*read(ROOT / "requirements", wrong)]
    wrong += outgrown(locked, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])
    there = {canonicalize_name(one.metadata["Name"]): one for one in distributions()}
    wrong += licences(locked, there)
    found, told = vulnerable(locked)
    names = {one.name for one in locked}
    absent = names - {*there}
    print(f"{len(names)} packages at exact versions; licences of {len(names - absent)} read")
    if absent:
        print(
            f"not installed here, so their licences not read: {len(absent)} (make vllm has most)"
        )
    print(told)
    for line in wrong + found:
        print(f"wrong: {line}", file=sys.stderr)
    return 1 if wrong + found else 0


def read(folder: Path, wrong: list[str]) -> Iterator[Locked]:
    """Every package of every lock; what is not at an exact version goes to ``wrong``."""
    for file in sorted(folder.glob("*.txt")):
        if file.stem.startswith("overrides"):
            continue  # what the resolver is told, never installed from
        for line in file.read_text().splitlines():
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if fits := PINNED.fullmatch(text):
                yield Locked(canonicalize_name(fits[1]), fits[2], file.stem)
            else:
                wrong.append(f"{file.name}: {text!r} is no exact version; run make lock")


def outgrown(locked: list[Locked], project: Mapping[str, object]) -> Iterator[str]:
    """What pyproject.toml asks for and its lock does not have."""
    extras = project["optional-dependencies"]
    wanted = [("base", text) for text in project["dependencies"]]
    wanted += [
        (LOCK_OF.get(name, "test"), text)
        for name, of in extras.items()
        if name not in UNLOCKED
        for text in of
    ]
    versions = {(one.lock, one.name): one.version for one in locked}
    for lock, text in wanted:
        asked = Requirement(text)
        found = versions.get((lock, canonicalize_name(asked.name)))
        if found is None or not asked.specifier.contains(found, prereleases=True):
            yield f"{lock}.txt has {asked.name} {found or 'not'}; {text!r} asks for another: make lock"


def licences(locked: list[Locked], there: Mapping[str, Distribution]) -> Iterator[str]:
    """Each package whose licence is none that we know to be good."""
    for name in sorted({one.name for one in locked} & {*there}):
        stated = licence_of(there[name])
        locks = {one.lock for one in locked if one.name == name}
        if not stated:
            yield f"{name} names no licence; look it up and add it to STATED"
        elif not (is_allowed(stated) or is_excepted(name, stated, locks)):
            yield f"{name} is under {stated}, which ALLOWED and EXCEPTIONS do not name for it"


def licence_of(found: Distribution) -> str:
    """The licence as an SPDX expression, by the newest of the ways in which packages say it."""
    told = found.metadata
    if expression := told.get("License-Expression"):
        return expression
    kinds = [one for one in told.get_all("Classifier") or () if one.startswith("License ::")]
    spoken = [one.rpartition(" :: ")[2] for one in kinds if one.count("::") > 1]
    text = (told.get("License") or "").strip().partition("\n")[0]
    # A classifier may say no more than "proprietary".
    names = spoken or ([text] if text else [])
    name = canonicalize_name(told["Name"])
    if not names:
        return STATED.get(name, "")
    return " AND ".join(SPOKEN.get(one.lower(), one) for one in names)


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression can be kept with licences of ALLOWED: one side of every OR."""
    text = expression.strip()
    for word, rule in ((" OR ", any), (" AND ", all)):
        parts = _split(text, word)
        if len(parts) > 1:
            return rule(is_allowed(one) for one in parts)
    if text.startswith("(") and text.endswith(")"):
        return is_allowed(text[1:-1])
    return text in ALLOWED


def _split(text: str, word: str) -> list[str]:
    """``text`` at each ``word`` that stands outside brackets."""
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and text.startswith(word, at):
            parts.append(text[start:at])
            start = at + len(word)
    return [*parts, text[start:]]


def is_excepted(name: str, licence: str, locks: set[str]) -> bool:
    known = {licence, NVIDIA if licence == "LicenseRef-Proprietary" else licence}
    return any(
        fnmatch(name, pattern)
        and one.licence in known
        and all(fnmatch(lock, one.locks) for lock in locks)
        for pattern, one in EXCEPTIONS.items()
    )


def vulnerable(locked: list[Locked], address: str = OSV) -> tuple[list[str], str]:
    """Known vulnerabilities, and a sentence that says whether anybody could be asked."""
    asked = sorted({(one.name, one.version.partition("+")[0]) for one in locked})
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in asked
    ]
    try:
        reply = httpx.post(address, json={"queries": queries}, timeout=OSV_SECONDS)
        results = reply.raise_for_status().json()["results"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return [], f"known vulnerabilities: not checked, no answer ({type(error).__name__})"
    found = [
        f"{name} {version} has {one['id']} (https://osv.dev/{one['id']})"
        for (name, version), result in zip(asked, results, strict=True)
        for one in result.get("vulns", ())
        if one["id"] not in ACCEPTED
    ]
    return found, f"known vulnerabilities of {len(asked)} versions: {len(found)} (osv.dev)"


if __name__ == "__main__":
    sys.exit(main())
