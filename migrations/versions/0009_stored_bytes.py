"""How much space each person's settings, and all people of a portal together, take up.

Existing rows count from the next update of each portal on.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("portals", sa.Column("stored_bytes", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("people", sa.Column("snapshot_bytes", sa.Integer, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("people", "snapshot_bytes")
    op.drop_column("portals", "stored_bytes")
