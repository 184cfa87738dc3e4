"""What administrators are told of their installation: granted permissions, refused bindings.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("portals", sa.Column("scopes", sa.JSON))
    op.add_column("portals", sa.Column("unbound", sa.JSON))


def downgrade() -> None:
    op.drop_column("portals", "unbound")
    op.drop_column("portals", "scopes")
