"""The paths under /ops."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from api.documents import NOT_STORED, Files
from api.http_message import HttpError, Request, Response, json_response
from api.ops.dead_letters import MAX_REDRIVEN, DeadLetterDesk, Wish
from api.ops.origin import check_same_origin
from api.ops.session import Sessions
from api.ops.state import State
from api.routing import Handler, Route, json_body, route
from shopflow.catalog import Catalog
from shopflow.errors import InvalidRequest

MAX_TOKEN_CHARACTERS = 512
MAX_ID_CHARACTERS = 100
WOULD_FAIL = {"wouldFail": True}


class OperatorApi:
    """What only the operator may see and do. Whatever changes something is refused to pages of other sites."""

    def __init__(self, sessions: Sessions, state: State, desk: DeadLetterDesk, catalog: Catalog, files: Files) -> None:
        self._sessions = sessions
        self._state = state
        self._desk = desk
        self._services = frozenset(service.name for service in catalog.consumers)
        self._page, self._sign_in_page = files.page("ops.html"), files.page("sign-in.html")

    @property
    def routes(self) -> list[Route]:
        letters = r"/ops/dead-letters/([^/]+)"
        return [
            route("GET", "/ops", self._get_page),
            route("POST", "/ops/session", _same_origin(self._sign_in), takes_json=True),
            route("DELETE", "/ops/session", _same_origin(self._sign_out)),
            route("GET", "/ops/state", self._operators(self._get_state)),
            route("GET", letters, self._operators(self._get_letters)),
            route("POST", letters + "/redrive", _same_origin(self._operators(self._redrive)), takes_json=True),
            route("POST", letters + "/purge", _same_origin(self._operators(self._purge)), takes_json=True),
        ]

    def _operators(self, handler: Handler) -> Handler:
        def answer(request: Request, *arguments: str) -> Response:
            self._sessions.check(request.head)
            return handler(request, *arguments)

        return answer

    def _get_page(self, request: Request) -> Response:
        try:
            self._sessions.check(request.head)
        except HttpError as refusal:
            if refusal.status is HTTPStatus.UNAUTHORIZED and self._sessions.on:
                return self._sign_in_page.answer_private(request, refusal.status, refusal.headers)
            raise
        return self._page.answer_private(request)

    def _sign_in(self, request: Request) -> Response:
        cookie = self._sessions.sign_in(_token(json_body(request)))
        return Response(HTTPStatus.NO_CONTENT, headers={**NOT_STORED, "Set-Cookie": cookie})

    def _sign_out(self, _: Request) -> Response:
        return Response(HTTPStatus.NO_CONTENT, headers={**NOT_STORED, "Set-Cookie": self._sessions.sign_out()})

    def _get_state(self, _: Request) -> Response:
        return json_response(HTTPStatus.OK, self._state.view())

    def _get_letters(self, _: Request, service: str) -> Response:
        return json_response(HTTPStatus.OK, self._desk.look(self._known(service)))

    def _redrive(self, request: Request, service: str) -> Response:
        known, wish = self._known(service), _wish(json_body(request))
        return json_response(HTTPStatus.OK, self._desk.redrive(known, wish))

    def _purge(self, request: Request, service: str) -> Response:
        known, body = self._known(service), json_body(request)
        if body != WOULD_FAIL or body["wouldFail"] is not True:
            raise InvalidRequest('body: must be {"wouldFail": true}')
        return json_response(HTTPStatus.OK, self._desk.purge(known))

    def _known(self, service: str) -> str:
        if service not in self._services:
            raise HttpError(HTTPStatus.NOT_FOUND, f"no such service has a queue: {service}")
        return service


def _same_origin(handler: Handler) -> Handler:
    def answer(request: Request, *arguments: str) -> Response:
        check_same_origin(request.head)
        return handler(request, *arguments)

    return answer


def _token(body: Any) -> str:
    token = body.get("token") if isinstance(body, dict) and len(body) == 1 else None
    if not isinstance(token, str) or not 1 <= len(token) <= MAX_TOKEN_CHARACTERS:
        raise InvalidRequest(f'body: must be {{"token": "…"}}, of up to {MAX_TOKEN_CHARACTERS} characters')
    return token


def _wish(body: Any) -> Wish:
    if body == {"all": True} and body["all"] is True:
        return Wish(None)
    ids = body.get("messageIds") if isinstance(body, dict) and len(body) == 1 else None
    if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_REDRIVEN or not all(map(_is_id, ids)):
        raise InvalidRequest(f'body: must be {{"messageIds": ["…"]}}, of up to {MAX_REDRIVEN}, or {{"all": true}}')
    return Wish(frozenset(ids))


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_ID_CHARACTERS
