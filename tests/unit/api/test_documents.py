"""The pages, the catalogue and the OpenAPI document: cached by the client, and compressed."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPMessage

import pytest

from api.service import STATIC
from tests.unit.api.shop import Client
from tests.unit.api.test_http import exchange, get, statuses


def fetch(client: Client, path: str, headers: Mapping[str, str]) -> tuple[int, HTTPMessage, bytes]:
    with closing(client.connect()) as connection:
        connection.request("GET", path, headers=dict(headers))
        with connection.getresponse() as response:
            return response.status, response.headers, response.read()


@pytest.mark.parametrize("path", ["/", "/catalog", "/openapi.json", "/static/app.js", "/static/style.css"])
def test_a_document_is_revalidated_and_not_sent_again_and_compressed_for_those_who_accept_it(
    client: Client, path: str
) -> None:
    status, headers, body = fetch(client, path, {"Accept-Encoding": "identity"})
    assert (status, headers["Cache-Control"], headers["Vary"]) == (200, "no-cache", "Accept-Encoding")
    for known in (headers["ETag"], f'"other", {headers["ETag"]}', f"W/{headers['ETag']}", "*"):
        again, its_headers, nothing = fetch(client, path, {"If-None-Match": known})
        assert (again, nothing, its_headers["ETag"]) == (304, b"", headers["ETag"])
    assert fetch(client, path, {"If-None-Match": '"other"'})[2] == body
    _, its_headers, compressed = fetch(client, path, {"Accept-Encoding": "br, GZIP;q=0.5"})
    assert gzip.decompress(compressed) == body
    assert its_headers["ETag"] != headers["ETag"]
    for refusing in ("", "br", "gzip;q=0", "xgzip"):
        assert "Content-Encoding" not in fetch(client, path, {"Accept-Encoding": refusing})[1]


OUTSIDE = (
    *("/static/", "/static/nothing.js", "/static/../routes.py", "/static/%2e%2e/routes.py", "/static//etc/passwd"),
    *("/static/./index.html", "/static/....//service.py", "/static/../../../etc/passwd", "/static/..\\routes.py"),
    *("/static/index.html", "/static/ops.html", "/static/sign-in.html", "/static"),
)


def test_no_path_leads_out_of_the_folder_and_a_page_has_only_its_own_path(client: Client) -> None:
    for target in OUTSIDE:
        assert statuses(exchange(client, get(target, "Connection: close"))) == [404], target


def test_pages_run_only_their_own_scripts(client: Client) -> None:
    for path in ("/", "/static/app.js"):
        policy = fetch(client, path, {})[1]["Content-Security-Policy"]
        for directive in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"):
            assert directive in policy
        assert "unsafe" not in policy
    for page in STATIC.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", text)
        assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", text)
