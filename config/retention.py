"""What is deleted, and when. Nothing is, unless it is set here: docs/retention.md."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from config.fields import Section

Days = Annotated[float, Field(gt=0)]


class Retention(Section):
    """The ages (days) after which files are deleted, and the free space below which images are."""

    images_days: Days | None = None
    not_read_days: Days | None = None
    quarantine_days: Days | None = None
    readings_days: Days | None = None
    results_days: Days | None = None
    refused_days: Days | None = None
    purge_below_free_mb: int | None = Field(default=None, ge=1)
    purge_until_free_mb: int | None = Field(default=None, ge=1)
    youngest_days: float = Field(default=30, ge=0)

    @model_validator(mode="after")
    def _watermarks_go_together(self) -> Retention:
        below, until = self.purge_below_free_mb, self.purge_until_free_mb
        if (below is None) != (until is None):
            raise ValueError("purge_below_free_mb and purge_until_free_mb go together")
        if below is not None and until is not None and until <= below:
            raise ValueError("purge_until_free_mb must be more than purge_below_free_mb")
        return self

    @property
    def is_on(self) -> bool:
        """Whether anything is ever deleted."""
        ages = (
            self.images_days,
            self.not_read_days,
            self.quarantine_days,
            self.readings_days,
            self.results_days,
            self.refused_days,
        )
        return self.purge_below_free_mb is not None or any(age is not None for age in ages)
