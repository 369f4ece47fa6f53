"""Whether a monitor of Arize notifies Tocsin."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

WEBHOOK_PATH = "/webhooks/arize"
"""The path of the gateway's endpoint, under whatever address it is reached."""


def is_tocsin_url(url: str) -> bool:
    """Whether a webhook's address is a Tocsin gateway's."""
    try:
        return urlsplit(url).path.rstrip("/").endswith(WEBHOOK_PATH)
    except ValueError:
        return False


def attached_webhooks(monitor: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The id and the address of each webhook that a monitor notifies. An address may be empty."""
    configs = monitor.get("notification_configs")
    if not isinstance(configs, list):
        return []
    mappings = [cast("Mapping[str, Any]", one) for one in cast("list[Any]", configs) if isinstance(one, Mapping)]
    return [
        (str(one.get("id") or ""), str(one.get("url") or ""))
        for one in mappings
        if str(one.get("type")).upper() == "WEBHOOK"
    ]


def has_webhook_of_tocsin(monitor: Mapping[str, Any]) -> bool:
    """Whether one of a monitor's webhooks is Tocsin's. An unknown address counts: in doubt, louder."""
    return any(not url or is_tocsin_url(url) for _, url in attached_webhooks(monitor))


def notifies_tocsin(monitor: Mapping[str, Any]) -> bool:
    """Whether the monitor's owners want Tocsin notified: notifications are on, and one goes to a webhook of Tocsin.

    A monitor object without a list of notifications counts: in doubt, louder.
    """
    if monitor.get("notifications_enabled") is False:
        return False
    return not isinstance(monitor.get("notification_configs"), list) or has_webhook_of_tocsin(monitor)
