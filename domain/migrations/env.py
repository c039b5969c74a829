"""What Alembic runs to migrate: all revisions in the one transaction it is handed."""

from alembic import context
from sqlmodel import SQLModel

from domain import tables  # noqa: F401  # fills SQLModel.metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    on_version_apply=context.config.attributes["applied"],
)
with context.begin_transaction():
    context.run_migrations()
