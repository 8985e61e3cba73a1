"""The paths under /ops."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from api.documents import Files
from api.http_message import NOT_STORED, HttpError, Request, Response, json_response
from api.ops.letters import DeadLetterDesk, check_purge_request, ids_to_redrive
from api.ops.session import Sessions, check_same_origin
from api.routing import Handler, Route, json_body
from shopflow.errors import InvalidRequest

MAX_TOKEN_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class OperatorApi:
    """What only the operator may see and do. Requests that change something must not come from pages of other sites."""

    sessions: Sessions
    state: Callable[[], dict[str, Any]]
    desk: DeadLetterDesk
    services: Collection[str]
    files: Files

    @property
    def routes(self) -> list[Route]:
        letters = r"/ops/dead-letters/([^/]+)"
        reading, changing = [self.sessions.check], [check_same_origin, self.sessions.check]
        return [
            Route("GET", "/ops", operators_page("ops.html", self.sessions, self.files)),
            Route("POST", "/ops/session", self._sign_in, takes_json=True, checks=[check_same_origin]),
            Route("DELETE", "/ops/session", self._sign_out, checks=[check_same_origin]),
            Route("GET", "/ops/state", self._get_state, checks=reading),
            Route("GET", letters, self._get_letters, checks=reading),
            Route("POST", letters + "/redrive", self._redrive, takes_json=True, checks=changing),
            Route("POST", letters + "/purge", self._purge, takes_json=True, checks=changing),
        ]

    def _sign_in(self, request: Request) -> Response:
        body = json_body(request)
        token = body.get("token") if isinstance(body, dict) and len(body) == 1 else None
        if not isinstance(token, str) or not 1 <= len(token) <= MAX_TOKEN_CHARACTERS:
            raise InvalidRequest(f'body: must be {{"token": "…"}}, of up to {MAX_TOKEN_CHARACTERS} characters')
        return Response(HTTPStatus.NO_CONTENT, headers={**NOT_STORED, "Set-Cookie": self.sessions.sign_in(token)})

    def _sign_out(self, _: Request) -> Response:
        return Response(HTTPStatus.NO_CONTENT, headers={**NOT_STORED, "Set-Cookie": self.sessions.sign_out()})

    def _get_state(self, _: Request) -> Response:
        return json_response(HTTPStatus.OK, self.state())

    def _get_letters(self, _: Request, service: str) -> Response:
        self._check_service(service)
        return json_response(HTTPStatus.OK, self.desk.look(service))

    def _redrive(self, request: Request, service: str) -> Response:
        self._check_service(service)
        return json_response(HTTPStatus.OK, self.desk.redrive(service, ids_to_redrive(json_body(request))))

    def _purge(self, request: Request, service: str) -> Response:
        self._check_service(service)
        check_purge_request(json_body(request))
        return json_response(HTTPStatus.OK, self.desk.purge(service))

    def _check_service(self, name: str) -> None:
        if name not in self.services:
            raise HttpError(HTTPStatus.NOT_FOUND, f"no such service has a queue: {name}")


def operators_page(name: str, sessions: Sessions, files: Files) -> Handler:
    """The page of that name for the operator. Everybody else gets the page to sign in, which comes back to it."""
    page, sign_in_page = files.page(name), files.page("sign-in.html")

    def answer(request: Request) -> Response:
        try:
            sessions.check(request.head)
        except HttpError as refusal:
            if refusal.status is HTTPStatus.UNAUTHORIZED and sessions.enabled:
                return sign_in_page.answer_private(request, refusal.status, refusal.headers)
            raise
        return page.answer_private(request)

    return answer
