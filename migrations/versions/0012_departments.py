"""Departments, who belongs to them, and the choice that their heads may see the team.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "departments",
        sa.Column("portal_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("department_id", sa.BigInteger, nullable=False),
        sa.Column("parent_id", sa.BigInteger),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("head_id", sa.BigInteger),
        sa.Column("sort", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["portals.id"], name="fk_departments_portal_id_portals", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("portal_id", "department_id", name="pk_departments"),
    )
    op.create_index("ix_departments_portal_id_parent_id", "departments", ["portal_id", "parent_id"])
    op.create_index("ix_departments_portal_id_head_id", "departments", ["portal_id", "head_id"])
    op.create_table(
        "department_members",
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("department_id", sa.BigInteger, nullable=False),
        sa.Column("portal_id", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name="fk_department_members_person_id_people", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", "department_id", name="pk_department_members"),
    )
    op.create_index(
        "ix_department_members_department",
        "department_members",
        ["portal_id", "department_id", "person_id"],
    )
    op.add_column("portals", sa.Column("heads_allowed_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("portals", "heads_allowed_at")
    op.drop_table("department_members")
    op.drop_table("departments")
