"""How much space a portal's call log uses.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("buckets", sa.Column("log_empty_at", sa.Float, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("buckets", "log_empty_at")
