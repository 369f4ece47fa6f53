"""Stand-ins for vendors: real HTTP servers that validate each request and can fail by script."""

from tests.vendors.arize import Arize, ArizeTenant
from tests.vendors.jira import Jira
from tests.vendors.opsgenie import Opsgenie
from tests.vendors.pagerduty import PagerDuty
from tests.vendors.receiver import Receiver
from tests.vendors.server import Fault, Request, Vendor
from tests.vendors.servicenow import ServiceNow
from tests.vendors.slack import Slack
from tests.vendors.splunk_oncall import SplunkOnCall
from tests.vendors.teams import Teams

__all__ = [
    "Arize",
    "ArizeTenant",
    "Fault",
    "Jira",
    "Opsgenie",
    "PagerDuty",
    "Receiver",
    "Request",
    "ServiceNow",
    "Slack",
    "SplunkOnCall",
    "Teams",
    "Vendor",
]
