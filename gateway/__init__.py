"""The HTTP face: webhooks in, callbacks in, the API, and what operations need."""
