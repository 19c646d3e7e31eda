"""``python -m kos.client`` is the ``kos`` command."""

from __future__ import annotations

import sys

from kos.client.command import main

sys.exit(main())
