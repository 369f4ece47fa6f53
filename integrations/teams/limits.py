"""The limits of a webhook of Teams' Workflows app."""

MAX_MESSAGE = 28 * 1024
"""Bytes of a message. Source: https://learn.microsoft.com/microsoftteams/limits-specifications-teams. A larger one is
answered 413."""
MAX_BYTES = 25_000
"""Bytes of a card, as JSON in ASCII. Our own limit: MAX_MESSAGE includes what Teams adds to a card."""
MAX_TEXT = 2_000
"""UTF-16 units of one text. Our own limit."""
MAX_SENTENCE = 500
"""UTF-16 units of the headline, of the note beside the state, and of the text for notifications. Our own limit: one may
take six bytes in JSON, and all three stay within MAX_BYTES together with the actions."""
MAX_ACTIONS_BYTES = 8_000
"""Bytes of all actions of a card. Our own limit."""
MAX_ACTIONS = 6
"""Actions of a card. Source: https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-reference."""
MAX_ACTION_TITLE = 60
"""UTF-16 units of an action's title. Our own limit."""
MESSAGES_PER_SECOND = 4
"""Source: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit. More is answered 429, which
Temporal's retry obeys."""
