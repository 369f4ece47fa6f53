"""The limits of Opsgenie's Alert API.

Source: https://docs.opsgenie.com/docs/alert-api, "Create Alert", "Acknowledge Alert" and "Close Alert": characters of
each field. Opsgenie cuts some of them, and refuses others with 422.
"""

MAX_MESSAGE = 130
MAX_ALIAS = 512
MAX_DESCRIPTION = 15_000
MAX_ENTITY = 512
MAX_NOTE = 25_000
MAX_DETAILS = 8_000
"""Characters of all keys and values of ``details`` together."""
MAX_TAGS = 20
MAX_TAG = 50
"""Characters of one tag."""
MAX_RESPONDERS = 50
"""Teams, users, escalations and schedules of one alert."""
