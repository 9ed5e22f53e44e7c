"""Builders of API management's values."""

from dataclasses import replace
from typing import Any

from ostiary.apim import API, Backend, LifecycleState, Resource

ORGANIZATION = "11111111-1111-4111-8111-111111111111"


def an_api(**changes: Any) -> API:
    """A published API in front of one backend."""
    api = API(
        id="22222222-2222-4222-8222-222222222222",
        organization_id=ORGANIZATION,
        name="Orders",
        context="/orders",
        version="1.0.0",
        state=LifecycleState.PUBLISHED,
        backend=Backend(("http://127.0.0.1:9701",)),
        plans=("Gold",),
        resources=(Resource("GET", "/"), Resource("GET", "/{id}")),
    )
    return replace(api, **changes)
