"""The ``kos`` command: one file a room, what they share in ``screen`` and ``session``."""
