"""The second factor at sign-in: codes of an authenticator (TOTP, RFC 6238) and recovery codes.

Each code works once: what was last taken is kept, and only a later one is taken after it.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from typing import NamedTuple

import pyotp
import segno
from django.db import transaction
from django.utils import timezone

from apps.accounts import audit
from apps.accounts.models import SecondFactor, User, Verb
from apps.accounts.sealing import seal, unseal
from kos.errors import UserError

ISSUER = "Kos"
STEP_SECONDS = 30
# Clocks of telephones are off by a little: the code before and the one after are good too.
SLACK_STEPS = 1
NUM_RECOVERY = 10
# 80 bits, in letters and digits that are not mistaken for each other.
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
RECOVERY_CHARS = 16


class Drawn(NamedTuple):
    """A QR code as one SVG path, a square a module, in a box of ``size`` with its margin."""

    path: str
    size: int


def of(user: User) -> SecondFactor | None:
    """The user's second factor, if it counts."""
    return SecondFactor.objects.filter(user=user).exclude(confirmed=None).first()


def begin(user: User) -> SecondFactor:
    """A fresh secret to enrol with; it counts once ``confirm`` saw a code of it."""
    if of(user) is not None:
        raise UserError("A second factor is on already: switch it off first.")
    values = {"secret": seal(pyotp.random_base32()), "last_counter": 0, "recovery": []}
    found, _ = SecondFactor.objects.update_or_create(user=user, defaults=values)
    return found


def begun(user: User) -> SecondFactor | None:
    """What was begun and waits for its first code."""
    return SecondFactor.objects.filter(user=user, confirmed=None).first()


@transaction.atomic
def confirm(user: User, code: str) -> list[str]:
    """Switch it on with its first code; the recovery codes, which are known only now."""
    found = SecondFactor.objects.select_for_update().filter(user=user, confirmed=None).first()
    if found is None:
        raise UserError("Nothing waits for a code: begin again.")
    if not _take_code(found, code):
        raise UserError(
            "This is no code of that secret. Look whether the clock of your device is right."
        )
    codes = _new_codes()
    found.confirmed = timezone.now()
    found.recovery = [_digest(one) for one in codes]
    found.save(update_fields=["confirmed", "recovery"])
    audit.note(user, Verb.SECOND_FACTOR_ON, user)
    return codes


@transaction.atomic
def renew_codes(user: User) -> list[str]:
    """Recovery codes anew; those before are worth nothing from now on."""
    found = SecondFactor.objects.select_for_update().filter(user=user).exclude(confirmed=None)
    row = found.first()
    if row is None:
        raise UserError("There is no second factor: switch one on first.")
    codes = _new_codes()
    row.recovery = [_digest(one) for one in codes]
    row.save(update_fields=["recovery"])
    audit.note(user, Verb.RECOVERY_CODES_MADE, user)
    return codes


@transaction.atomic
def check(user: User, code: str) -> bool:
    """Whether ``code`` is a fresh one of the user's device, or a recovery code; it is used up."""
    found = SecondFactor.objects.select_for_update().filter(user=user).exclude(confirmed=None)
    row = found.first()
    return row is not None and (_take_code(row, code) or _take_recovery(row, code))


def switch_off(user: User) -> None:
    """Sign in with the password alone from now on."""
    if SecondFactor.objects.filter(user=user).delete()[0]:
        audit.note(user, Verb.SECOND_FACTOR_OFF, user)


def reset(by: User, user: User) -> None:
    """An admin takes the second factor of somebody who lost theirs away."""
    if not SecondFactor.objects.filter(user=user).delete()[0]:
        raise UserError(f"{user.username} has no second factor.")
    audit.note(by, Verb.SECOND_FACTOR_RESET, user)


def address_of(found: SecondFactor) -> str:
    """The ``otpauth://`` address that an authenticator reads."""
    totp = pyotp.TOTP(unseal(found.secret))
    return totp.provisioning_uri(name=found.user.username, issuer_name=ISSUER)


def secret_of(found: SecondFactor) -> str:
    """The secret in groups of four, for typing."""
    text = unseal(found.secret)
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def draw(text: str) -> Drawn:
    """``text`` as a QR code."""
    rows = segno.make(text, micro=False).matrix
    squares = (f"M{x} {y}h1v1h-1z" for x, y in _dark(rows))
    return Drawn("".join(squares), len(rows) + 8)


def _dark(rows: tuple[bytearray, ...]) -> Iterator[tuple[int, int]]:
    """The dark modules, with the quiet zone of four that a reader needs."""
    for y, row in enumerate(rows):
        yield from ((x + 4, y + 4) for x, is_dark in enumerate(row) if is_dark)


def _take_code(row: SecondFactor, code: str) -> bool:
    """Take a code of the device; the row is held by the caller."""
    wanted = "".join(code.split())
    totp = pyotp.TOTP(unseal(row.secret))
    now = int(time.time()) // STEP_SECONDS
    for counter in range(now - SLACK_STEPS, now + SLACK_STEPS + 1):
        is_same = secrets.compare_digest(totp.generate_otp(counter).encode(), wanted.encode())
        if is_same and counter > row.last_counter:
            row.last_counter = counter
            row.save(update_fields=["last_counter"])
            return True
    return False


def _take_recovery(row: SecondFactor, code: str) -> bool:
    digest = _digest(code)
    if digest not in row.recovery:
        return False
    row.recovery.remove(digest)
    row.save(update_fields=["recovery"])
    audit.note(row.user, Verb.RECOVERY_CODE_USED, row.user, left=len(row.recovery))
    return True


def _new_codes() -> list[str]:
    """Ten codes in groups of four."""
    texts = [
        "".join(secrets.choice(ALPHABET) for _ in range(RECOVERY_CHARS))
        for _ in range(NUM_RECOVERY)
    ]
    return ["-".join(text[at : at + 4] for at in range(0, RECOVERY_CHARS, 4)) for text in texts]


def _digest(code: str) -> str:
    plain = "".join(one for one in code.upper() if one.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()
