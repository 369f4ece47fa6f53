"""The normalised alert, and the reader that makes one of a webhook's body.

>>> alert = read_alert(b'{"monitor_name": "churn PSI", "status": "TRIGGERED", "metric_value": "0.31"}')
>>> alert.monitor, alert.status, alert.value
('churn PSI', 'triggered', 0.31)
"""

from alerts.addresses import domain_to_ascii, normal_address
from alerts.body import read_body, read_json
from alerts.description import Description, described, needs_description
from alerts.errors import AlertError, BodyError, TocsinError
from alerts.fingerprint import fingerprint, incident_id
from alerts.lookup import FIELD_OF
from alerts.model import Alert, Status
from alerts.normalise import is_change, normalise, read_alert
from alerts.times import plausible_time
from alerts.unreadable import Shape, shape_of_fault, shape_of_json, unreadable_alert
from alerts.values import clean, web_address

__all__ = [
    "FIELD_OF",
    "Alert",
    "AlertError",
    "BodyError",
    "Description",
    "Shape",
    "Status",
    "TocsinError",
    "clean",
    "described",
    "domain_to_ascii",
    "fingerprint",
    "incident_id",
    "is_change",
    "needs_description",
    "normal_address",
    "normalise",
    "plausible_time",
    "read_alert",
    "read_body",
    "read_json",
    "shape_of_fault",
    "shape_of_json",
    "unreadable_alert",
    "web_address",
]
