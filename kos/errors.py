"""Errors. A ``UserError`` is shown word for word to the person who can mend it.

Every class stays picklable: errors cross from the job's process to the worker.
"""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: the sentence says what was found and what would do."""


class CancelledError(Exception):
    """Raised by ``Job.emit`` when the run was asked to stop; what was saved stays."""


class GradeError(UserError):
    """A grader gave no verdict. The answer is ungraded, which is not a score of 0."""
