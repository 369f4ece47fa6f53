"""The record chain: append-only, each record bound to the one before it, checkable without trusting us."""

from audit.chain import Finding, Record, check, record_hash
from audit.log import AuditLog, ConflictError, NewRecord

__all__ = ["AuditLog", "ConflictError", "Finding", "NewRecord", "Record", "check", "record_hash"]
