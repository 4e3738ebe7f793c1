"""What the node needs to reach the OpenID provider whose accounts sign in to the page."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2

from config.oidc import Oidc
from models.errors import UserError

_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_TIMEOUT_S = 10.0


class ProviderUnusable(UserError):
    """The message names the file or the provider that cannot be used, without a secret."""


def host_of(oidc: Oidc) -> str:
    """The provider, as people know it."""
    return urlsplit(oidc.issuer or "").hostname or ""


def discovery_address(oidc: Oidc) -> str:
    """Where the provider describes itself (OpenID Connect Discovery 1.0, 4)."""
    return f"{str(oidc.issuer).rstrip('/')}/.well-known/openid-configuration"


def secret_of(oidc: Oidc) -> str | None:
    """The node's secret at the provider; None: it has none.

    Raises:
        ProviderUnusable: the file cannot be read, or is empty.
    """
    if oidc.client_secret_file is None:
        return None
    try:
        secret = oidc.client_secret_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ProviderUnusable("The node's secret (oidc.client_secret_file) cannot be read.") from error
    if not secret:
        raise ProviderUnusable("The file of the node's secret (oidc.client_secret_file) is empty.")
    return secret


def trust_of(oidc: Oidc) -> ssl.SSLContext | bool:
    """Whom the node believes that it is the provider; True: whom this machine trusts.

    Raises:
        ProviderUnusable: the file cannot be read, or has no certificates.
    """
    if oidc.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(oidc.ca_file))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ProviderUnusable("oidc.ca_file cannot be read, or has no certificates (PEM).") from error


def provider_echo(oidc: Oidc) -> None:
    """Verifies that the files can be read, and that the provider describes itself as `issuer`. Signs nobody in.

    Raises:
        ProviderUnusable
    """
    secret_of(oidc)
    host = host_of(oidc)
    try:
        with httpx2.Client(verify=trust_of(oidc), timeout=_TIMEOUT_S) as client:
            answer = client.get(discovery_address(oidc))
    except httpx2.HTTPError as error:
        raise ProviderUnusable(
            f"{host} does not answer ({type(error).__name__}): look at issuer and ca_file"
        ) from error
    try:
        stated = answer.raise_for_status().json()
    except (httpx2.HTTPStatusError, ValueError) as error:
        raise ProviderUnusable(
            f"{discovery_address(oidc)} is no description of a provider (status {answer.status_code}): look at issuer"
        ) from error
    if not isinstance(stated, Mapping) or stated.get("issuer") != oidc.issuer:
        name = stated.get("issuer") if isinstance(stated, Mapping) else None
        raise ProviderUnusable(f"{host} calls itself {name!r}, and issuer is {oidc.issuer!r}: write it as it does")
    if missing := [name for name in _NEEDED if not stated.get(name)]:
        raise ProviderUnusable(f"{host} does not state its {', '.join(missing)}: nobody can sign in there")
