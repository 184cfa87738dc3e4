"""Repair databases that early forms of 0001 and 0002 made: those two were changed after they had landed.

A database that the present forms made is left as it is.

Revision ID: 0007
Revises: 0006
"""

import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
EPOCH = sa.text("'1970-01-01 00:00:00'")

INDEXES = {
    "ix_people_by_search": ("search", "id", "listed"),
    "ix_people_by_view": ("view", "id", "listed"),
    "ix_people_by_work_start_work_end": ("work_start", "work_end", "id", "listed"),
    "ix_people_by_calendar_zone": ("calendar_zone", "id", "listed"),
    "ix_people_by_reminder_count": ("reminder_count", "id", "listed"),
    "ix_people_by_settings_at": ("settings_at", "id", "listed"),
    "ix_people_portal_id_id": ("id",),
    "ix_people_habits": ("habits", "time_zone", "calendar_zone", "listed"),
}
OBSOLETE_INDEXES = (
    "ix_people_portal_id_search",
    "ix_people_portal_id_search_listed",
    "ix_people_portal_id_settings_at",
)
CHILDREN = ("chains", "snapshots")


def upgrade() -> None:
    if _lacks("portals", "proven_at"):
        # SQLite adds a column that must be told only with a default; Postgres takes it away again.
        op.add_column("portals", sa.Column("proven_at", MOMENT, nullable=False, server_default=EPOCH))
        op.execute("UPDATE portals SET proven_at = installed_at")
        if op.get_bind().dialect.name != "sqlite":
            op.alter_column("portals", "proven_at", server_default=None)
    if _lacks("chains", "renewal_paused_until"):
        op.add_column("chains", sa.Column("renewal_paused_until", MOMENT))
    if _lacks("runs", "rung_until"):
        op.add_column("runs", sa.Column("rung_until", MOMENT))
    if _lacks("people", "habits"):
        op.add_column("people", sa.Column("habits", sa.String(320), nullable=False, server_default=""))
        # The worker fills it in from what is stored.
        op.execute("UPDATE people SET facts_version = 0")
    if not _lacks("people", "switches"):
        op.drop_column("people", "switches")
    for name in OBSOLETE_INDEXES:
        op.drop_index(name, "people", if_exists=True)
    for name, columns in INDEXES.items():
        op.create_index(name, "people", ["portal_id", *columns], if_not_exists=True)
    if op.get_bind().dialect.name == "sqlite":
        _count_people_on()


def downgrade() -> None:
    # Nothing is taken back: 0006 is the same schema, whole.
    pass


def _lacks(table: str, column: str) -> bool:
    return column not in {each["name"] for each in sa.inspect(op.get_bind()).get_columns(table)}


def _count_people_on() -> None:
    """Have SQLite never give a person's number twice, which it decides when the table is made."""
    (definition,) = _definitions("table", "people")
    if "AUTOINCREMENT" in definition:
        return
    indexes = _definitions("index", "people")
    children = {child: _definitions("table", child)[0] for child in CHILDREN}
    # By cascade, dropping the table would empty those that refer to it: they are put aside.
    for child in CHILDREN:
        op.execute(f"CREATE TABLE {child}_aside AS SELECT * FROM {child}")
        op.drop_table(child)
    anew = re.sub(r'CREATE TABLE "?people"?', "CREATE TABLE people_anew", definition)
    op.execute(sa.text(anew.replace("PRIMARY KEY (id)", "PRIMARY KEY (id AUTOINCREMENT)")))
    op.execute("INSERT INTO people_anew SELECT * FROM people")
    op.drop_table("people")
    op.execute("ALTER TABLE people_anew RENAME TO people")
    for definition in (*indexes, *children.values()):
        op.execute(sa.text(definition))
    for child in CHILDREN:
        op.execute(f"INSERT INTO {child} SELECT * FROM {child}_aside")
        op.drop_table(f"{child}_aside")


def _definitions(kind: str, table: str) -> list[str]:
    """Return how SQLite was told to make a table, or its indexes."""
    found = sa.text("SELECT sql FROM sqlite_master WHERE type = :kind AND tbl_name = :name AND sql IS NOT NULL")
    return list(op.get_bind().scalars(found, {"kind": kind, "name": table}))
