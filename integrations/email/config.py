"""The keys of an e-mail destination in a policy."""

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind

_ADDRESS = r'^([^<>@\r\n"]{1,100}<[^@\s<>",;]{1,64}@[^@\s<>",;]{1,190}>|[^@\s<>",;]{1,64}@[^@\s<>",;]{1,190})$'
Address = Annotated[str, Field(pattern=_ADDRESS)]


class EmailConfig(DestinationConfig):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True, serialize_by_alias=True)

    kind: ClassVar[Kind] = "post"

    smtp: SecretSetting = Field(
        description="The server: smtp://user:password@host:587 (STARTTLS), or smtps://…:465 (TLS from the start)."
    )
    sender: Address = Field(alias="from", description="The sender: an address, or Name <address>.")
    to: tuple[Address, ...] = Field(
        min_length=1, max_length=50, description="The recipients: one address each, or Name <address>."
    )

    def label(self) -> str:
        return ", ".join(self.to)
