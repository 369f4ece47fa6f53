"""The policy: a YAML file, checked completely when it is loaded, and ``decide(alert) -> Decision``."""

from policy.authoring.errors import PolicyError, Problem
from policy.decide import Policy
from policy.decision import Decision, IncidentFacts, OnAckTimeout, Step, Target, Tier, Verdict
from policy.destinations import DestinationConfig, SecretRef, SecretSetting
from policy.durations import format_duration, parse_duration
from policy.load import load_policy, parse_policy
from policy.source import PolicySource, read_source
from policy.watchdog import Watchdog

__all__ = [
    "Decision",
    "DestinationConfig",
    "IncidentFacts",
    "OnAckTimeout",
    "Policy",
    "PolicyError",
    "PolicySource",
    "Problem",
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
