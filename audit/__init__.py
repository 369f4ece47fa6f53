"""The record chain: append-only, each record bound to the one before it, checkable without trusting us.

Beside it, every policy that ever decided.
"""

from audit.chain import Finding, Record, check, record_hash
from audit.digests import DigestLedger
from audit.log import AuditLog, ConflictError, NewRecord
from audit.policies import Kept, KeptPolicies

__all__ = [
    "AuditLog",
    "ConflictError",
    "DigestLedger",
    "Finding",
    "Kept",
    "KeptPolicies",
    "NewRecord",
    "Record",
    "check",
    "record_hash",
]
