"""The audit log: append-only, every record chained to the one before it, verifiable without trusting us.

The same database holds every policy that ever decided, and the digest ledger.
"""

from audit.chain import AuditRecord, ChainChecker, ChainFault, check, record_hash
from audit.digests import DigestLedger
from audit.errors import AlteredPolicyError, AmbiguousDigestError, ConflictError, SchemaError
from audit.group_commit import GroupCommitter
from audit.log import AuditLog, NewRecord
from audit.policies import ArchivedPolicy, PolicyArchive
from audit.verification import NOT_SHOWN, Verification, verify

__all__ = [
    "NOT_SHOWN",
    "AlteredPolicyError",
    "AmbiguousDigestError",
    "ArchivedPolicy",
    "AuditLog",
    "AuditRecord",
    "ChainChecker",
    "ChainFault",
    "ConflictError",
    "DigestLedger",
    "GroupCommitter",
    "NewRecord",
    "PolicyArchive",
    "SchemaError",
    "Verification",
    "check",
    "record_hash",
    "verify",
]
