"""An issuer of JSON Web Tokens to try out who may order: `python -m scripts.issuer CUST-001`."""

from __future__ import annotations

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from scripts.console import OK, number_up_to, parser_of, run_command
from shopflow.environment import LOOPBACK

ABOUT = """\
Issue a token for a customer, and serve the key that it is checked with until Ctrl-C. Every start makes another key.

  python -m scripts.issuer CUST-001

It prints the settings with which the Order Service takes orders from customers with a token only. Anybody on this
machine can get one: this is for trying out, on this machine.
"""
KEY_ID = "try-out"
AUDIENCE = "shopflow"
TOKEN_SECONDS = 3600


class Issuer:
    """Serves its OpenID configuration and its key on loopback, in a thread. ``port`` 0: any free one."""

    def __init__(self, port: int = 0) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        documents: dict[str, Any] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path in documents else 404)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(documents.get(self.path)).encode())

            def log_message(self, *args: Any) -> None:
                """Nothing: the terminal shows the token."""

        self._server = ThreadingHTTPServer((LOOPBACK, port), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        documents["/.well-known/openid-configuration"] = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        documents["/keys"] = {"keys": [{**key, "kid": KEY_ID, "alg": "RS256", "use": "sig"}]}
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def token(self, customer_id: str, key_id: str = KEY_ID, **claims: Any) -> str:
        """A token that is valid for an hour, with other ``claims`` where they are given; None leaves one out."""
        own = {"iss": self.url, "aud": AUDIENCE, "sub": customer_id, "exp": int(time.time()) + TOKEN_SECONDS, **claims}
        kept = {name: value for name, value in own.items() if value is not None}
        return jwt.encode(kept, self._key, algorithm="RS256", headers={"kid": key_id})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def main() -> int:
    parser = parser_of("scripts.issuer", ABOUT)
    parser.add_argument("customer_id", metavar="CUSTOMER", help="the customer of the token, such as CUST-001")
    parser.add_argument("--port", type=number_up_to(65535), default=3999, help="where to listen (default: 3999)")
    arguments = parser.parse_args()
    issuer = Issuer(arguments.port)
    print(f"Start the Order Service with these settings:\n  export JWT_ISSUER={issuer.url} JWT_AUDIENCE={AUDIENCE}")
    print(f"Order as {arguments.customer_id} within the hour with this header:")
    print(f"  Authorization: Bearer {issuer.token(arguments.customer_id)}", flush=True)
    threading.Event().wait()
    return OK


if __name__ == "__main__":
    sys.exit(run_command(main))
