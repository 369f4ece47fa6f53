"""What obligations an incident has: who must close it, who owns it, and the tickets that it opens."""

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
