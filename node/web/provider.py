"""Signing in with the accounts of an OpenID provider: the authorization code flow with PKCE, by Authlib, which checks
state, nonce, signature, issuer, audience and time (OpenID Connect Core 1.0, 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth, StarletteOAuth2App
from fastapi import Request, Response
from httpx2 import HTTPError
from joserfc.errors import JoseError

from config.oidc import Oidc
from config.web import Role
from models.errors import UserError
from node.operations.provider import ProviderUnusable, discovery_address, host_of, secret_of, trust_of
from node.web.protection import SIGN_IN

BEGIN = f"{SIGN_IN}/provider"
BACK = f"{SIGN_IN}/provider/back"
"""Where the provider sends the browser back to."""
LEAVE = f"{SIGN_IN}/provider/leave"
_CLOCKS_DIFFER_S = 120


class NotSignedIn(UserError):
    """The message says why nobody was signed in."""


@dataclass(frozen=True)
class Person:
    """Somebody whom the provider knows: `subject` is unique and stays, `name` may change; `role`: None if its claim
    gives none."""

    issuer: str
    subject: str
    name: str
    role: Role | None


async def begin(request: Request, oidc: Oidc, url: str) -> Response:
    """Sends the browser to the provider. `url`: of the page.

    Raises:
        NotSignedIn: the provider does not answer, or a file that is needed to ask it cannot be used.
    """
    try:
        answer: Response = await _client(oidc).authorize_redirect(request, f"{url}{BACK}")
    except (HTTPError, AuthlibBaseError, RuntimeError, ValueError) as error:
        raise NotSignedIn(_silent(oidc, error)) from error
    return answer


async def person(request: Request, oidc: Oidc) -> Person:
    """Who has come back from the provider.

    Raises:
        NotSignedIn: the provider refused, its answer is not one to this browser's question, or it is not as it must be;
            or a file that is needed to ask it cannot be used.
    """
    client = _client(oidc)
    expected = {"iss": {"essential": True, "value": oidc.issuer}, "aud": {"essential": True, "value": oidc.client_id}}
    try:
        token = await client.authorize_access_token(request, claims_options=expected, leeway=_CLOCKS_DIFFER_S)
        identity = token.get("userinfo")
        if not identity:
            raise NotSignedIn(f"{host_of(oidc)} did not say who you are.")
        claims = dict(identity)
        if "userinfo_endpoint" in client.server_metadata:  # many providers state roles only there
            more = await client.userinfo(token=token)
            if more.get("sub") != identity["sub"]:  # OpenID Connect Core 1.0, 5.3.2
                raise NotSignedIn(f"{host_of(oidc)} spoke of two people: nobody is signed in.")
            claims = {**more, **claims}
    except HTTPError as error:
        raise NotSignedIn(_silent(oidc, error)) from error
    except (AuthlibBaseError, JoseError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise NotSignedIn(f"{host_of(oidc)} did not sign you in ({type(error).__name__}): begin again.") from error
    subject = str(claims["sub"])
    return Person(str(oidc.issuer), subject, str(claims.get(oidc.name_claim) or subject), role_of(claims, oidc))


async def end_address(oidc: Oidc, url: str) -> str | None:
    """Where people also sign out of the provider (OpenID Connect RP-Initiated Logout 1.0); None: it has no such page.

    Raises:
        NotSignedIn: the provider does not answer, or a file that is needed to ask it cannot be used.
    """
    client = _client(oidc)
    try:
        metadata = await client.load_server_metadata()
        if "end_session_endpoint" not in metadata:
            return None
        made = await client.create_logout_url(post_logout_redirect_uri=f"{url}{SIGN_IN}", client_id=oidc.client_id)
    except (HTTPError, AuthlibBaseError, RuntimeError, ValueError) as error:
        raise NotSignedIn(_silent(oidc, error)) from error
    return str(made["url"])


def role_of(claims: Mapping[str, object], oidc: Oidc) -> Role | None:
    """The highest role that the claim's values give; None: none does. "a.b" is b in a, as some providers nest it."""
    value: object = claims
    for part in oidc.roles_claim.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    stated = (
        {value}
        if isinstance(value, str)
        else {one for one in value if isinstance(one, str)}
        if isinstance(value, list | tuple)
        else set()
    )
    given = [role for role, values in oidc.roles.items() if stated & set(values)]
    return given[-1] if given else None


def _client(oidc: Oidc) -> StarletteOAuth2App:
    try:
        secret, trust = secret_of(oidc), trust_of(oidc)
    except ProviderUnusable as fault:
        raise NotSignedIn(str(fault)) from fault
    arguments: dict[str, object] = {
        "scope": " ".join(oidc.scopes),
        "code_challenge_method": "S256",
        "verify": trust,
    }
    if secret is None:
        arguments["token_endpoint_auth_method"] = "none"
    registry = OAuth()
    registry.register(
        "provider",
        client_id=oidc.client_id,
        client_secret=secret,
        server_metadata_url=discovery_address(oidc),
        client_kwargs=arguments,
    )
    return registry.provider


def _silent(oidc: Oidc, error: Exception) -> str:
    return f"{host_of(oidc)} does not answer as a provider of accounts must ({type(error).__name__}): try again later."
