"""Refused proofs counted by address; the token before an update; when the bindings were last found whole.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in _of_portals():
        op.add_column("portals", column)
    op.create_table(
        "refusals",
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("level", sa.Float, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_refusals"),
    )
    op.create_index("ix_refusals_at", "refusals", ["at"])


def downgrade() -> None:
    op.drop_table("refusals")
    for column in reversed(_of_portals()):
        op.drop_column("portals", column.name)


def _of_portals() -> list[sa.Column]:
    return [
        sa.Column("previous_token", sa.Text),
        sa.Column("previous_until", MOMENT),
        sa.Column("bindings_at", MOMENT),
    ]
