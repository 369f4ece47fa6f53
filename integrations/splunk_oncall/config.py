"""The keys of a Splunk On-Call destination in a policy."""

from typing import ClassVar

from pydantic import Field

from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class SplunkOnCallConfig(DestinationConfig):
    kind: ClassVar[Kind] = "page"
    callback_variable: ClassVar[str] = "SPLUNK_ONCALL_WEBHOOK_SECRET"

    api_key: SecretSetting = Field(
        description="The key of the REST integration: the part of its URL before the routing key."
    )
    routing_key: str = Field(
        pattern=r"^[\w.-]{1,100}$", description="The routing key, which selects the escalation policy."
    )

    def label(self) -> str:
        return self.routing_key
