"""The keys of a Jira destination in a policy."""

from typing import Annotated, ClassVar

from pydantic import AnyHttpUrl, Field

from integrations.jira.limits import MAX_LABEL
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class JiraConfig(DestinationConfig):
    kind: ClassVar[Kind] = "ticket"
    callback_variable: ClassVar[str] = "JIRA_WEBHOOK_SECRET"
    header_secrets: ClassVar[frozenset[str]] = frozenset({"user", "token"})

    base_url: AnyHttpUrl  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    user: SecretSetting = Field(description="The e-mail address of the account.")
    token: SecretSetting = Field(description="An API token of the account.")
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,254}$", description="The project's key.")
    issue_type: str = Field(default="Task", min_length=1, max_length=60, description="An issue type of the project.")
    labels: tuple[Annotated[str, Field(pattern=rf"^\S{{1,{MAX_LABEL}}}$")], ...] = Field(
        default=(), description="Labels of every ticket. A label has no space."
    )

    def label(self) -> str:
        return f"{self.project} ({self.issue_type})"
