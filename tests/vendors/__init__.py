"""Stand-in vendors: real HTTP servers that check what they get and can be told to misbehave."""

from tests.vendors.jira import Jira
from tests.vendors.pagerduty import PagerDuty
from tests.vendors.server import Fault, Request, Vendor
from tests.vendors.slack import Slack

__all__ = ["Fault", "Jira", "PagerDuty", "Request", "Slack", "Vendor"]
