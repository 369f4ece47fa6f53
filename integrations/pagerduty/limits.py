"""The limits of PagerDuty's Events API v2.

Source, unless stated otherwise: https://developer.pagerduty.com/docs/events-api-v2-overview and
/docs/send-alert-event ("PD-CEF"). A longer field is refused with 400.
"""

MAX_SUMMARY = 1024
"""Characters of payload.summary."""
MAX_KEY = 255
"""Characters of dedup_key."""
MAX_EVENT = 512 * 1024
"""Bytes of an event, as JSON."""
MAX_SOURCE = 255
"""UTF-16 units of payload.source. Our own limit."""
MAX_FIELD = 255
"""UTF-16 units of payload.component, group and class. Our own limit."""
MAX_DETAIL = 2_000
"""UTF-16 units of one of custom_details. Our own limit: nobody reads more on a phone."""
MAX_DETAIL_NAME = 100
"""UTF-16 units of the name of one of custom_details. Our own limit."""
MAX_DETAILS = 30
"""Entries of custom_details. Our own limit: 30 of them, each with six bytes of JSON a unit, stay below MAX_EVENT."""
MAX_LINKS = 10
"""Links of an event. Our own limit."""
MAX_LINK_TEXT = 255
"""UTF-16 units of a link's text. Our own limit."""
