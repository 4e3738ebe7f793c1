"""User Identity Negotiation (PS3.7 section D.3.3.7): which user a sender must state, and whether it does."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import Protocol

from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    KeyParameterError,
    MissingClaimError,
    SecurityWarning,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import ECKey, JWKRegistry, Key, KeySet, OKPKey, RSAKey

from dicom_io.errors import DicomError
from dicom_io.network.scp_request import IdentityType, UserIdentity

_LONGEST_TOKEN = 8192
_CLOCKS_DIFFER_S = 60
_CLAIMS = {
    "iss": "another issuer (iss)",
    "aud": "another audience (aud)",
    "sub": "another subject (sub)",
    "exp": "a bad time of expiry (exp)",
    "nbf": "a time (nbf) that has not come yet",
    "iat": "a time of issue (iat) that has not come yet",
}


class NotIdentified(DicomError):
    """The user is not stated, or not proved. The message quotes nothing of what was stated."""


class ProofUnusable(DicomError):
    """A file by which users are known cannot be used; the message names it and says why."""


class Demand(Protocol):
    """The user that a sender must state."""

    @property
    def how(self) -> str:
        """How it must state it, for people."""

    def user_of(self, stated: UserIdentity | None) -> str:
        """The user, as the audit trail names it.

        Raises:
            NotIdentified: it is another one, or is not proved.
            ProofUnusable: a file cannot be used.
        """

    def check(self) -> None:
        """
        Raises:
            ProofUnusable: a file cannot be used.
        """


@dataclass(frozen=True)
class AllowedUser:
    """A user's name, and a file with the passcode, which is read for each association; None: the name is enough."""

    username: str
    passcode_file: Path | None = None

    @property
    def how(self) -> str:
        return "username" if self.passcode_file is None else "username and passcode"

    def user_of(self, stated: UserIdentity | None) -> str:
        wrong = NotIdentified("does not state its user, or a wrong passcode")
        if stated is None or stated.kind not in (IdentityType.USERNAME, IdentityType.USERNAME_AND_PASSCODE):
            raise wrong
        is_known = compare_digest(stated.primary, self.username.encode())
        if self.passcode_file is not None:
            passcode = _content(self.passcode_file)
            is_known = compare_digest(stated.secondary, passcode) and bool(passcode) and is_known
        if not is_known:
            raise wrong
        return self.username

    @property
    def passcode(self) -> bytes | None:
        """
        Raises:
            ProofUnusable: the file cannot be read.
        """
        return None if self.passcode_file is None else _content(self.passcode_file)

    def check(self) -> None:
        if self.passcode == b"":
            raise ProofUnusable(f"{self.passcode_file} is empty")


@dataclass(frozen=True)
class AllowedToken:
    """Whoever has a JSON Web Token (RFC 7519) of an issuer for this node.

    Attributes:
        keys_file: the issuer's public keys: a JSON Web Key Set (RFC 7517), or one key in PEM. It is read for each
            association.
        issuer, audience: the claims iss and aud that the token must have.
        subject: the claim sub; None: any, but it must have one.
        algorithms: the signatures that are allowed (RFC 7518 section 3.1); only those with public keys.
        now: UTC seconds since the epoch.
    """

    keys_file: Path
    issuer: str
    audience: str
    subject: str | None
    algorithms: tuple[str, ...]
    now: Callable[[], float]

    @property
    def how(self) -> str:
        return "JSON Web Token"

    def user_of(self, stated: UserIdentity | None) -> str:
        if stated is None or stated.kind != IdentityType.JSON_WEB_TOKEN:
            raise NotIdentified("does not state its user by a token")
        keys = self._keys()
        if len(stated.primary) > _LONGEST_TOKEN:
            raise NotIdentified(f"states a token of more than {_LONGEST_TOKEN} bytes")
        claims = jwt.JWTClaimsRegistry(
            now=int(self.now()),
            leeway=_CLOCKS_DIFFER_S,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.audience},
            sub={"essential": True} if self.subject is None else {"essential": True, "value": self.subject},
            exp={"essential": True},
        )
        try:
            token = jwt.decode(stated.primary, keys, algorithms=self.algorithms)
            claims.validate(token.claims)
        except (JoseError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as fault:
            raise NotIdentified(f"states a token that is refused: {self._why(fault)}") from None
        return str(token.claims["sub"])

    def check(self) -> None:
        self._keys()

    def _keys(self) -> Key | KeySet:
        """
        Raises:
            ProofUnusable: the file cannot be read, has no key, or one that is not public or too short.
        """
        content = _content(self.keys_file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", SecurityWarning)  # RSA keys of less than 2048 bits
                keys = _of_set(content) if content[:1] == b"{" else _of_pem(content)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, SecurityWarning) as fault:
            raise ProofUnusable(f"{self.keys_file} has no public keys, as JSON Web Key Set or PEM") from fault
        for key in keys if isinstance(keys, KeySet) else [keys]:
            if not isinstance(key, RSAKey | ECKey | OKPKey) or key.is_private:
                raise ProofUnusable(
                    f"{self.keys_file} has a key that is secret: only the issuer's public keys belong there"
                )
        return keys

    def _why(self, fault: Exception) -> str:
        """Without the library's message, which may quote the token."""
        match fault:
            case ExpiredTokenError():
                return "it has expired (exp)"
            case MissingClaimError():
                return "it lacks a claim of iss, aud, sub and exp"
            case ClaimError() if fault.claim in _CLAIMS:
                return f"it has {_CLAIMS[fault.claim]}"
            case UnsupportedAlgorithmError():
                return f"its signature is none of {', '.join(self.algorithms)}"
            case BadSignatureError() | InvalidKeyIdError() | KeyParameterError():
                return f"it is not signed with a key of {self.keys_file.name}"
            case _:
                return "it is no signed JSON Web Token"


def _of_set(content: bytes) -> KeySet:
    """A set's keys; those of a kind that is not known are passed over (RFC 7517 section 5)."""
    stated = json.loads(content)["keys"]
    return KeySet.import_key_set({"keys": [key for key in stated if key.get("kty") in JWKRegistry.key_types]})


def _of_pem(content: bytes) -> Key:
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            return kind.import_key(content)
        except (JoseError, ValueError, TypeError):
            continue
    raise ValueError("no key in PEM")


def _content(file: Path) -> bytes:
    """
    Raises:
        ProofUnusable: the file cannot be read.
    """
    try:
        return file.read_bytes().strip()
    except OSError as fault:
        raise ProofUnusable(f"{file} cannot be read: {fault.strerror}") from fault
