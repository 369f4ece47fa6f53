"""The keys of a Microsoft Teams destination in a policy."""

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import Field

from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


class TeamsConfig(DestinationConfig):
    kind: ClassVar[Kind] = "post"

    webhook_url: SecretSetting = Field(description="The URL that the workflow shows. Anyone who has it can post.")

    def secret_faults(self, values: Mapping[str, str]) -> dict[str, str]:
        url = values.get("webhook_url", "")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        usable &= url.isascii() and url.isprintable() and " " not in url
        return {} if usable or not url else {"webhook_url": "is no URL that begins with https://"}
