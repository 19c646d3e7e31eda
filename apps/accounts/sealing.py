"""How keys lie in the database: Fernet, with a key derived from the installation's own.

The first of KOS_ENCRYPTION_KEY seals, all of them and the secret key open, so that a new one
can be put in front of the old.
"""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from kos.errors import UserError


def seal(text: str) -> str:
    """``text`` encrypted, with its time and a check of its wholeness."""
    return _fernet().encrypt(text.encode()).decode()


def unseal(ciphertext: str) -> str:
    """What was sealed; UserError when this installation's keys do not open it."""
    try:
        return _fernet().decrypt(ciphertext.encode()).decode()
    except InvalidToken:
        # Not `from error`: nothing of the ciphertext belongs into a traceback.
        raise UserError(
            "A kept key cannot be opened: the installation's secret key has changed. Set"
            " KOS_ENCRYPTION_KEY to the old one beside the new, or enter the key again."
        ) from None


def reseal(ciphertext: str) -> str:
    """The same text under the newest key."""
    return seal(unseal(ciphertext))


def _fernet() -> MultiFernet:
    materials = [*settings.ENCRYPTION_KEYS, settings.SECRET_KEY]
    return MultiFernet([Fernet(_derive(material)) for material in materials])


def _derive(material: str) -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"kos.tools.keys")
    return base64.urlsafe_b64encode(derivation.derive(material.encode()))
