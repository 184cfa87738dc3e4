"""The vault: a secret opens for its owner alone, whatever becomes of keys and rows."""

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
VAULT = TokenEncryption([OLD])


def test_it_works() -> None:
    assert VAULT.decrypt(VAULT.encrypt(SECRET, owner=ANNA), owner=ANNA) == SECRET


@given(secret=st.text(), owner=st.text())
def test_any_text_comes_back_whole(secret: str, owner: str) -> None:
    sealed = VAULT.encrypt(SecretStr(secret), owner=owner)

    assert VAULT.decrypt(sealed, owner=owner).get_secret_value() == secret


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
def test_it_opens_for_no_other_owner(other: str) -> None:
    sealed = VAULT.encrypt(SECRET, owner=ANNA)

    with pytest.raises(DecryptionError):
        VAULT.decrypt(sealed, owner=other)


def test_the_secret_is_not_in_the_ciphertext() -> None:
    sealed = VAULT.encrypt(SECRET, owner=ANNA)

    for seen in (sealed.encode(), base64.urlsafe_b64decode(sealed)):
        assert SECRET.get_secret_value().encode() not in seen
        assert b"alpha" not in seen


def test_the_same_secret_never_looks_the_same() -> None:
    assert VAULT.encrypt(SECRET, owner=ANNA) != VAULT.encrypt(SECRET, owner=ANNA)


# Keys


def test_a_new_key_is_put_in_front_and_the_old_one_still_opens() -> None:
    before = VAULT.encrypt(SECRET, owner=ANNA)
    both = TokenEncryption([NEW, OLD])

    assert both.decrypt(before, owner=ANNA) == SECRET
    assert TokenEncryption([NEW]).decrypt(both.encrypt(SECRET, owner=ANNA), owner=ANNA) == SECRET


def test_what_was_rotated_opens_with_the_new_key_alone() -> None:
    rotated = TokenEncryption([NEW, OLD]).reencrypt(VAULT.encrypt(SECRET, owner=ANNA))

    assert TokenEncryption([NEW]).decrypt(rotated, owner=ANNA) == SECRET
    with pytest.raises(DecryptionError):
        VAULT.decrypt(rotated, owner=ANNA)


def test_rotation_does_not_change_the_owner() -> None:
    rotated = TokenEncryption([NEW, OLD]).reencrypt(VAULT.encrypt(SECRET, owner=ANNA))

    with pytest.raises(DecryptionError):
        TokenEncryption([NEW]).decrypt(rotated, owner=portal_context("alpha"))


def test_a_key_that_is_gone_is_said_and_not_guessed() -> None:
    sealed = VAULT.encrypt(SECRET, owner=ANNA)

    with pytest.raises(DecryptionError):
        TokenEncryption([NEW]).decrypt(sealed, owner=ANNA)
    with pytest.raises(DecryptionError):
        TokenEncryption([NEW]).reencrypt(sealed)


# Garbage


def open_it(ciphertext: str) -> object:
    return VAULT.decrypt(ciphertext, owner=ANNA)


@pytest.mark.parametrize("work", [open_it, VAULT.reencrypt])
@given(garbage=st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_garbage_is_no_ciphertext(work: Callable[[str], object], garbage: str) -> None:
    with pytest.raises(DecryptionError):
        work(garbage)


@pytest.mark.parametrize("work", [open_it, VAULT.reencrypt])
@pytest.mark.parametrize("garbage", ["", "gAAAAA==", "ключ", "\ud800", "\0"])
def test_named_garbage_is_no_ciphertext(work: Callable[[str], object], garbage: str) -> None:
    with pytest.raises(DecryptionError):
        work(garbage)


def test_a_changed_ciphertext_is_refused() -> None:
    sealed = VAULT.encrypt(SECRET, owner=ANNA)

    # The last four characters may spell the same bytes in another way.
    for position in range(0, len(sealed) - 4, 7):
        flipped = "A" if sealed[position] != "A" else "B"
        with pytest.raises(DecryptionError):
            open_it(sealed[:position] + flipped + sealed[position + 1 :])


@pytest.mark.parametrize("inside", ["1", "null", "[]", '["x"]', f'["{ANNA}", 5]', f'["{ANNA}", "a", "b"]', "x"])
def test_what_our_key_sealed_but_we_did_not_is_refused(inside: str) -> None:
    sealed = Fernet(OLD.get_secret_value()).encrypt(inside.encode()).decode()

    with pytest.raises(DecryptionError):
        open_it(sealed)


def test_nothing_that_fails_tells_the_secret() -> None:
    sealed = VAULT.encrypt(SECRET, owner=ANNA)

    with pytest.raises(DecryptionError) as caught:
        VAULT.decrypt(sealed, owner=portal_context("alpha"))

    assert SECRET.get_secret_value() not in repr(caught.value)
    assert SECRET.get_secret_value() not in repr(VAULT.decrypt(sealed, owner=ANNA))


def test_a_vault_needs_a_key() -> None:
    with pytest.raises(ValueError, match="at least one"):
        TokenEncryption([])
