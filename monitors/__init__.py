"""Monitors as code: declarations of Arize monitors in YAML, and the plan that makes a tenant have them."""

from monitors.load import Declarations, MonitorsError, load_monitors, parse_monitors
from monitors.plan import Change, Plan, PlanError, make_plan
from monitors.resolve import Desired, Resolution, resolve
from monitors.tenant import Integration, Observed, Project, Tenant

__all__ = [
    "Change",
    "Declarations",
    "Desired",
    "Integration",
    "MonitorsError",
    "Observed",
    "Plan",
    "PlanError",
    "Project",
    "Resolution",
    "Tenant",
    "load_monitors",
    "make_plan",
    "parse_monitors",
    "resolve",
]
