"""The limits of ServiceNow's table ``task``, in a new instance.

Source: https://www.servicenow.com/docs (Dictionary, "Max length" of each column; Table API). ServiceNow cuts a longer
value without a word.
"""

MAX_SHORT = 160
"""Characters of short_description."""
MAX_DESCRIPTION = 4_000
"""Characters of description."""
MAX_NOTE = 4_000
"""Characters of a work note."""
MAX_CORRELATION = 100
"""Characters of correlation_id, and of correlation_display."""
