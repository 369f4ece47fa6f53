"""The rules as code: one YAML file, checked whole, and ``decide(alert) -> Decision``."""

from policy.decide import Policy
from policy.decision import Decision, IncidentFacts, Raise, Step, Target, Tier, Verdict
from policy.destinations import DestinationConfig, SecretRef, SecretSetting
from policy.durations import format_duration
from policy.errors import PolicyError, Problem
from policy.load import load_policy

__all__ = [
    "Decision",
    "DestinationConfig",
    "IncidentFacts",
    "Policy",
    "PolicyError",
    "Problem",
    "Raise",
    "SecretRef",
    "SecretSetting",
    "Step",
    "Target",
    "Tier",
    "Verdict",
    "format_duration",
    "load_policy",
]
