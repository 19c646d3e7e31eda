"""A small OIDC provider on this machine: real HTTP, real signatures, and lies on demand."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT, SECRET = "kos", "s3cret of the client&more"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


KEY, OTHER_KEY = new_key(), new_key()


class Provider:
    """Signs in whoever ``person`` says; ``claims`` of the token may be changed before it is sent."""

    def __init__(self, address: str) -> None:
        self.issuer = address
        self.person: dict[str, Any] = {
            "sub": "ada-1",
            "email": "ada@example.org",
            "email_verified": True,
            "name": "Ada Lovelace",
            "preferred_username": "ada",
            "groups": ["kos"],
        }
        self.changes: dict[str, Any] = {}
        self.document: dict[str, Any] = {}
        self.key, self.kid, self.algorithm = KEY, "k1", "RS256"
        self.published = {"k1": KEY}
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []

    def follow(self, address: str) -> dict[str, str]:
        """What a browser brings back from ``address``, where somebody signed in."""
        asked = {name: one[0] for name, one in parse_qs(urlsplit(address).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def described(self) -> dict[str, Any]:
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        return told | self.document

    def keys(self) -> dict[str, Any]:
        public = [
            json.loads(RSAAlgorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"}
            for kid, key in self.published.items()
        ]
        return {"keys": public}

    def token(self, nonce: str) -> str:
        """An ID token for the nonce, with the lies that are wanted."""
        now = int(time.time())
        times = {"iat": now, "exp": now + 300}
        claims = {"iss": self.issuer, "aud": CLIENT, "nonce": nonce} | times | self.person
        told = {name: one for name, one in (claims | self.changes).items() if one is not None}
        key: Any = self.key if self.algorithm.startswith("RS") else None
        if self.algorithm == "HS256":
            key = base64.b64encode(b"public words as a secret" * 2)
        return jwt.encode(told, key, self.algorithm, headers={"kid": self.kid})

    def exchange(self, form: dict[str, str], auth: str) -> dict[str, Any] | None:
        """Tokens for a code, once, with the client's secret and the verifier of its challenge."""
        asked = self.codes.pop(form.get("code", ""), None)
        wanted = base64.b64encode(f"{CLIENT}:{urlencode({'': SECRET})[1:]}".encode()).decode()
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        is_right = (
            asked is not None
            and auth == f"Basic {wanted}"
            and challenge == asked["code_challenge"]
            and asked["code_challenge_method"] == "S256"
            and form["redirect_uri"] == asked["redirect_uri"]
        )
        return {"id_token": self.token(asked["nonce"])} if is_right and asked else None


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        self.provider.asked.append(self.path)
        if self.path.startswith("/authorize?"):
            return self._send_back()
        pages = {
            "/.well-known/openid-configuration": self.provider.described,
            "/keys": self.provider.keys,
        }
        page = pages.get(self.path)
        return self._answer(page() if page else None)

    def _send_back(self) -> None:
        """A browser comes: its person is signed in here and goes back at once."""
        asked = parse_qs(urlsplit(self.path).query)
        self.send_response(302)
        self.send_header(
            "Location", f"{asked['redirect_uri'][0]}?{urlencode(self.provider.follow(self.path))}"
        )
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.provider.asked.append(self.path)
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: one[0] for name, one in parse_qs(text).items()}
        self._answer(self.provider.exchange(form, self.headers.get("Authorization", "")))

    def _answer(self, told: dict[str, Any] | None) -> None:
        body = json.dumps(told or {"error": "invalid_grant"}).encode()
        self.send_response(200 if told else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def running() -> Iterator[Provider]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.provider = Provider(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield handler.provider  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
