"""The keys of a PagerDuty destination in a policy."""

from typing import ClassVar

from pydantic import Field

from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class PagerDutyConfig(DestinationConfig):
    kind: ClassVar[Kind] = "page"
    callback_variable: ClassVar[str] = "PAGERDUTY_WEBHOOK_SECRET"

    routing_key: SecretSetting = Field(description="The integration key of a service's Events API v2 integration.")
    changes: bool = Field(
        default=True, description="Send changes (a new prompt or evaluator) as change events, which page nobody."
    )
