"""What can go wrong with the audit log, other than its database being unavailable."""

from typing import ClassVar

from alerts import TocsinError


class ConflictError(TocsinError):
    """The log holds another event under this key."""

    code: ClassVar[str] = "audit_key_conflict"


class SchemaError(TocsinError):
    """The audit database has a schema that this version does not know."""

    code: ClassVar[str] = "audit_schema_unknown"


class AmbiguousDigestError(TocsinError, LookupError):
    """Several policies have a digest that begins like this."""

    code: ClassVar[str] = "policy_digest_ambiguous"


class AlteredPolicyError(TocsinError, LookupError):
    """The text of an archived policy does not match its digest."""

    code: ClassVar[str] = "policy_altered"
