"""The settings of the archive's far side."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator

from config.fields import Section, is_this_machine

S3 = "s3"


class Archive(Section):
    """Where received instances are copied to, besides the data folder."""

    copy_to: str | None = None
    endpoint: str | None = None
    key_id_file: Path | None = None
    secret_key_file: Path | None = None

    @field_validator("copy_to")
    @classmethod
    def _is_a_place(cls, copy_to: str | None) -> str | None:
        if copy_to is None:
            return None
        parts = urlsplit(copy_to)
        if (parts.scheme == S3 and parts.netloc) or (not parts.scheme and copy_to.startswith("/")):
            return copy_to.rstrip("/")
        raise ValueError("must be s3://BUCKET, s3://BUCKET/PREFIX, or a folder from / on")

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, endpoint: str | None) -> str | None:
        parts = urlsplit(endpoint or "https://an.example")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an address, such as https://s3.hospital.example")
        if parts.scheme == "http" and not is_this_machine(parts.hostname):
            raise ValueError("must be https: images of patients go there")
        return endpoint

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.key_id_file is None) != (self.secret_key_file is None):
            raise ValueError("key_id_file and secret_key_file go together")
        if not self.is_s3 and (self.endpoint is not None or self.key_id_file is not None):
            raise ValueError("endpoint and keys are for copy_to = s3://…")
        return self

    @property
    def is_s3(self) -> bool:
        """Whether the far side is a bucket, and no folder."""
        return (self.copy_to or "").startswith(f"{S3}://")
