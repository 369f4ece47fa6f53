"""The durable part: an incident from its first alert to its close, and the issues of a digest."""
