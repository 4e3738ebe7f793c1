"""Settings of the Ray cluster whose machines read images (`reader.executor = "ray"`)."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from config.fields import Section, is_this_machine


class RayTls(Section):
    """The files of Ray's mutual TLS (PEM): every process of the cluster shows a certificate and asks for one."""

    certificate: Path
    key: Path
    ca_file: Path


class Ray(Section):
    """The cluster, and the actors that read there."""

    address: str | None = None
    token_file: Path | None = None
    tls: RayTls | None = None
    gpus_per_actor: float = Field(default=1, ge=0)
    cpus_per_actor: float = Field(default=1, gt=0)
    min_actors: int = Field(default=1, ge=1)
    max_actors: int | None = Field(default=None, ge=1)

    @field_validator("address")
    @classmethod
    def _has_host_and_port(cls, address: str | None) -> str | None:
        if address is None:
            return None
        host, _, port = address.rpartition(":")
        if not host or "/" in host or not (port.isdecimal() and 1024 <= int(port) <= 65535):
            raise ValueError("must be the host and port of the cluster's head, such as 10.1.2.3:6379")
        return address

    @field_validator("gpus_per_actor")
    @classmethod
    def _is_a_share_or_whole(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ValueError("must be a share of one GPU, such as 0.5, or a whole number")
        return gpus

    @model_validator(mode="after")
    def _at_least_as_many(self) -> Self:
        if self.max_actors is not None and self.max_actors < self.min_actors:
            raise ValueError("max_actors is less than min_actors")
        return self

    @model_validator(mode="after")
    def _lets_nobody_else_in(self) -> Self:
        """Whoever reaches a Ray cluster without a token runs code on it, and on this node."""
        if self.address is None:
            return self
        if self.token_file is None:
            raise ValueError(
                "address needs token_file: without a token anybody who reaches the cluster runs code on it"
            )
        if self.tls is None and not self.is_local:
            raise ValueError(f"{self.address} is another machine: images and the token need tls on the way")
        return self

    @property
    def host(self) -> str:
        return (self.address or "").rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int((self.address or ":0").rpartition(":")[2])

    @property
    def is_local(self) -> bool:
        """Whether the cluster is this machine alone, at its loopback address."""
        return is_this_machine(self.host)
