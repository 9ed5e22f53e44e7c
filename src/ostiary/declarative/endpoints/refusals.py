"""A refusal with every complaint."""

from ostiary.declarative.complaints import Refused
from ostiary.declarative.wire import complaints_to_wire
from ostiary.foundation.problem import Problem


def refusal(refused: Refused, status: int, message: str) -> Problem:
    """The answer that says everything that is wrong."""
    description = "; ".join(map(str, refused.complaints[:10]))
    complaints = complaints_to_wire(refused.complaints)
    return Problem(status, str(status), message, description, more={"complaints": complaints})
