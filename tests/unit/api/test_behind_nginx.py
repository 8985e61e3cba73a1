"""Behind nginx as Debian has it, with nothing said but `proxy_pass`: streams flow, and the operator can sign in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.addresses import free_port
from tests.conformance.samples import made, reserved
from tests.unit.api.shop import OPS_TOKEN, SAMPLE, Client, Shop, serving
from tests.unit.api.test_http import chunked, statuses, until_closed
from tests.unit.api.test_streams import first, messages_of, streaming
from tests.waiting import eventually

NEEDS = "There is no nginx: apt-get install nginx"
CONFIG = """
daemon off;
master_process off;
pid {folder}/pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
    }}
    location /named/ {{
      proxy_pass http://127.0.0.1:{upstream}/;
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Proxied(Client):
    """Asks the server through nginx. ``port``: nginx's."""

    port: int

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port


@pytest.fixture
def proxied(shop: Shop, tmp_path: Path) -> Iterator[Proxied]:
    """Skips where there is no nginx, except in CI, where that is a failure."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(NEEDS)
    with serving(shop) as server:
        port = free_port()
        config = tmp_path / "nginx.conf"
        config.write_text(CONFIG.format(folder=tmp_path, port=port, upstream=server.port))
        command = [nginx, "-p", str(tmp_path), "-c", str(config), "-e", "stderr"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            client = Proxied(server, port)
            try:
                eventually(lambda: _answers(client) or process.poll() is not None)
                assert process.poll() is None, process.stderr and process.stderr.read()
                yield client
            finally:
                process.terminate()


def _answers(client: Proxied) -> bool:
    try:
        return client.get("/health").status == 200
    except ConnectionError:
        return False


def test_an_order_is_placed_with_and_without_content_length(proxied: Proxied, shop: Shop) -> None:
    assert proxied.post().status == 201
    with closing(proxied.connect()) as connection:
        connection.connect()
        connection.sock.sendall(chunked(json.dumps(SAMPLE).encode()).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        assert statuses(until_closed(connection.sock)) == [201]
    assert len(shop.saved) == 2


def test_streams_arrive_message_by_message(proxied: Proxied, shop: Shop) -> None:
    with streaming(proxied, "/flow/stream") as (_, flow):
        flow_messages = messages_of(flow)
        assert next(flow_messages)["type"] == "queues"
        order_id = proxied.post().json["orderId"]
        assert first(flow_messages, "status")["orderId"] == order_id
        with streaming(proxied, f"/orders/{order_id}/stream") as (_, response):
            messages = messages_of(response)
            assert next(messages)["status"] == "PENDING"
            [order] = shop.saved
            made(shop.orders, reserved(order))
            assert next(messages)["status"] == "INVENTORY_RESERVED"


def test_the_operator_signs_in_and_acts_from_the_own_site_only(proxied: Proxied) -> None:
    sign_in = partial(proxied.ask, "POST", "/ops/session", {"token": OPS_TOKEN})
    origin = f"http://127.0.0.1:{proxied.port}"
    browser = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    signed_in = sign_in(browser)
    assert signed_in.status == 204
    cookie = {"Cookie": signed_in.headers["Set-Cookie"].partition(";")[0]}
    assert proxied.get("/ops", cookie).status == 200
    redrive = proxied.ask("POST", "/ops/dead-letters/payment/redrive", {"all": True}, browser | cookie)
    assert redrive.status == 200

    elsewhere = {"Origin": "https://elsewhere.example"}
    for headers in (elsewhere, *(elsewhere | {"Sec-Fetch-Site": site} for site in ("cross-site", "same-site"))):
        assert sign_in(headers).status == 403
    # An older browser sends no Sec-Fetch-Site: it needs a proxy that passes Host on.
    assert sign_in({"Origin": origin}).status == 403
    assert proxied.ask("POST", "/named/ops/session", {"token": OPS_TOKEN}, {"Origin": origin}).status == 204
