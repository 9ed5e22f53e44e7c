"""The organization that an open URL names."""

from starlette.requests import Request

from ostiary.foundation.problem import Problem
from ostiary.oauth.authorization_server import AuthorizationServer
from ostiary.organizations import DEFAULT_ORGANIZATION, Organization, recall


async def organization_of(server: AuthorizationServer, request: Request) -> Organization:
    """The organization of the URL; the default one where it names none.

    Raises:
        Problem: 404, there is none of that name.
    """
    name = request.path_params.get("organization", DEFAULT_ORGANIZATION)
    found = await recall(server.database, name)
    if found is None:
        raise Problem(404, "404", "Not Found", "there is no such organization")
    return found
