"""Every organization has the built-in roles; `admin` of `default` has what is the installation's too."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_organizations = sa.table("organizations", sa.column("id"), sa.column("name"))
_roles = sa.table(
    "roles",
    sa.column("id"),
    sa.column("organization_id"),
    sa.column("name"),
    sa.column("permissions", sa.JSON),
)
_API = "/permission/admin/manage/api"
_BUILT_IN = {
    "everyone": [],
    "publisher": [_API],
    "subscriber": [f"{_API}/view", f"{_API}/plan/view", f"{_API}/application", f"{_API}/subscription"],
}


def upgrade() -> None:
    """Roles of these names that are there stay as they are."""
    connection = op.get_bind()
    there = {(row.organization_id, row.name) for row in connection.execute(sa.select(_roles))}
    organizations = connection.execute(sa.select(_organizations)).all()
    for organization in organizations:
        for name, permissions in _BUILT_IN.items():
            if (organization.id, name) not in there:
                row = {"id": str(uuid.uuid4()), "organization_id": organization.id, "name": name}
                connection.execute(sa.insert(_roles).values(**row, permissions=permissions))
    default = [organization.id for organization in organizations if organization.name == "default"]
    connection.execute(
        sa.update(_roles)
        .where(_roles.c.name == "admin", _roles.c.organization_id.in_(default))
        .values(permissions=["/permission/admin", "/permission/protected"])
    )


def downgrade() -> None:
    """Roles may have members by now: they stay."""
