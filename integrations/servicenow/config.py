"""The keys of a ServiceNow destination in a policy."""

from typing import ClassVar

from pydantic import AnyHttpUrl, Field

from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class ServiceNowConfig(DestinationConfig):
    kind: ClassVar[Kind] = "ticket"
    callback_variable: ClassVar[str] = "SERVICENOW_WEBHOOK_SECRET"

    base_url: AnyHttpUrl  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    user: SecretSetting = Field(description="The account that opens tickets.")
    password: SecretSetting = Field(description="The account's password.")
    table: str = Field(default="incident", pattern=r"^[a-z][a-z0-9_]{1,79}$", description="The table of the tickets.")
    assignment_group: str = Field(
        default="",
        max_length=80,
        pattern=r"^[^\^=]*$",
        description="The group that tickets are assigned to: its name or sys_id.",
    )

    def label(self) -> str:
        return f"{self.table}{f' ({self.assignment_group})' if self.assignment_group else ''}"
