"""What obligations an incident has: who must close it, who owns it, and the tickets that it opens."""

from collections.abc import Mapping, Sequence

from alerts import Alert
from policy import Decision


def new_obligations(before: Decision, after: Decision) -> str:
    """What was adopted, in words; empty if nothing was."""
    tickets = ", ".join(one.name for one in after.tickets if one not in before.tickets)
    says = {
        f"regulated, closed by a person with the role {after.closed_by}": after.regulated != before.regulated,
        f"closed by a person with the role {after.closed_by}": after.closed_by != before.closed_by and before.regulated,
        f"owner {after.owner}": after.owner != before.owner,
        f"team {after.team}": after.team != before.team,
        f"ticket {tickets}": bool(tickets),
    }
    return "; ".join(text for text, is_new in says.items() if is_new)


def names_more(alert: Alert, known: Sequence[Alert | None]) -> bool:
    """Whether an alert has a name, a tag or a segment that no known one has."""
    forms = [form for one in known if one for form in (one, one.as_read())]
    texts = ("model", "project", "project_id", "environment", "region")
    return any(
        (value := getattr(alert, name)) and all(value != getattr(one, name) for one in forms) for name in texts
    ) or any(
        not any(_within(getattr(alert, name), getattr(one, name)) for one in forms) for name in ("tags", "segment")
    )


def _within(labels: Mapping[str, str], others: Mapping[str, str]) -> bool:
    return labels.items() <= others.items()
