"""The settings of webhooks: services that are told of events of studies."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from config.fields import Name
from config.peers import WebService


class Webhook(WebService):
    """A service that is told of events by POST, and how the node signs."""

    name: Name
    secret_file: Path
    events: tuple[Literal["reported", "failed", "quarantined", "discordant", "above_threshold"], ...] = Field(
        default=("reported", "failed", "quarantined", "discordant"), min_length=1
    )
    least_score: float | None = Field(default=None, ge=0, le=1)
    timeout_s: float = Field(default=15, gt=0)
    retry_first_s: float = Field(default=30, gt=0)
    retry_ceiling_s: float = Field(default=3600, gt=0)
    dead_after_s: float = Field(default=72 * 3600, gt=0)

    @model_validator(mode="after")
    def _threshold_is_a_score(self) -> Self:
        if ("above_threshold" in self.events) != (self.least_score is not None):
            raise ValueError('the event "above_threshold" and least_score go together')
        return self
