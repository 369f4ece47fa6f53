"""The incident as a pure state machine: state, escalation, responder actions, outbox, message content. No Temporal."""
