"""Explains, tests and compares policies by simulating incidents, without Temporal."""
