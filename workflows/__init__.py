"""Temporal workflows: they feed events to the incident's state machine and run what it queues."""
