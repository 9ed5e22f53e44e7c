"""A refusal with every complaint, as JSON."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from ostiary.declarative.complaints import Refused
from ostiary.declarative.wire import complaints_to_wire
from ostiary.foundation.web import request_id


def refusal(request: Request, refused: Refused, status: int, message: str) -> JSONResponse:
    """The answer that says everything that is wrong."""
    body = {
        "code": str(status),
        "message": message,
        "description": "; ".join(map(str, refused.complaints[:10])),
        "traceId": request_id(request),
        "complaints": complaints_to_wire(refused.complaints),
    }
    return JSONResponse(body, status)
