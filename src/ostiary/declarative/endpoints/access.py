"""Who may apply and export organization files.

Under `/t/{organization}` an organization has to do with its own file. Without it the caller is of the
default organization, whose administrators run the installation: theirs may be any organization's.
"""

from starlette.requests import Request

from ostiary.foundation.problem import Problem
from ostiary.permissions import PROTECTED, Escalation, check_holds, needs, organization, principal

ACCESS = needs("/permission/admin", "internal_organization_apply")


def refuse_escalation(request: Request) -> None:
    """At `default` a file may be any organization's: that is the whole installation's to give.

    Raises:
        Problem: the caller does not hold the installation's permissions.
    """
    if organization(request).is_default:
        try:
            check_holds(principal(request), [PROTECTED])
        except Escalation as error:
            raise Problem(403, "403", "Forbidden", str(error)) from error
