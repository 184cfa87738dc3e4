"""Portals, people, chains, snapshots and remembered calls.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "portals",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("member_id", sa.String(64), nullable=False),
        sa.Column("origin", sa.String(255), nullable=False),
        sa.Column("authorization_server", sa.String(255), nullable=False),
        sa.Column("app_code", sa.String(255)),
        sa.Column("app_status", sa.String(1), nullable=False),
        sa.Column("application_token", sa.Text),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("installed_at", MOMENT, nullable=False),
        sa.Column("proven_at", MOMENT, nullable=False),
        sa.Column("uninstalled_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_portals"),
        sa.UniqueConstraint("member_id", name="uq_portals_member_id"),
    )
    op.create_table(
        "people",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("portal_id", KEY, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("time_zone", sa.String(255), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("portal_id", "user_id", name="uq_people_portal_id_user_id"),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_people_portal_id_portals", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "chains",
        sa.Column("person_id", KEY, primary_key=True, autoincrement=False),
        sa.Column("access_token", sa.Text, nullable=False),
        sa.Column("refresh_token", sa.Text),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("renewed_at", MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("lease_owner", sa.String(32)),
        sa.Column("lease_until", MOMENT),
        sa.Column("renewal_failed_at", MOMENT),
        sa.Column("renewal_paused_until", MOMENT),
        sa.PrimaryKeyConstraint("person_id", name="pk_chains"),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name="fk_chains_person_id_people", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "snapshots",
        sa.Column("person_id", KEY, primary_key=True, autoincrement=False),
        sa.Column("settings", sa.JSON),
        sa.Column("account", sa.JSON),
        sa.Column("sections", sa.JSON),
        sa.Column("errors", sa.JSON, nullable=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.Column("settings_taken_at", MOMENT),
        sa.PrimaryKeyConstraint("person_id", name="pk_snapshots"),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name="fk_snapshots_person_id_people", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "api_calls",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("portal_id", KEY),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("origin", sa.String(255), nullable=False),
        sa.Column("method", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.String(64)),
        sa.Column("milliseconds", sa.Integer, nullable=False),
        sa.Column("sent", sa.Integer, nullable=False),
        sa.Column("received", sa.Integer, nullable=False),
        sa.Column("parameters", sa.JSON),
        sa.Column("answer", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_api_calls"),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_api_calls_portal_id_portals", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_api_calls_at", "api_calls", ["at"])
    op.create_index("ix_api_calls_portal_id_at", "api_calls", ["portal_id", "at"])


def downgrade() -> None:
    for table in ("api_calls", "snapshots", "chains", "people", "portals"):
        op.drop_table(table)
