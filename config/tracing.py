"""Settings of the traces of studies."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import field_validator

from config.fields import Section


class Tracing(Section):
    """Where the road of each study is sent as an OpenTelemetry trace."""

    endpoint: str | None = None

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and (
            urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname
        ):
            raise ValueError("must be an address, such as http://127.0.0.1:4318/v1/traces")
        return endpoint
