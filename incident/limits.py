"""Sizes: Temporal's limits, and what Tocsin keeps within them. All in bytes as Temporal counts them, unless stated.

Temporal's limits are the defaults of its server (``common/dynamicconfig/constants.go`` in temporalio/temporal, release
1.32) and of https://docs.temporal.io/cloud/limits, whichever is smaller. A payload is counted as it is sent: encoded
as JSON, then encrypted. Encryption adds ``ENVELOPE_BYTES`` at most and no share, so Tocsin measures the JSON.
"""

# ── Temporal's limits ───────────────────────────────────────────────────────────────────────────────────────────────

BLOB_LIMIT = 2 * 2**20
"""``limit.blobSize.error``: one input, result, signal, memo or answer to a query. INVALID_ARGUMENT above it."""
BLOB_WARNING = 512 * 2**10
"""``limit.blobSize.warn``: above it, server and SDK log a warning for each payload."""
REQUEST_LIMIT = 4 * 2**20
"""gRPC's limit of a message, and ``system.transactionSizeLimit``: all commands of one workflow task together. The
server answers RESOURCE_EXHAUSTED above it, with the words "larger than max"."""
MEMO_LIMIT = 32 * 2**10
"""Temporal Cloud's limit of a workflow's memo; ``limit.memoSize.error`` of a server of your own is 2 MiB."""
SEARCH_ATTRIBUTE_LIMIT = 2048
"""``limit.saSizeOfValueLimit``: one value, as JSON in ASCII with its quotes. INVALID_ARGUMENT above it."""
KEYWORD_CHARS = 255
"""Characters of a keyword: PostgreSQL and MySQL keep it in a column of this width."""
SUMMARY_LIMIT = 200
"""A summary of a workflow, timer or activity (https://docs.temporal.io/encyclopedia/workflow/workflow-execution-limits:
``limit.userMetadataSummarySize`` is 400, with the payload's own fields and the encryption)."""
DETAILS_LIMIT = 20_000
"""``limit.userMetadataDetailsSize``: a workflow's details in the Temporal UI."""
SIGNALS_LIMIT = 10_000
"""``history.maximumSignalsPerExecution``: signals in one run. INVALID_ARGUMENT above it, until it continues as new."""
BUFFERED_EVENTS_LIMIT = 100
"""``history.maximumBufferedEventsBatch``: signals that arrive during one workflow task. More fail the task."""
TASK_TIMEOUT = 10.0
"""Seconds that one workflow task takes at most: the default of the server."""
HISTORY_LIMIT = 50 * 2**20
"""``limit.historySize.error``: the server terminates a run that grows beyond it."""
HISTORY_EVENTS_LIMIT = 50 * 2**10
"""``limit.historyCount.error``: events of one run, with the same end."""

# ── What Tocsin sends ───────────────────────────────────────────────────────────────────────────────────────────────

ENVELOPE_BYTES = 512
"""What a payload adds to its JSON: its fields, and those of the encryption."""
MESSAGE_BYTES = 480 * 2**10
"""The alerts of one signal, start or activity: below the warning, so eight of them fit into one request."""
ALERT_BYTES = 240 * 2**10
"""One alert that a worker still has to decide about."""
KEPT_ALERT_BYTES = 32 * 2**10
"""One alert that was decided about: in the state, in an audit event, in an activity's result."""
DECISION_BYTES = 64 * 2**10
"""A decision with its trace."""
BARE_ALERT_BYTES = 4 * 2**10
"""One alert after Temporal has refused it with all that it has."""
MEMO_BYTES = 16 * 2**10
"""An incident's memo."""
ACTION_TEXT_BYTES = 16 * 2**10
"""The note of a responder action: more than the 2,000 characters that the API accepts."""
ACTION_NAME_BYTES = 2**10
"""Each name in a responder action: more than the 200 characters that the API accepts."""
CHANGE_BYTES = 240 * 2**10
"""A change event."""

# ── What an incident keeps ──────────────────────────────────────────────────────────────────────────────────────────

STATE_BYTES = 1536 * 2**10
"""The input of the next run, which is the whole state: three quarters of a blob."""
CLOSED_STATE_BYTES = 256 * 2**10
"""What a closed incident leaves behind for what opens it again."""
INBOX_BYTES = 256 * 2**10
"""The part of it that was not processed yet."""
AUDIT_BATCH_BYTES = 480 * 2**10
"""The audit events that one activity writes."""
UNWRITTEN_BYTES = 640 * 2**10
"""The audit events that wait while the audit log is unavailable. Further ones are counted, and recorded as a count."""
PENDING_NOTES_BYTES = 64 * 2**10
"""The notifications that are pending for one destination: above this, it gets no further notes."""
