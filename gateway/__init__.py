"""The HTTP side of Tocsin: webhooks, callbacks, the API, the incident page and the operations endpoints."""
