"""The keys of an e-mail destination in a policy."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict, Field

from integrations.email.addresses import read_mailbox
from integrations.email.limits import MAX_RECIPIENTS
from integrations.email.server import ServerAddressError, read_server
from policy import DestinationConfig, SecretSetting
from policy.destinations import Kind


def _one_address(text: str) -> str:
    read_mailbox(text)
    return text


Address = Annotated[str, AfterValidator(_one_address), Field(min_length=3, max_length=512)]


class EmailConfig(DestinationConfig):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_alias=True, serialize_by_alias=True)

    kind: ClassVar[Kind] = "post"

    smtp: SecretSetting = Field(
        description="The server: smtp://user:password@host:587 (STARTTLS), or smtps://…:465 (TLS from the start)."
    )
    sender: Address = Field(alias="from", description="The sender: an address, or Name <address>.")
    to: tuple[Address, ...] = Field(
        min_length=1, max_length=MAX_RECIPIENTS, description="The recipients: one address each, or Name <address>."
    )

    def label(self) -> str:
        return ", ".join(self.to)

    def secret_faults(self, values: Mapping[str, str]) -> dict[str, str]:
        if "smtp" not in values:
            return {}
        try:
            read_server(values["smtp"])
        except ServerAddressError as error:
            return {"smtp": str(error)}
        return {}
