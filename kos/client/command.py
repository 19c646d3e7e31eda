"""The ``kos`` command: what the console does, from a terminal. ``kos --help`` lists it all.

Exit codes: 0 done, 1 failed, 2 called wrongly, 130 stopped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from kos.client.errors import KosError
from kos.client.terminal import accounts, chat, datasets, models, others, runs
from kos.client.terminal.screen import Screen
from kos.client.terminal.session import DONE, FAILED, STOPPED, USAGE, epilog

EXAMPLES = """
kos login https://kos.example.org
kos run start smoke-train -i base=1 -d 1 --follow
kos runs --status running --json
"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=epilog(EXAMPLES),
)
def kos() -> None:
    """Train, merge, evaluate, deploy and ask clinical language models with Kos.

    The address and the token come from KOS_URL and KOS_TOKEN, or from `kos login`.
    """


for room in (accounts, runs, datasets, models, chat, others):
    room.add_to(kos)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        code = kos.main(args=arguments, prog_name="kos", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return STOPPED
    except KosError as error:
        Screen().remark(_sentence(error))
        return FAILED
    except BrokenPipeError:
        # `kos runs | head` has read enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return code if isinstance(code, int) else DONE


def _sentence(error: KosError) -> str:
    hints = {
        0: " Is Kos running there? `kos login URL` chooses another.",
        401: " Make a token under API tokens in the console, then `kos login`.",
    }
    number = f" [request {error.request_id}]" if error.request_id else ""
    sentence = str(error).rstrip(".")
    return f"{sentence}.{hints.get(error.status, '')}{number}"


if __name__ == "__main__":
    sys.exit(main())
