"""What all sections of the configuration share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    # The names in the file are the validation aliases; code says the name with its unit.
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
