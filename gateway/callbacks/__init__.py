"""How people answer in the places that they were told in: a file a vendor, and one route for them all."""

from gateway.callbacks.routes import VENDORS, callback_routes

__all__ = ["VENDORS", "callback_routes"]
