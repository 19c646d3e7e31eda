"""What an OIDC provider says: where to send people, and who came back (OpenID Connect Core 1.0).

Authorization code flow with PKCE (RFC 7636). The provider's own words (its document, its keys)
are read over https from the address in the settings and from nowhere else; no redirect is
followed. An ID token counts when its signature is by one of those keys with one of ALGORITHMS,
and issuer, audience, times and nonce are right. Claims come from the ID token alone.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx
import jwt
from django.conf import settings
from django.core.cache import cache
from django.utils.crypto import constant_time_compare

# Signed with a key that only the provider has: no "none", no HMAC.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
REQUIRED = ["iss", "aud", "exp", "iat", "sub", "nonce"]
LEEWAY_SECONDS = 60
TIMEOUT_SECONDS = 10
KEPT_SECONDS = 3600
# Keys are asked for anew when a token names an unknown one, but no more often than this.
RENEWED_EVERY_SECONDS = 60
LARGEST_BYTES = 512 * 1024
LONGEST_SUBJECT = 255
LOOPBACK = ("localhost", "127.0.0.1", "::1")
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class ProviderError(Exception):
    """The provider cannot be asked, or what came from it cannot be believed. Says why, for the
    log and the audit log; the person is told less.
    """


class Begun(NamedTuple):
    """Where to send somebody, and what must be known again when they come back."""

    address: str
    state: str
    nonce: str
    verifier: str


class Claims(NamedTuple):
    """Who came, by an ID token that was believed."""

    subject: str
    email: str
    is_verified: bool
    username: str
    name: str
    groups: frozenset[str]


def is_on() -> bool:
    """Whether people may sign in with a provider."""
    return bool(settings.OIDC_ISSUER and settings.OIDC_CLIENT_ID)


def label() -> str:
    """What the provider is called on pages."""
    return settings.OIDC_NAME or urlsplit(settings.OIDC_ISSUER).hostname or "the provider"


def begin(back: str) -> Begun:
    """Start a sign-in that comes back to the address ``back``."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
    asked = {
        "response_type": "code",
        "client_id": settings.OIDC_CLIENT_ID,
        "redirect_uri": back,
        "scope": " ".join(settings.OIDC_SCOPES),
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge.rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    address = _document()["authorization_endpoint"]
    joint = "&" if urlsplit(address).query else "?"
    return Begun(f"{address}{joint}{urlencode(asked)}", state, nonce, verifier)


def finish(
    answer: Mapping[str, str], *, state: str, nonce: str, verifier: str, back: str
) -> Claims:
    """Who came back with ``answer`` (the query); ProviderError where anything is amiss."""
    if not state or not constant_time_compare(answer.get("state", ""), state):
        raise ProviderError("state is not the one that was sent")
    told = _document()
    # RFC 9207: an answer of another provider that was mixed in.
    is_named = told.get("authorization_response_iss_parameter_supported") is True
    if (is_named or "iss" in answer) and answer.get("iss") != settings.OIDC_ISSUER:
        raise ProviderError("the answer is of another issuer")
    if "error" in answer:
        raise ProviderError(f"the provider refused: {answer['error'][:60]}")
    if not answer.get("code"):
        raise ProviderError("the answer has no code")
    return verify(_exchange(answer["code"], verifier, back), nonce)


def verify(token: str, nonce: str) -> Claims:
    """The claims of an ID token; ProviderError unless every check holds."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            _key_of(token),
            algorithms=ALGORITHMS,
            audience=settings.OIDC_CLIENT_ID,
            issuer=settings.OIDC_ISSUER,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED},
        )
    except jwt.PyJWTError as error:
        raise ProviderError(f"ID token: {error}") from error
    _check_party(claims)
    if not isinstance(claims["nonce"], str) or not constant_time_compare(claims["nonce"], nonce):
        raise ProviderError("ID token: the nonce is not the one that was sent")
    subject = claims["sub"]
    if not (0 < len(subject) <= LONGEST_SUBJECT and subject.isascii() and subject.isprintable()):
        raise ProviderError("ID token: a subject of 1 to 255 ASCII characters would do")
    return _read(claims)


def _check_party(claims: Mapping[str, Any]) -> None:
    """A token for several is ours only where it was asked for by us (Core, 3.1.3.7)."""
    is_for_several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (is_for_several or "azp" in claims) and claims.get("azp") != settings.OIDC_CLIENT_ID:
        raise ProviderError("ID token: asked for by another client (azp)")


def _read(claims: Mapping[str, Any]) -> Claims:
    groups = claims.get(settings.OIDC_CLAIM)
    named = [groups] if isinstance(groups, str) else groups if isinstance(groups, list) else []
    return Claims(
        subject=claims["sub"],
        email=_text(claims, "email", 254),
        # The boolean alone: "true" and 1 are what somebody typed.
        is_verified=claims.get("email_verified") is True,
        username=_text(claims, "preferred_username", 150),
        name=_text(claims, "name", 150),
        groups=frozenset(one for one in named if isinstance(one, str)),
    )


def _text(claims: Mapping[str, Any], name: str, longest: int) -> str:
    """A claim in one line, "" where it is none."""
    value = claims.get(name)
    plain = "".join(one for one in value if one.isprintable()) if isinstance(value, str) else ""
    return plain.strip()[:longest]


def _exchange(code: str, verifier: str, back: str) -> str:
    """The ID token for a code, from the provider itself."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": back,
        "client_id": settings.OIDC_CLIENT_ID,
        "code_verifier": verifier,
    }
    told, auth = _document(), None
    secret = settings.OIDC_CLIENT_SECRET
    # Basic is what a provider takes that says nothing of it (Discovery, 3).
    ways = told.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    if secret and "client_secret_basic" in ways:
        # Both parts are form-encoded first (RFC 6749, 2.3.1).
        name, key = (urlencode({"": text})[1:] for text in (settings.OIDC_CLIENT_ID, secret))
        auth = httpx.BasicAuth(name, key)
    elif secret:
        form["client_secret"] = secret
    found = _ask("POST", told["token_endpoint"], data=form, auth=auth)
    token = found.get("id_token")
    if not isinstance(token, str):
        raise ProviderError("the provider gave no ID token")
    return token


def _key_of(token: str) -> jwt.PyJWK:
    """The provider's key that the token names; its only one where it names none."""
    try:
        wanted = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError as error:
        raise ProviderError(f"ID token: {error}") from error
    found = _pick(_keys(), wanted)
    if found is None and cache.add(_place("renewed"), True, RENEWED_EVERY_SECONDS):
        cache.delete(_place("keys"))
        found = _pick(_keys(), wanted)
    if found is None:
        raise ProviderError("ID token: signed by a key that the provider does not name")
    return found


def _pick(keys: list[jwt.PyJWK], wanted: str | None) -> jwt.PyJWK | None:
    fitting = [key for key in keys if wanted is None or key.key_id == wanted]
    return fitting[0] if len(fitting) == 1 else None


def _keys() -> list[jwt.PyJWK]:
    """The provider's keys for signatures, but none of a kind that we do not take."""
    told = cache.get(_place("keys"))
    if told is None:
        told = _ask("GET", _document()["jwks_uri"])
        cache.set(_place("keys"), told, KEPT_SECONDS)
    listed = told.get("keys")
    if not isinstance(listed, list):
        raise ProviderError("the provider's keys cannot be read")
    return [key for one in listed if (key := _key(one)) is not None]


def _key(told: Any) -> jwt.PyJWK | None:
    if not isinstance(told, dict) or told.get("kty") == "oct" or told.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(told)
    except jwt.PyJWTError:
        return None  # of a kind that the library does not know: another may fit
    return key if key.algorithm_name in ALGORITHMS else None


def _document() -> dict[str, Any]:
    """The provider's own description (OpenID Connect Discovery 1.0)."""
    kept: dict[str, Any] | None = cache.get(_place("document"))
    if kept is not None:
        return kept
    issuer = settings.OIDC_ISSUER
    told = _ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if told.get("issuer") != issuer:
        raise ProviderError(f"the document is of issuer {str(told.get('issuer'))[:200]!r}")
    for name in ENDPOINTS:
        if not _is_safe(told.get(name)):
            raise ProviderError(f"{name} is no https address")
    cache.set(_place("document"), told, KEPT_SECONDS)
    return told


def _is_safe(address: Any) -> bool:
    """https, or http to this machine where the issuer itself is here."""
    if not isinstance(address, str):
        return False
    parts, issuer = urlsplit(address), urlsplit(settings.OIDC_ISSUER)
    is_here = parts.hostname in LOOPBACK and issuer.scheme == "http"
    return bool(parts.hostname) and (parts.scheme == "https" or is_here)


def _ask(method: str, address: str, **sent: Any) -> dict[str, Any]:
    """A JSON object from the provider, read no further than LARGEST_BYTES."""
    text = b""
    try:
        with httpx.stream(
            method, address, timeout=TIMEOUT_SECONDS, trust_env=False, **sent
        ) as reply:
            for part in reply.iter_bytes():
                text += part
                if len(text) > LARGEST_BYTES:
                    raise ProviderError("the provider's answer is too long")
        found = httpx.Response(reply.status_code, content=text).json()
    except (httpx.HTTPError, ValueError) as error:
        raise ProviderError(f"the provider cannot be asked: {type(error).__name__}") from error
    if reply.status_code != 200 or not isinstance(found, dict):
        raise ProviderError(f"the provider answered {reply.status_code}")
    return found


def _place(what: str) -> str:
    issuer = hashlib.sha256(settings.OIDC_ISSUER.encode()).hexdigest()[:16]
    return f"oidc-{what}-{issuer}"
