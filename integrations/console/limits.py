"""The limits of a terminal. They are our own."""

MAX_LINES = 500
"""Incidents that a digest lists."""
