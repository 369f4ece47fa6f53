"""The normalised alert, and the reader that makes one of a webhook's body.

>>> alert = read_alert(b'{"monitor_name": "churn PSI", "status": "TRIGGERED", "metric_value": "0.31"}')
>>> alert.monitor, alert.status, alert.value
('churn PSI', 'triggered', 0.31)
"""

from alerts.body import read_body
from alerts.errors import AlertError, BodyError, TocsinError
from alerts.fingerprint import fingerprint, incident_id
from alerts.model import Alert, Status
from alerts.normalise import FIELD_OF, is_change, normalise, read_alert
from alerts.values import clean, web_address

__all__ = [
    "FIELD_OF",
    "Alert",
    "AlertError",
    "BodyError",
    "Status",
    "TocsinError",
    "clean",
    "fingerprint",
    "incident_id",
    "is_change",
    "normalise",
    "read_alert",
    "read_body",
    "web_address",
]
