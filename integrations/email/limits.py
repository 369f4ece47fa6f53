"""The limits of e-mail."""

MAX_LOCAL = 64
"""Octets before the @ of an address. Source: RFC 5321, 4.5.3.1.1."""
MAX_DOMAIN = 253
"""Characters of a domain in its ASCII form. Source: RFC 1035, 2.3.4: 255 octets, of which two are no characters."""
MAX_NAME = 100
"""Characters of a display name. Our own limit."""
MAX_RECIPIENTS = 50
"""Recipients of one destination. Our own limit; a server accepts 100 at least (RFC 5321, 4.5.3.1.8)."""
MAX_SUBJECT = 200
"""UTF-16 units of a subject. Our own limit."""
MAX_LINES = 500
"""Incidents that a digest lists. Our own limit: at some 800 bytes of HTML each, the e-mail stays far below the 10 MB
that servers commonly accept (SIZE, RFC 1870), and mail readers open it."""
MAX_MODELS = 200
"""Models that a trend report lists. Our own limit."""
