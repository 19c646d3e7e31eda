"""``python -m kos.engine.server --base FOLDER --port 8700``: Kos's engine as a Tinker service."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from pathlib import Path

from kos.engine.machine import probe
from kos.errors import UserError

KEY = "KOS_TINKER_KEY"


def main() -> int:
    """Serve until interrupted."""
    options = _parse()
    try:
        _check(options)
        # What computes loads torch and the SDK's wire format, which may be missing.
        from kos.engine.server.serving import Options, serve

        serve(
            Options(
                base=options.base,
                folder=options.folder,
                name=options.name or options.base.name,
                host=options.host,
                port=options.port,
                key=os.environ.get(KEY, ""),
                alpha=options.alpha,
                max_models=options.max_models,
            ),
            probe(),
        )
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kos.engine.server", description=__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base model")
    parser.add_argument("--folder", type=Path, default=Path("var/tinker"), help="saved weights")
    parser.add_argument("--name", help="what clients call the base; its folder's name")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8700)
    parser.add_argument("--alpha", type=float, default=32.0, help="LoRA's alpha; Tinker has 32")
    parser.add_argument("--max-models", type=int, default=8, help="models kept in memory")
    return parser.parse_args()


def _check(options: argparse.Namespace) -> None:
    if not (options.base / "config.json").exists():
        raise UserError(f"{options.base} is no model: it has no config.json")
    if not _is_loopback(options.host) and not os.environ.get(KEY):
        raise UserError(
            f"{options.host} can be reached from other machines, so a key is needed: set {KEY} "
            "to a text that begins with tml-, or listen on 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
