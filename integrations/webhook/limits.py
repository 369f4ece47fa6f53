"""The limits of signed webhooks. The receiver is anybody's: these are our own."""

MAX_BODY = 256 * 1024
"""Bytes of a body. Tocsin itself accepts no more, and other receivers commonly 1 MB."""
