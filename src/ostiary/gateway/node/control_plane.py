"""The node's way to the control plane: HTTP over the workers' unix sockets or TLS, any one that answers.

One that is down is normal: the next one is asked at once. Only when none answers is the control plane down,
which is another thing than a refusal.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx2
import orjson
from pydantic import SecretStr

from ostiary.gateway.node.identity import NamedTransport
from ostiary.gateway.node.transport import Transport
from ostiary.gateway.plan import TIME_HEADER, BadPlan, PlanAnswer, content_digest
from ostiary.gateway.settings import GRACE
from ostiary.gateway.told import NotTold, ToldClaims

_PREFIX: Final = "/internal/gateway/v1"
_LOCAL: Final = "http://control-plane"
_EXCHANGE_WITHIN: Final = 1.0
_GRACE: Final = GRACE.total_seconds()
"""Seconds a long poll may take beyond its wait."""
_COMPLETE_WITHIN: Final = 120.0
"""Seconds the complete plan may take: it is drawn whole, some 35 µs of processor for each subscription."""
_CONNECT_WITHIN: Final = 2.0
"""Seconds until a machine that does not answer at all is passed over."""


class ControlPlaneDown(Exception):
    """No worker gave a usable answer."""


class NotAdmitted(ControlPlaneDown):
    """The control plane does not know this node's certificate: it was removed."""


class PlanTooOld(Exception):
    """The changes since the node's number are no longer known one by one."""


class ControlPlane:
    """Asks the workers, beginning with the one that answered last."""

    def __init__(self, workers: Sequence[httpx2.AsyncBaseTransport], credential: SecretStr) -> None:
        """Reach workers that know the node by a credential."""
        self.told_time: float | None = None
        """When the last answer about the plan was given, by the control plane's clock."""
        headers = {"Authorization": f"Bearer {credential.get_secret_value()}"}
        self._workers = [
            httpx2.AsyncClient(base_url=_LOCAL, transport=worker, headers=headers, trust_env=False)
            for worker in workers
        ]

    @classmethod
    def over(cls, sockets: Sequence[Path], credential: SecretStr) -> ControlPlane:
        """Reach the workers over their unix sockets."""
        return cls([Transport(socket=socket) for socket in sockets], credential)

    @classmethod
    def at(cls, urls: Sequence[str], context: ssl.SSLContext) -> ControlPlane:
        """Reach control planes on other machines, which know the node by its certificate."""
        found = cls((), SecretStr(""))
        found._workers = [_over_tls(url, context) for url in urls]
        return found

    async def trust(self, context: ssl.SSLContext) -> None:
        """Use another certificate from now on; connections with the old one end with what they are doing."""
        before = self._workers
        self._workers = [_over_tls(str(worker.base_url), context) for worker in before]
        for worker in before:
            await worker.aclose()

    async def renew(self, request: bytes) -> Mapping[str, Any]:
        """Have the node certified again.

        Raises:
            ControlPlaneDown: nobody did.
        """
        answer = await self._ask("POST", "/node/certificate", _GRACE, json={"request": request.decode()})
        made: Mapping[str, Any] = answer.json()
        return made

    async def plan(
        self, after: int, wait: float, within: float | None = None, page: str = "", *, seen: int
    ) -> PlanAnswer:
        """Ask for what changed after `after`; the answer may take `wait` + `within` seconds.

        `seen` is the number of the plan in use: for keys of access tokens that are in it nobody waits for us.

        After 0 it is a page of everything, the first unless `page` names another. A control plane of version
        0.1 knows no pages and answers with everything: without `within` it gets as long as that takes.

        Raises:
            PlanTooOld: ask for everything.
            BadPlan: the answer is no plan.
            ControlPlaneDown: nobody answered.
        """
        query = {"after": str(after), "wait": str(int(wait)), "page": page, "seen": str(seen)}
        if within is None:
            within = _GRACE if after else _COMPLETE_WITHIN
        response = await self._ask("GET", "/plan", wait + within, params=query, refused=(400, 410))
        if response.status_code in (400, 410):
            raise PlanTooOld
        with suppress(KeyError, ValueError):
            self.told_time = float(response.headers[TIME_HEADER])
        if response.headers.get("content-digest") != content_digest(response.content):
            raise BadPlan("the answer is not what its digest says")
        try:
            return PlanAnswer.from_wire(orjson.loads(response.content))
        except ValueError as error:
            raise BadPlan(f"the answer is no plan: {error}") from error

    async def introspect(self, token: SecretStr, within: float) -> Mapping[str, Any] | None:
        """Ask what an opaque token says; `None` when it is not, or no longer, valid.

        Raises:
            ControlPlaneDown: nobody could tell.
        """
        question = {"token": token.get_secret_value()}
        response = await self._ask("POST", "/introspect", within, json=question, refused=(400,))
        answer = response.json() if response.status_code == 200 else {}
        return answer if answer.get("active") is True else None

    async def claims(
        self, organization_id: str, api_id: str, subject: str, within: float
    ) -> ToldClaims | None:
        """Ask which claims of a user the API's backend is told; `None` where there is no such API.

        Raises:
            ControlPlaneDown: nobody could tell, or what was told cannot be.
        """
        question = {"organization_id": organization_id, "api_id": api_id, "subject": subject}
        response = await self._ask("POST", "/claims", within, json=question, refused=(404,))
        if response.status_code == 404:
            return None
        try:
            return ToldClaims.from_wire(response.content)
        except NotTold as error:
            raise ControlPlaneDown(str(error)) from error

    async def register_keys(self, keys: Sequence[Mapping[str, Any]]) -> bool:
        """Have exactly these public keys published as the node's; says whether no node's were before.

        A control plane of version 0.1 does not say so.

        Raises:
            ControlPlaneDown: nobody confirmed it.
        """
        response = await self._ask("PUT", "/node/keys", _GRACE, json={"keys": list(keys)})
        return response.status_code == 200 and response.json().get("first") is True

    async def tell_explanations(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Hand over why calls were refused. Told twice is told once.

        Raises:
            ControlPlaneDown: nobody took them.
        """
        await self._ask("POST", "/explanations", _GRACE, refused=(400,), json={"explanations": list(batch)})

    async def exchange_counts(
        self, windows: Sequence[str], counts: Mapping[str, int] | None
    ) -> tuple[int, Mapping[str, int]]:
        """Say what was counted here in the open windows; returns how many nodes there are and others' sums.

        Raises:
            ControlPlaneDown: nobody answered.
        """
        body = {"windows": list(windows), "counts": None if counts is None else dict(counts)}
        answer = (await self._ask("POST", "/counts", _EXCHANGE_WITHIN, json=body)).json()
        return int(answer["nodes"]), answer["counts"]

    async def report_usage(self, stream: str, sequence: int, usage: Sequence[Mapping[str, Any]]) -> bool:
        """Have this usage counted; the same number again changes nothing. `False`: it is not understood.

        Raises:
            ControlPlaneDown: nobody confirmed it.
        """
        body = {"stream": stream, "sequence": sequence, "usage": list(usage)}
        response = await self._ask("POST", "/usage", _GRACE, json=body, refused=(400,))
        return response.is_success

    async def close(self) -> None:
        """Close every connection."""
        for worker in self._workers:
            await worker.aclose()

    async def _ask(
        self, method: str, path: str, within: float, refused: tuple[int, ...] = (), **parts: Any
    ) -> httpx2.Response:
        reasons = []
        for worker in tuple(self._workers):
            try:
                timeout = httpx2.Timeout(within, connect=min(within, _CONNECT_WITHIN))
                response = await worker.request(method, _PREFIX + path, timeout=timeout, **parts)
            except httpx2.HTTPError as error:
                reasons.append(type(error).__name__)
                if isinstance(error, httpx2.ReadTimeout):
                    break  # it has had the time; another one would have to be fast
            else:
                if response.is_success or response.status_code in refused:
                    self._prefer(worker)
                    return response
                reasons.append(str(response.status_code))
        if "401" in reasons:
            raise NotAdmitted("this node is not known there (any more)")
        raise ControlPlaneDown(", ".join(reasons) or "no worker is known")

    def _prefer(self, worker: httpx2.AsyncClient) -> None:
        if self._workers[0] is not worker:
            self._workers.remove(worker)
            self._workers.insert(0, worker)


def _over_tls(url: str, context: ssl.SSLContext) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, transport=NamedTransport(context), trust_env=False)
