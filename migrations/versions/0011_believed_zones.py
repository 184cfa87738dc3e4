"""The time zone that each person is believed to be in, changes of the profile's, and the company's working hours.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TEAM = ("work_start", "work_end", "listed", "chain_state", "reminder_count", "view", "settings_at")


def upgrade() -> None:
    op.add_column("portals", sa.Column("work_start", sa.Integer()))
    op.add_column("portals", sa.Column("work_end", sa.Integer()))
    for name, size in {"zone": 64, "zone_source": 8, "previous_time_zone": 255}.items():
        op.add_column("people", sa.Column(name, sa.String(size), nullable=False, server_default=""))
    op.add_column("people", sa.Column("time_zone_changed_at", sa.DateTime(timezone=True)))
    # The worker fills them: an UPDATE here would keep everyone from opening while it changes a million rows.
    op.drop_index("ix_people_by_calendar_zone", "people")
    op.create_index("ix_people_by_zone", "people", ["portal_id", "zone", "id", "listed"])
    op.drop_index("ix_people_team", "people")
    op.create_index("ix_people_team", "people", ["portal_id", "zone", *TEAM])


def downgrade() -> None:
    op.drop_index("ix_people_team", "people")
    op.create_index("ix_people_team", "people", ["portal_id", "calendar_zone", *TEAM])
    op.drop_index("ix_people_by_zone", "people")
    op.create_index("ix_people_by_calendar_zone", "people", ["portal_id", "calendar_zone", "id", "listed"])
    op.drop_column("people", "time_zone_changed_at")
    for name in ("previous_time_zone", "zone_source", "zone"):
        op.drop_column("people", name)
    op.drop_column("portals", "work_end")
    op.drop_column("portals", "work_start")
