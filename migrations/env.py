"""Alembic's entry: migrates over the connection it is handed, in its transaction."""

from alembic import context

from dashboard import models  # noqa: F401  # fills the metadata
from dashboard.core.database import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
