"""Every policy that ever decided, by its digest: what a recorded decision meant can always be looked up."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from audit.database import Database
from audit.schema import policies
from policy import PolicySource


@dataclass(frozen=True)
class Kept:
    """A policy that decided, and when it first came into force here."""

    digest: str
    since: datetime
    source: PolicySource


class KeptPolicies:
    """Append-only, beside the audit log."""

    def __init__(self, url: str) -> None:
        """At an SQLAlchemy address; its first use makes the table."""
        self._database = Database(url)

    def keep(self, source: PolicySource, now: datetime) -> bool:
        """Keep a policy, durably when this returns. False where it is kept already. Raises SQLAlchemyError."""
        with self._database.writing() as connection:
            there = connection.execute(select(policies.c.id).where(policies.c.digest == source.digest)).first()
            if there is None:
                connection.execute(policies.insert().values(digest=source.digest, since=now, content=source.to_json()))
        return there is None

    def find(self, digest: str) -> Kept | None:
        """The policy with this digest, or with the only one that begins so. Raises LookupError where several do."""
        wanted = digest.partition("/")[0]  # a decision made with TOCSIN_SPEED says so behind a slash
        found = [kept for kept in self.all() if kept.digest.startswith(wanted)] if wanted else []
        if len(found) > 1:
            raise LookupError(f"{digest} may be {', '.join(kept.digest for kept in found)}")
        return found[0] if found else None

    def all(self) -> list[Kept]:
        """In the order in which they came into force."""
        with self._database.reading() as connection:
            rows = connection.execute(select(policies).order_by(policies.c.id)).all()
        return [Kept(row.digest, row.since.replace(tzinfo=UTC), PolicySource.from_json(row.content)) for row in rows]

    def close(self) -> None:
        self._database.close()
