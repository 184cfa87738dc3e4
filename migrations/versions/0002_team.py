"""The team: the list of employees, runs, buckets, chores, and what Team counts by.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)

SORTS = (
    ("search",),
    ("view",),
    ("work_start", "work_end"),
    ("calendar_zone",),
    ("reminder_count",),
    ("settings_at",),
)
UNFINISHED = sa.text("finished_at IS NULL")


def upgrade() -> None:
    for column in _of_portals():
        op.add_column("portals", column)
    # In place: rebuilding the table on SQLite would drop it, and with it by cascade every chain.
    for column in _of_people():
        op.add_column("people", column)
    _allow_never_opened()
    # What Team counts by is copied over; the rest is filled in by the worker (facts_version 0).
    op.execute(
        "UPDATE people SET chain_state = (SELECT state FROM chains WHERE person_id = people.id),"
        " settings_at = (SELECT settings_taken_at FROM snapshots WHERE person_id = people.id),"
        " search = lower(name)"
    )
    for by in SORTS:
        op.create_index(f"ix_people_by_{'_'.join(by)}", "people", ["portal_id", *by, "id", "listed"])
    op.create_index("ix_people_portal_id_id", "people", ["portal_id", "id"])
    op.create_index(
        "ix_people_team",
        "people",
        ["portal_id", "calendar_zone", "work_start", "work_end", "listed", "chain_state"]
        + ["reminder_count", "view", "settings_at"],
    )
    op.create_index(
        "ix_people_habits", "people", ["portal_id", "habits", "time_zone", "calendar_zone", "listed"]
    )
    op.create_table(
        "buckets",
        sa.Column("portal_id", KEY, primary_key=True, autoincrement=False),
        sa.Column("level", sa.Float, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("rate", sa.Float, nullable=False),
        sa.Column("pauses", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("portal_id", name="pk_buckets"),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_buckets_portal_id_portals", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "runs",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("portal_id", KEY, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("asked_by", sa.BigInteger),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.String(64)),
        sa.Column("directory_read", sa.Boolean, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.Column("lease_owner", sa.String(32)),
        sa.Column("lease_until", MOMENT),
        sa.Column("heartbeat_at", MOMENT),
        sa.Column("next_slice_at", MOMENT, nullable=False),
        sa.Column("rung_until", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_runs_portal_id_portals", ondelete="CASCADE"
        ),
    )
    op.create_index(
        "uq_runs_unfinished",
        "runs",
        ["portal_id"],
        unique=True,
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    )
    op.create_index("ix_runs_finished_at_next_slice_at", "runs", ["finished_at", "next_slice_at"])
    op.create_index("ix_runs_portal_id_created_at", "runs", ["portal_id", "created_at"])
    op.create_table(
        "chores",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_chores"),
    )


def downgrade() -> None:
    for table in ("chores", "runs", "buckets"):
        op.drop_table(table)
    op.drop_index("ix_people_habits", "people")
    op.drop_index("ix_people_team", "people")
    op.drop_index("ix_people_portal_id_id", "people")
    for by in SORTS:
        op.drop_index(f"ix_people_by_{'_'.join(by)}", "people")
    # People who never opened the application are unknown to the schema before.
    op.execute("DELETE FROM people WHERE opened_at IS NULL")
    _require_opened()
    for column in reversed(_of_people()):
        op.drop_column("people", column.name)
    for column in reversed(_of_portals()):
        op.drop_column("portals", column.name)


def _allow_never_opened() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("people", "opened_at", nullable=True)
        return
    op.execute("ALTER TABLE people RENAME COLUMN opened_at TO opened_before")
    op.execute("ALTER TABLE people ADD COLUMN opened_at DATETIME")
    op.execute("UPDATE people SET opened_at = opened_before")
    op.execute("ALTER TABLE people DROP COLUMN opened_before")


def _require_opened() -> None:
    # SQLite cannot take it back in place, and nothing goes by it: the code before never stores an empty one.
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("people", "opened_at", nullable=False)


def _of_portals() -> list[sa.Column]:
    return [
        sa.Column("team_open", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("team_switched_by", sa.BigInteger),
        sa.Column("team_switched_at", MOMENT),
        sa.Column("directory_at", MOMENT),
        sa.Column("directory_error", sa.String(64)),
        sa.Column("next_run_at", MOMENT),
    ]


def _of_people() -> list[sa.Column]:
    return [
        sa.Column("listed", sa.Boolean),
        sa.Column("position", sa.String(255), nullable=False, server_default=""),
        sa.Column("photo", sa.Text, nullable=False, server_default=""),
        sa.Column("departments", sa.JSON),
        sa.Column("search", sa.Text, nullable=False, server_default=""),
        sa.Column("problem", sa.String(64)),
        sa.Column("chain_state", sa.String(16)),
        sa.Column("view", sa.String(64), nullable=False, server_default=""),
        sa.Column("work_start", sa.Integer),
        sa.Column("work_end", sa.Integer),
        sa.Column("calendar_zone", sa.String(64), nullable=False, server_default=""),
        sa.Column("reminders", sa.Text, nullable=False, server_default=""),
        sa.Column("reminder_count", sa.Integer),
        sa.Column("habits", sa.String(320), nullable=False, server_default=""),
        sa.Column("settings_at", MOMENT),
        sa.Column("facts_version", sa.Integer, nullable=False, server_default=sa.text("0")),
    ]
