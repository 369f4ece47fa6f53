"""The rules as code: one YAML file, checked whole, and ``decide(alert) -> Decision``."""

from policy.decide import Policy
from policy.decision import Decision, IncidentFacts, Raise, Step, Target, Tier, Verdict
from policy.destinations import DestinationConfig, SecretRef, SecretSetting
from policy.durations import format_duration, parse_duration
from policy.errors import PolicyError, Problem
from policy.load import load_policy, parse_policy
from policy.source import PolicySource, read_source
from policy.watchdog import Watchdog

__all__ = [
    "Decision",
    "DestinationConfig",
    "IncidentFacts",
    "Policy",
    "PolicyError",
    "PolicySource",
    "Problem",
    "Raise",
    "SecretRef",
    "SecretSetting",
    "Step",
    "Target",
    "Tier",
    "Verdict",
    "Watchdog",
    "format_duration",
    "load_policy",
    "parse_duration",
    "parse_policy",
    "read_source",
]
