"""One destination of the table of vendors, at its stand-in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incident.digest import Digest
from incident.notification import Notification
from incident.receipt import Receipt, Verb
from tests.integrations.notifications import make_notification, make_notifier, no_incident_url, send_digest
from tests.integrations.vendors_table import VendorCase


@dataclass
class VendorHarness:
    """One destination, named ``here``, at its stand-in."""

    type_name: str
    case: VendorCase
    vendor: Any
    folder: Path
    incident_url: Callable[[str], str] = no_incident_url

    def activity(self, base_url: str = "") -> Any:
        """The activity that sends to it; ``base_url`` replaces the stand-in's."""
        config = self.case.config.format(base_url or self.vendor.base_url)
        return getattr(make_notifier(self.folder, config, self.incident_url), self.case.activity)

    async def send_digest(self, digest: Digest, attempt: int = 1) -> Receipt:
        return await send_digest(self.folder, self.case.config.format(self.vendor.base_url), digest, attempt)

    def notification(self, verb: Verb = "notify", **changes: Any) -> Notification:
        return make_notification(self.case.activity, self.type_name, verb, **changes)

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.vendor.requests]

    @property
    def effects(self) -> list[str]:
        return self.case.effects(self.vendor)
