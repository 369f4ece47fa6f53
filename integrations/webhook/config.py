"""The keys of a webhook destination in a policy."""

from typing import ClassVar

from pydantic import AnyHttpUrl, Field

from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class WebhookConfig(DestinationConfig):
    kind: ClassVar[Kind] = "post"
    header_secrets: ClassVar[frozenset[str]] = frozenset({"headers"})

    url: AnyHttpUrl = Field(description="The URL that messages are posted to.")
    secret: SecretSetting | None = Field(
        default=None, description="The signing secret: whsec_ and base64, or any text."
    )
    headers: dict[str, SecretSetting] = Field(default={}, description="Further headers, such as Authorization.")

    def label(self) -> str:
        return self.url.host or ""
