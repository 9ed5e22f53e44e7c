"""Things are read page by page, and an organization knows what its epoch was some time ago."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0020"
branch_labels = None
depends_on = None

_PAGED = {
    "apis": "id",
    "applications": "id",
    "subscriptions": "id",
    "clients": "client_id",
    "api_keys": "sha256",
}


def upgrade() -> None:
    """Make the change."""
    for table, key in _PAGED.items():
        op.create_index(f"ix_{table}_page", table, ["organization_id", key])
    op.drop_index("ix_clients_organization_id", "clients")
    op.drop_index("ix_api_keys_organization", "api_keys")
    with op.batch_alter_table("organizations") as batch:
        batch.add_column(sa.Column("epoch_mark", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("epoch_marked_at", sa.BigInteger(), nullable=True))
