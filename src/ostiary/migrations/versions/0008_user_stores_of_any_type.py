"""User stores of any type: what all have, what their type has, and several secrets."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_STORES = sa.table(
    "user_stores",
    sa.column("id", sa.String()),
    sa.column("options", sa.JSON()),
    sa.column("settings", sa.JSON()),
    sa.column("sealed", sa.JSON()),
    sa.column("sealed_password", sa.String()),
)


def upgrade() -> None:
    """Make the change."""
    with op.batch_alter_table("user_stores") as table:
        table.add_column(sa.Column("options", sa.JSON(), nullable=True))
        table.add_column(sa.Column("sealed", sa.JSON(), nullable=True))
    connection = op.get_bind()
    for row in connection.execute(sa.select(_STORES)).all():
        connection.execute(sa.update(_STORES).where(_STORES.c.id == row.id).values(**_moved(row)))
    with op.batch_alter_table("user_stores") as table:
        table.alter_column("options", existing_type=sa.JSON(), nullable=False)
        table.alter_column("sealed", existing_type=sa.JSON(), nullable=False)
        table.drop_column("sealed_password")


def _moved(row: Any) -> dict[str, Any]:
    """All stores so far are REST services with at most one secret."""
    options = {key: value for key, value in row.settings.items() if key not in ("url", "basic_username")}
    settings: dict[str, Any] = {"url": row.settings["url"]}
    if row.settings["basic_username"] is not None:
        settings["auth"] = {"basic": {"username": row.settings["basic_username"]}}
    sealed = {} if row.sealed_password is None else {"auth.basic.password": row.sealed_password}
    return {"options": options, "settings": settings, "sealed": sealed}
