"""Re-encrypt every stored secret with the newest key, in batches, while the application works."""

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
    """The values done so far and in total, over all columns; no key decrypts the ``unreadable`` ones."""

    done: int
    total: int
    unreadable: int


def rotate(
    database: Database, encryption: TokenEncryption, *, batch: int = BATCH_ROWS
) -> Generator[RotationProgress, None, None]:
    """Yield after each committed batch.

    An interrupted rotation can be started again, and skips values of the newest key. Each value is written by
    compare-and-set, so a token that was refreshed meanwhile is not overwritten.
    """
    with database.read_session() as session:
        total = sum(session.scalar(select(func.count(column))) or 0 for column in ENCRYPTED_COLUMNS)
    done = unreadable = 0
    for column in ENCRYPTED_COLUMNS:
        (key,) = column.class_.__mapper__.primary_key
        query = select(key, column).where(column.is_not(None)).order_by(key).limit(batch)
        last_id = 0
        while True:
            with database.read_session() as session:
                rows = [(row_id, str(value)) for row_id, value in session.execute(query.where(key > last_id))]
            if not rows:
                break
            unreadable += database.write(partial(_reencrypt_rows, encryption=encryption, column=column, rows=rows))
            done, last_id = done + len(rows), rows[-1][0]
            yield RotationProgress(done, max(done, total), unreadable)


def _reencrypt_rows(
    session: Session, *, encryption: TokenEncryption, column: Column, rows: Sequence[tuple[int, str]]
) -> int:
    """Re-encrypt the rows; return how many could not be decrypted."""
    return sum(not reencrypt(session, encryption, column, *row) for row in rows)


def reencrypt(session: Session, encryption: TokenEncryption, column: Column, row_id: int, value: str) -> bool:
    """Encrypt a value with the newest key if another key encrypted it; return False if no key decrypts it."""
    table = column.class_
    (key,) = table.__mapper__.primary_key
    try:
        if not encryption.uses_first_key(value):
            changed = {column: encryption.reencrypt(value)}
            session.execute(update(table).where(key == row_id, column == value).values(changed))
    except DecryptionError:
        return False
    return True
