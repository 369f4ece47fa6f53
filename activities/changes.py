"""The activities ``list_change_subscribers`` and ``send_change_event``: changes that Arize reports."""

from collections.abc import Mapping

from temporalio import activity

from activities.contracts import ChangeNotification
from activities.errors import integration_errors
from activities.notify import find_destination
from incident.change import Change
from incident.receipt import Receipt
from integrations.base.destination import Destination
from integrations.base.errors import normalize


class ChangeNotifier:
    """Sends change events to the destinations that receive them."""

    def __init__(self, destinations: Mapping[str, Destination]) -> None:
        self._destinations = destinations

    @activity.defn(name="list_change_subscribers")
    async def list_change_subscribers(self, change: Change) -> list[str]:
        """The names of the destinations that receive changes."""
        del change
        return sorted(name for name, destination in self._destinations.items() if destination.receives_changes)

    @activity.defn(name="send_change_event")
    async def send_change_event(self, notification: ChangeNotification) -> Receipt:
        """Send a change to one destination."""
        with integration_errors():
            destination = find_destination(self._destinations, notification.destination)
            return await normalize(destination, destination.send_change_event(notification.change))
