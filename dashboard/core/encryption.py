"""Encrypt and decrypt secrets with Fernet keys, each bound to the row it belongs to."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

FERNET_KEY_LENGTH = 44
# A change would make everything unreadable that was encrypted with a derived key.
DERIVATION_CONTEXT = b"calendar-dashboard token key 1"


class DecryptionError(Exception):
    """The text is no valid ciphertext, its key is missing, or it was encrypted in another context."""


class TokenEncryption:
    """Encrypts with the first key and decrypts with any.

    The context, which names a portal or a person, is part of the plaintext: a ciphertext that was moved to
    another row, by a faulty migration or by an attacker, is refused.
    """

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        ciphers = [_cipher(key.get_secret_value()) for key in keys]
        self._all_keys, self._first_key = MultiFernet(ciphers), ciphers[0]

    def encrypt(self, secret: SecretStr, *, context: str) -> str:
        """Return the ciphertext as text."""
        plaintext = json.dumps([context, secret.get_secret_value()])
        return self._all_keys.encrypt(plaintext.encode()).decode()

    def decrypt(self, ciphertext: str, *, context: str) -> SecretStr:
        """Return the secret.

        :raise DecryptionError: it cannot be decrypted, or was encrypted in another context.
        """
        try:
            stored_context, secret = json.loads(self._all_keys.decrypt(ciphertext.encode()))
        except (InvalidToken, ValueError, TypeError):
            raise DecryptionError("the key is missing, or this is no ciphertext") from None
        if stored_context != context or not isinstance(secret, str):
            raise DecryptionError("encrypted in another context")
        return SecretStr(secret)

    def uses_first_key(self, ciphertext: str) -> bool:
        """Tell whether the first key encrypted the secret."""
        try:
            self._first_key.decrypt(ciphertext.encode())
        except (InvalidToken, ValueError):
            return False
        return True

    def reencrypt(self, ciphertext: str) -> str:
        """Return the same secret encrypted with the first key.

        :raise DecryptionError: no key decrypts it.
        """
        try:
            return self._all_keys.rotate(ciphertext.encode()).decode()
        except (InvalidToken, ValueError):
            raise DecryptionError("the key is missing, or this is no ciphertext") from None


def is_fernet_key(text: str) -> bool:
    """Tell whether a text is a Fernet key: 32 bytes in URL-safe base64."""
    try:
        Fernet(text)
    except ValueError:
        return False
    # The decoder ignores what follows the padding, such as a second key after a line break.
    return len(text) == FERNET_KEY_LENGTH


def _cipher(key: str) -> Fernet:
    """Return the cipher of a Fernet key, or of the key that is derived from any other text.

    Platforms generate random texts, but no Fernet keys. The text must be random: the derivation is fast. A Fernet key
    that has lost its padding is the same key.
    """
    padded = key.ljust(FERNET_KEY_LENGTH, "=")
    if is_fernet_key(padded):
        return Fernet(padded)
    derived = HKDF(SHA256(), length=32, salt=None, info=DERIVATION_CONTEXT).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def portal_context(member_id: str) -> str:
    """Return the context of a portal's own secrets."""
    return f"portal {member_id}"


def token_context(member_id: str, user_id: int, part: str) -> str:
    """Return the context of a person's OAuth token; ``part`` is ``access`` or ``refresh``."""
    # Stored ciphertexts contain this text, so it keeps the first name of the tokens' table.
    return f"chain {member_id} {user_id} {part}"
