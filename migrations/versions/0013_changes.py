"""The history of settings and who changes them, recommended settings, saved groups, sort keys and main departments.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)
_TEAM = ("zone", "work_start", "work_end", "listed", "chain_state", "reminder_count", "view", "settings_at")
_SORT_KEY = sa.String(100).with_variant(sa.String(100, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "setting_changes",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("portal_id", _KEY, nullable=False),
        sa.Column("person_id", _KEY, nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("how", sa.String(16), nullable=False),
        sa.Column("change_set", sa.String(32)),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_setting_changes_portal_id_portals", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name="fk_setting_changes_person_id_people", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_setting_changes"),
    )
    op.create_index("ix_setting_changes_person_id_id", "setting_changes", ["person_id", "id"])
    op.create_index("ix_setting_changes_portal_id_id", "setting_changes", ["portal_id", "id"])
    op.create_index("ix_setting_changes_changed_at", "setting_changes", ["changed_at"])
    op.create_table(
        "saved_groups",
        sa.Column("id", _KEY, nullable=False),
        sa.Column("person_id", _KEY, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("user_ids", sa.JSON, nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name="fk_saved_groups_person_id_people", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_saved_groups"),
        sa.UniqueConstraint("person_id", "name", name="uq_saved_groups_person_id_name"),
    )
    op.add_column("chains", sa.Column("settings_lease_until", _TIME))
    op.add_column("snapshots", sa.Column("pending_change", sa.JSON))
    op.add_column("portals", sa.Column("recommended", sa.JSON))
    op.add_column("portals", sa.Column("recommended_by", sa.BigInteger))
    op.add_column("portals", sa.Column("recommended_at", _TIME))
    op.add_column("portals", sa.Column("steps_hidden_at", _TIME))
    # The next opening by an administrator finds out which new placements the portal has, and binds them.
    op.execute("UPDATE portals SET bindings_at = NULL")
    # The worker and the next list of employees fill these.
    for name in ("sort_key", "accented_sort_key"):
        op.add_column("people", sa.Column(name, _SORT_KEY, nullable=False, server_default=""))
        op.create_index(f"ix_people_by_{name}", "people", ["portal_id", name, "id", "listed"])
    op.add_column("people", sa.Column("main_department", sa.BigInteger))
    op.add_column("people", sa.Column("headships_at", _TIME))
    for name in ("zone", "main_department"):
        columns = ["portal_id", name, "sort_key", "id", "listed"]
        op.create_index(f"ix_people_by_{name}_sort_key", "people", columns)
    op.drop_index("ix_people_by_search", "people")
    op.drop_index("ix_people_by_zone", "people")
    op.drop_index("ix_people_team", "people")
    op.create_index("ix_people_team", "people", ["portal_id", *_TEAM, "time_zone", "calendar_zone"])


def downgrade() -> None:
    op.drop_index("ix_people_team", "people")
    op.create_index("ix_people_team", "people", ["portal_id", *_TEAM])
    op.create_index("ix_people_by_zone", "people", ["portal_id", "zone", "id", "listed"])
    op.create_index("ix_people_by_search", "people", ["portal_id", "search", "id", "listed"])
    for name in ("zone", "main_department"):
        op.drop_index(f"ix_people_by_{name}_sort_key", "people")
    op.drop_column("people", "headships_at")
    op.drop_column("people", "main_department")
    for name in ("sort_key", "accented_sort_key"):
        op.drop_index(f"ix_people_by_{name}", "people")
        op.drop_column("people", name)
    for column in ("steps_hidden_at", "recommended_at", "recommended_by", "recommended"):
        op.drop_column("portals", column)
    op.drop_column("snapshots", "pending_change")
    op.drop_column("chains", "settings_lease_until")
    op.drop_table("saved_groups")
    op.drop_table("setting_changes")
