"""The paths under /ops."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from api.documents import Files
from api.http_message import NOT_STORED, HttpError, Request, Response, json_response
from api.ops.letters import DeadLetterDesk, RedriveRequest, check_purge_request
from api.ops.session import Sessions, check_same_origin
from api.ops.state import State
from api.routing import Handler, Route, json_body
from shopflow.catalog import Catalog
from shopflow.errors import InvalidRequest

MAX_TOKEN_CHARACTERS = 512


class OperatorApi:
    """What only the operator may see and do. Requests that change something must not come from pages of other sites."""

    def __init__(self, sessions: Sessions, state: State, desk: DeadLetterDesk, catalog: Catalog, files: Files) -> None:
        self._sessions = sessions
        self._state = state
        self._desk = desk
        self._services = frozenset(service.name for service in catalog.consumers)
        self._page = operators_page("ops.html", sessions, files)

    @property
    def routes(self) -> list[Route]:
        letters = r"/ops/dead-letters/([^/]+)"
        return [
            Route("GET", "/ops", self._page),
            Route("POST", "/ops/session", same_origin(self._sign_in), takes_json=True),
            Route("DELETE", "/ops/session", same_origin(self._sign_out)),
            Route("GET", "/ops/state", operator_only(self._sessions, self._get_state)),
            Route("GET", letters, operator_only(self._sessions, self._get_letters)),
            Route(
                "POST", letters + "/redrive", same_origin(operator_only(self._sessions, self._redrive)), takes_json=True
            ),
            Route("POST", letters + "/purge", same_origin(operator_only(self._sessions, self._purge)), takes_json=True),
        ]

    def _sign_in(self, request: Request) -> Response:
        body = json_body(request)
        token = body.get("token") if isinstance(body, dict) and len(body) == 1 else None
        if not isinstance(token, str) or not 1 <= len(token) <= MAX_TOKEN_CHARACTERS:
            raise InvalidRequest(f'body: must be {{"token": "…"}}, of up to {MAX_TOKEN_CHARACTERS} characters')
        return Response(HTTPStatus.NO_CONTENT, headers={**NOT_STORED, "Set-Cookie": self._sessions.sign_in(token)})

    def _sign_out(self, _: Request) -> Response:
        return Response(HTTPStatus.NO_CONTENT, headers={**NOT_STORED, "Set-Cookie": self._sessions.sign_out()})

    def _get_state(self, _: Request) -> Response:
        return json_response(HTTPStatus.OK, self._state.view())

    def _get_letters(self, _: Request, service: str) -> Response:
        return json_response(HTTPStatus.OK, self._desk.look(self._known(service)))

    def _redrive(self, request: Request, service: str) -> Response:
        known, wanted = self._known(service), RedriveRequest.from_json(json_body(request))
        return json_response(HTTPStatus.OK, self._desk.redrive(known, wanted))

    def _purge(self, request: Request, service: str) -> Response:
        known = self._known(service)
        check_purge_request(json_body(request))
        return json_response(HTTPStatus.OK, self._desk.purge(known))

    def _known(self, service: str) -> str:
        if service not in self._services:
            raise HttpError(HTTPStatus.NOT_FOUND, f"no such service has a queue: {service}")
        return service


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


def operator_only(sessions: Sessions, handler: Handler) -> Handler:
    """``handler`` behind a check that the operator sent the request."""

    def answer(request: Request, *arguments: str) -> Response:
        sessions.check(request.head)
        return handler(request, *arguments)

    return answer


def same_origin(handler: Handler) -> Handler:
    def answer(request: Request, *arguments: Any) -> Response:
        check_same_origin(request.head)
        return handler(request, *arguments)

    return answer
