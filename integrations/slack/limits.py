"""The limits of Slack's Web API and Block Kit.

Source, unless stated otherwise: https://docs.slack.dev/reference/block-kit, each block and element. A longer field is
refused with ``invalid_blocks``.
"""

MAX_TEXT = 4_000
"""Characters of the argument ``text``. Source: chat.postMessage, "Truncating content"; more is ``msg_too_long``."""
MAX_BLOCKS = 50
"""Blocks of a message."""
MAX_BLOCK_JSON = 10_000
"""UTF-16 units of all blocks together, as JSON. Slack answers ``msg_blocks_too_long`` somewhere above 11,000 characters
of text, and documents no number: https://github.com/slackapi/bolt-js/issues/2509 and /2867."""
MAX_HEADER = 150
"""Characters of a header."""
MAX_BUTTON = 75
"""Characters of a button's text."""
MAX_BUTTON_VALUE = 2_000
"""Characters of a button's value."""
MAX_PLAIN_TEXT = 3_000
"""Characters of a text object, such as one in a context block."""
MAX_CONTEXT_ELEMENTS = 10
"""Elements of a context block."""
MAX_RICH = 3_000
"""UTF-16 units of one text of a rich_text block. Our own limit: Slack states none."""
MAX_SENTENCE = 1_200
"""UTF-16 units of a message's note, and of its reason. Our own limit: with both, and with JSON's escapes, a message
keeps its headline, state, buttons and incident within MAX_BLOCK_JSON."""
MAX_LINKS_JSON = 2_500
"""UTF-16 units of all links of a message, as JSON. Our own limit."""
MAX_URL = 3_000
"""Characters of a link's URL."""
MAX_FACTS = 20
"""Facts of a message. Our own limit."""
MAX_LINKS = 10
"""Links of a message. Our own limit."""
LINES_PER_BLOCK = 20
"""Lines of one block of a digest. Our own limit."""
PAGE_SIZE = 200
"""Messages of one page of conversations.history and conversations.replies. Slack recommends no more."""
MAX_PAGES = 50
"""Pages that a look-up before a retry reads. Our own limit: after it, a message may be posted twice."""
MESSAGES_PER_SECOND = 1
"""For each channel. Source: https://docs.slack.dev/apis/web-api/rate-limits. More is answered 429 with Retry-After,
which Temporal's retry obeys."""
