"""How far a run has read the list of employees, and the last run that found a person in it.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("list_position", sa.JSON()))
    op.add_column("people", sa.Column("listed_by_run", sa.BigInteger()))


def downgrade() -> None:
    op.drop_column("people", "listed_by_run")
    op.drop_column("runs", "list_position")
