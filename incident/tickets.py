"""Which ticket an incident opened: only that one counts when a person closes or reopens a ticket.

A ticket's label, or its ``correlation_id``, names an incident and proves nothing: a clone of the ticket has it, too,
and anyone who may edit tickets can add it to another one.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from incident.receipt import Receipt


class Ticket(BaseModel):
    """The ticket that a vendor reports, as far as the report states it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(default="", description="The ticket's name for people, such as OPS-1 or INC0010001.")
    record: str = Field(default="", description="The vendor's id of the record, such as ServiceNow's sys_id.")
    site: str = Field(default="", description="The site's host, and its port if the address has one.")

    @property
    def name(self) -> str:
        """The ticket for people."""
        return self.key or self.record or "a ticket without a name"


def site_of(url: str) -> str:
    """``acme.atlassian.net`` of a URL, with its port; empty if it is none."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.hostname}{port}" if parts.hostname else ""


def is_ticket_of(receipt: Receipt, ticket: Ticket) -> bool:
    """Whether a receipt is of this ticket. All that the vendor states must match, and it must name the ticket."""
    stated = ((ticket.key, receipt.id), (ticket.record, receipt.location), (ticket.site, site_of(receipt.url)))
    return bool(ticket.key or ticket.record) and all(value == known for value, known in stated if value)


def opened_ticket(receipts: Iterable[Receipt], vendor: str, ticket: Ticket) -> Receipt | None:
    """The receipt of the ticket, if one of these is; None if the report fits tickets of several sites."""
    found = {one.url: one for one in receipts if one.type == vendor and is_ticket_of(one, ticket)}
    return next(iter(found.values())) if len(found) == 1 else None
