"""A little OIDC issuer: a real HTTP server with a discovery document and keys that a test may change."""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from radiarch_common.messages import utc_now

AUDIENCE = "radiarch-gateway"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class TestIssuer:
    """Signs tokens with the last of its keys; tells the public ones to whoever asks.

    Attributes
    ----------
    asked
        How often its keys were fetched.
    """

    __test__ = False

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/realms/hospital"
        self.keys: dict[str, Private] = {}
        self.asked = 0
        self.rotate("RS256")

    def rotate(self, algorithm: str) -> None:
        """A new key, in place of those there were."""
        key: Private = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if algorithm == "RS256"
            else ec.generate_private_key(ec.SECP256R1())
        )
        self.keys = {f"key-{algorithm}-{utc_now().timestamp()}": key}

    def token(self, **own: object) -> str:
        """A token of somebody, with good claims unless ``own`` says otherwise; ``None`` leaves one out."""
        now = utc_now()
        claims: dict[str, Any] = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "f3c1",
            "name": "Somebody",
            "iat": now,
            "exp": now + timedelta(minutes=5),
            "realm_access": {"roles": ["offline_access", "medphys"]},
        } | own
        key_id, key = next(iter(self.keys.items()))
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(said, key, algorithm=algorithm, headers={"kid": key_id})

    def answer(self, path: str) -> Mapping[str, Any] | None:
        """What lies at a path."""
        if path == "/realms/hospital/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/certs"}
        if path == "/realms/hospital/certs":
            self.asked += 1
            return {"keys": [_public(key_id, key) for key_id, key in self.keys.items()]}
        return None


def _public(key_id: str, key: Private) -> dict[str, Any]:
    written = (
        RSAAlgorithm.to_jwk(key.public_key())
        if isinstance(key, rsa.RSAPrivateKey)
        else ECAlgorithm.to_jwk(key.public_key())
    )
    return json.loads(written) | {"kid": key_id, "use": "sig"}


@contextmanager
def serving_issuer(port: int = 0) -> Generator[TestIssuer]:
    """The issuer, on loopback, while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = issuer.answer(self.path)
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    issuer = TestIssuer(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
