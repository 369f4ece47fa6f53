"""The limits of Splunk On-Call's REST endpoint.

Source: https://help.splunk.com/splunk-observability-cloud/splunk-on-call (REST endpoint integration, "Recommended REST
endpoint integration fields").
"""

MAX_ENTITY = 512
"""Characters of entity_id."""
MAX_MESSAGE = 20_480
"""Characters of state_message."""
MAX_NAME = 1_024
"""UTF-16 units of entity_display_name. Our own limit."""
MAX_LINKS = 10
"""Annotations with links. Our own limit."""
MAX_LINK_TEXT = 100
"""UTF-16 units of an annotation's name. Our own limit."""
