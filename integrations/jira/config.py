"""The keys of a Jira destination in a policy."""

from typing import ClassVar

from pydantic import AnyHttpUrl, Field

from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class JiraConfig(DestinationConfig):
    kind: ClassVar[Kind] = "ticket"

    base_url: AnyHttpUrl  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    user: SecretSetting = Field(description="The e-mail address of the account.")
    token: SecretSetting = Field(description="An API token of the account.")
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,254}$", description="The project's key.")
    issue_type: str = Field(default="Task", min_length=1, max_length=60, description="An issue type of the project.")
    labels: tuple[str, ...] = Field(default=(), description="Labels of every ticket.")

    def label(self) -> str:
        return f"{self.project} ({self.issue_type})"
