"""The keys of a Slack destination in a policy."""

from typing import Annotated, ClassVar

from pydantic import Field

from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class SlackConfig(DestinationConfig):
    kind: ClassVar[Kind] = "post"
    callback_variable: ClassVar[str] = "SLACK_SIGNING_SECRET"
    header_secrets: ClassVar[frozenset[str]] = frozenset({"token"})

    token: SecretSetting = Field(description="The app's bot token.")
    channel: str = Field(pattern=r"^(#[^\s#]{1,79}|[CGD][A-Z0-9]{6,})$", description="The channel: #name or its id.")
    mention: tuple[Annotated[str, Field(pattern=r"^(@[\w.-]+|[USW][A-Z0-9]{6,}|here|channel)$")], ...] = Field(
        default=(),
        description="Mentions in new messages: @usergroup, the id of a user or group, here or channel.",
    )
    buttons: bool = Field(
        default=True,
        description="Show buttons: Acknowledge, Resolve, Silence, False alarm. They need the app's interactivity.",
    )

    def label(self) -> str:
        return self.channel
