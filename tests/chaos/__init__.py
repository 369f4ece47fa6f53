"""Chaos: real processes are killed, paused and starved under a steady stream of alerts, and the outcome is checked.

``python -m tests.chaos`` runs it (``make chaos``); ``tests/acceptance/test_chaos.py`` runs a short one.
"""
