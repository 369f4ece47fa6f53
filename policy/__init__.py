"""The policy: a YAML file, checked completely when it is loaded, and ``decide(alert) -> Decision``."""

from policy.authoring.errors import PolicyError, Problem
from policy.decide import Policy
from policy.decision import ROLES, Decision, IncidentFacts, OnAckTimeout, Role, Step, Target, Tier, Verdict, loudest
from policy.destinations import DestinationConfig, SecretRef, SecretSetting
from policy.durations import format_duration, parse_duration
from policy.intake import Reading, read_payload
from policy.load import load_policy, parse_policy
from policy.source import PolicySource, read_source, short_digest
from policy.watchdog import Watchdog

__all__ = [
    "ROLES",
    "Decision",
    "DestinationConfig",
    "IncidentFacts",
    "OnAckTimeout",
    "Policy",
    "PolicyError",
    "PolicySource",
    "Problem",
    "Reading",
    "Role",
    "SecretRef",
    "SecretSetting",
    "Step",
    "Target",
    "Tier",
    "Verdict",
    "Watchdog",
    "format_duration",
    "load_policy",
    "loudest",
    "parse_duration",
    "parse_policy",
    "read_payload",
    "read_source",
    "short_digest",
]
