"""Every sealed value sealed again with the first key, batch by batch, while the application works."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from dashboard.core.database import Database
from dashboard.core.encryption import DecryptionError, TokenEncryption
from dashboard.models import OAuthToken, Portal

BATCH_ROWS = 200

Column = InstrumentedAttribute[str | None]
ENCRYPTED_COLUMNS: tuple[Column, ...] = (
    Portal.application_token,
    Portal.previous_token,
    OAuthToken.access_token,
    OAuthToken.refresh_token,
)


@dataclass(frozen=True)
class RotationProgress:
    """How far a rotation has come, over all columns; ``unreadable`` values open with none of the keys."""

    done: int
    total: int
    unreadable: int


def rotate(
    database: Database, encryption: TokenEncryption, *, batch: int = BATCH_ROWS
) -> Generator[RotationProgress, None, None]:
    """Yield after each batch, which is committed by then.

    An interrupted rotation is run again: what opens with the first key already is passed over. A pair that
    is renewed meanwhile stays the renewed one, because each value is compared and set.
    """
    with database.read_session() as session:
        total = sum(session.scalar(select(func.count(column))) or 0 for column in ENCRYPTED_COLUMNS)
    done = unreadable = 0
    for column in ENCRYPTED_COLUMNS:
        after = 0
        while rows := _next_rows(database, column, after=after, batch=batch):
            unreadable += database.write(partial(_reencrypt_rows, encryption=encryption, column=column, rows=rows))
            done, after = done + len(rows), rows[-1][0]
            yield RotationProgress(done, max(done, total), unreadable)


def _reencrypt_rows(
    session: Session, *, encryption: TokenEncryption, column: Column, rows: Sequence[tuple[int, str]]
) -> int:
    """Seal a batch again; return how many values open with none of the keys."""
    return sum(not reencrypt(session, encryption, column, *row) for row in rows)


def _next_rows(database: Database, column: Column, *, after: int, batch: int) -> list[tuple[int, str]]:
    (key,) = column.class_.__mapper__.primary_key
    found = select(key, column).where(key > after, column.is_not(None)).order_by(key).limit(batch)
    with database.read_session() as session:
        return [(number, str(sealed)) for number, sealed in session.execute(found)]


def reencrypt(session: Session, encryption: TokenEncryption, column: Column, number: int, sealed: str) -> bool:
    """Seal one value again unless that is done already; False if no key opens it."""
    table = column.class_
    (key,) = table.__mapper__.primary_key
    try:
        if not encryption.is_newest(sealed):
            changed = {column: encryption.reencrypt(sealed)}
            session.execute(update(table).where(key == number, column == sealed).values(changed))
    except DecryptionError:
        return False
    return True
