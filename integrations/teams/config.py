"""The keys of a Microsoft Teams destination in a policy."""

from typing import ClassVar

from pydantic import Field

from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class TeamsConfig(DestinationConfig):
    kind: ClassVar[Kind] = "post"

    webhook_url: SecretSetting = Field(description="The URL that the workflow shows. Anyone who has it can post.")
