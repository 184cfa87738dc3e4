"""Encryption: a secret is decrypted in its own context only, whatever happens to keys and rows."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from dashboard.core.encryption import DecryptionError, TokenEncryption, portal_context, token_context

SECRET = SecretStr("a-refresh-token-nobody-sees")
OLD, NEW = (SecretStr(Fernet.generate_key().decode()) for _ in range(2))
ANNA = token_context("alpha", 1, "refresh")
ENCRYPTION = TokenEncryption([OLD])


def test_a_secret_is_decrypted_in_its_context() -> None:
    assert ENCRYPTION.decrypt(ENCRYPTION.encrypt(SECRET, context=ANNA), context=ANNA) == SECRET


@given(secret=st.text(), context=st.text())
def test_any_text_is_decrypted_unchanged(secret: str, context: str) -> None:
    ciphertext = ENCRYPTION.encrypt(SecretStr(secret), context=context)

    assert ENCRYPTION.decrypt(ciphertext, context=context).get_secret_value() == secret


@pytest.mark.parametrize(
    "other",
    [
        token_context("alpha", 1, "access"),
        token_context("alpha", 7, "refresh"),
        token_context("alpha", 11, "refresh"),
        token_context("beta", 1, "refresh"),
        portal_context("alpha"),
        "",
    ],
)
def test_another_context_is_refused(other: str) -> None:
    ciphertext = ENCRYPTION.encrypt(SECRET, context=ANNA)

    with pytest.raises(DecryptionError):
        ENCRYPTION.decrypt(ciphertext, context=other)


def test_the_secret_is_not_in_the_ciphertext() -> None:
    ciphertext = ENCRYPTION.encrypt(SECRET, context=ANNA)

    for encoded in (ciphertext.encode(), base64.urlsafe_b64decode(ciphertext)):
        assert SECRET.get_secret_value().encode() not in encoded
        assert b"alpha" not in encoded


def test_the_same_secret_has_a_new_ciphertext_each_time() -> None:
    assert ENCRYPTION.encrypt(SECRET, context=ANNA) != ENCRYPTION.encrypt(SECRET, context=ANNA)


# Keys


def test_a_new_first_key_encrypts_and_the_old_one_still_decrypts() -> None:
    before = ENCRYPTION.encrypt(SECRET, context=ANNA)
    both = TokenEncryption([NEW, OLD])

    assert both.decrypt(before, context=ANNA) == SECRET
    assert TokenEncryption([NEW]).decrypt(both.encrypt(SECRET, context=ANNA), context=ANNA) == SECRET


def test_a_reencrypted_secret_needs_the_new_key_only() -> None:
    rotated = TokenEncryption([NEW, OLD]).reencrypt(ENCRYPTION.encrypt(SECRET, context=ANNA))

    assert TokenEncryption([NEW]).decrypt(rotated, context=ANNA) == SECRET
    with pytest.raises(DecryptionError):
        ENCRYPTION.decrypt(rotated, context=ANNA)


def test_reencryption_keeps_the_context() -> None:
    rotated = TokenEncryption([NEW, OLD]).reencrypt(ENCRYPTION.encrypt(SECRET, context=ANNA))

    with pytest.raises(DecryptionError):
        TokenEncryption([NEW]).decrypt(rotated, context=portal_context("alpha"))


def test_a_missing_key_is_an_error() -> None:
    ciphertext = ENCRYPTION.encrypt(SECRET, context=ANNA)

    with pytest.raises(DecryptionError):
        TokenEncryption([NEW]).decrypt(ciphertext, context=ANNA)
    with pytest.raises(DecryptionError):
        TokenEncryption([NEW]).reencrypt(ciphertext)


def test_a_key_derived_from_a_text_stays_the_same() -> None:
    """Changing the derivation would make everything unreadable that such keys have encrypted."""
    text = SecretStr("kJ9vQ2mZt7xLp4wRb8nYc3dHf6sGa5eT")
    stored = (
        "gAAAAABrDV3OFEnaoasI7SZ9Ux1icbIonhc7Q56GLu4RsPyWWUx4PD1UjuRmZUZ1"
        "cbFphbeznyf_4GjFvEOxTvZM6KodKIK0h9P5HwvXrhrV8Rk758zUEK94pH2MGcMLtjQyYajMFPAS"
    )

    decrypted = TokenEncryption([NEW, text]).decrypt(stored, context=token_context("alpha", 1, "refresh"))

    assert decrypted.get_secret_value() == "a-refresh-token"


def test_a_fernet_key_that_lost_its_padding_is_the_same_key() -> None:
    stored = TokenEncryption([NEW]).encrypt(SecretStr("a token"), context="portal alpha")

    cut = SecretStr(NEW.get_secret_value().rstrip("="))

    assert TokenEncryption([cut]).decrypt(stored, context="portal alpha").get_secret_value() == "a token"


def test_a_fernet_key_encrypts_as_it_always_did() -> None:
    ciphertext = ENCRYPTION.encrypt(SECRET, context=ANNA)

    assert Fernet(OLD.get_secret_value()).decrypt(ciphertext)


# Garbage


def decrypt(ciphertext: str) -> object:
    return ENCRYPTION.decrypt(ciphertext, context=ANNA)


@pytest.mark.parametrize("work", [decrypt, ENCRYPTION.reencrypt])
@given(garbage=st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_garbage_is_no_ciphertext(work: Callable[[str], object], garbage: str) -> None:
    with pytest.raises(DecryptionError):
        work(garbage)


@pytest.mark.parametrize("work", [decrypt, ENCRYPTION.reencrypt])
@pytest.mark.parametrize("garbage", ["", "gAAAAA==", "ключ", "\ud800", "\0"])
def test_named_garbage_is_no_ciphertext(work: Callable[[str], object], garbage: str) -> None:
    with pytest.raises(DecryptionError):
        work(garbage)


def test_a_changed_ciphertext_is_refused() -> None:
    ciphertext = ENCRYPTION.encrypt(SECRET, context=ANNA)

    # The last four characters may spell the same bytes in another way.
    for position in range(0, len(ciphertext) - 4, 7):
        flipped = "A" if ciphertext[position] != "A" else "B"
        with pytest.raises(DecryptionError):
            decrypt(ciphertext[:position] + flipped + ciphertext[position + 1 :])


@pytest.mark.parametrize("inside", ["1", "null", "[]", '["x"]', f'["{ANNA}", 5]', f'["{ANNA}", "a", "b"]', "x"])
def test_another_plaintext_under_our_key_is_refused(inside: str) -> None:
    ciphertext = Fernet(OLD.get_secret_value()).encrypt(inside.encode()).decode()

    with pytest.raises(DecryptionError):
        decrypt(ciphertext)


def test_an_error_does_not_contain_the_secret() -> None:
    ciphertext = ENCRYPTION.encrypt(SECRET, context=ANNA)

    with pytest.raises(DecryptionError) as caught:
        ENCRYPTION.decrypt(ciphertext, context=portal_context("alpha"))

    assert SECRET.get_secret_value() not in repr(caught.value)
    assert SECRET.get_secret_value() not in repr(ENCRYPTION.decrypt(ciphertext, context=ANNA))


def test_at_least_one_key_is_needed() -> None:
    with pytest.raises(ValueError, match="at least one"):
        TokenEncryption([])
