"""Text to ciphertext and back: every secret is sealed for its owner, and opens for no other."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr


class DecryptionError(Exception):
    """The ciphertext is not ours, its key is gone, or it was sealed for another owner."""


class TokenEncryption:
    """Fernet keys; the first seals, all unseal.

    The owner stands inside the plaintext, so a row that was moved to another person or portal by hand,
    by a faulty migration or by an attacker with write access to the database is refused.
    """

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        each = [Fernet(key.get_secret_value()) for key in keys]
        self._fernet = MultiFernet(each)
        self._newest = each[0]

    def encrypt(self, secret: SecretStr, *, owner: str) -> str:
        plaintext = json.dumps([owner, secret.get_secret_value()])
        return self._fernet.encrypt(plaintext.encode()).decode()

    def decrypt(self, ciphertext: str, *, owner: str) -> SecretStr:
        """Return the secret.

        :raise DecryptionError: see there.
        """
        try:
            sealed_for, secret = json.loads(self._fernet.decrypt(ciphertext.encode()))
            if not isinstance(secret, str):
                raise TypeError
        except (InvalidToken, ValueError, TypeError):
            raise DecryptionError("the key is missing, or this is no ciphertext") from None
        if sealed_for != owner:
            raise DecryptionError("sealed for another owner")
        return SecretStr(secret)

    def is_newest(self, ciphertext: str) -> bool:
        """Tell whether the first key sealed it."""
        try:
            self._newest.decrypt(ciphertext.encode())
        except (InvalidToken, ValueError):
            return False
        return True

    def reencrypt(self, ciphertext: str) -> str:
        """Return the same secret sealed with the first key.

        :raise DecryptionError: no key opens it.
        """
        try:
            return self._fernet.rotate(ciphertext.encode()).decode()
        except (InvalidToken, ValueError):
            raise DecryptionError("the key is missing, or this is no ciphertext") from None


def portal_context(member_id: str) -> str:
    """Name the owner of a portal's own secrets."""
    return f"portal {member_id}"


def token_context(member_id: str, user_id: int, part: str) -> str:
    """Name the owner of one token of a person's chain; ``part`` is ``access`` or ``refresh``."""
    return f"chain {member_id} {user_id} {part}"
