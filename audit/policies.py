"""Every policy that ever decided, by its digest: it explains any recorded decision."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from audit.database import Database
from audit.errors import AmbiguousDigestError
from audit.schema import policies
from policy import PolicySource


@dataclass(frozen=True)
class ArchivedPolicy:
    """A policy that decided, and when it was first loaded here."""

    digest: str
    since: datetime
    source: PolicySource


class PolicyArchive:
    """Append-only, in the audit log's database."""

    def __init__(self, url: str) -> None:
        """Open the archive at an SQLAlchemy URL. Nothing is asked of the database before the first use."""
        self._database = Database(url)

    def add(self, source: PolicySource, now: datetime) -> bool:
        """Archive a policy; durable on return. False if the archive has it already. Raises SQLAlchemyError."""
        with self._database.writing() as connection:
            known = connection.execute(select(policies.c.id).where(policies.c.digest == source.digest)).first()
            if known is None:
                connection.execute(policies.insert().values(digest=source.digest, since=now, content=source.to_json()))
        return known is None

    def find(self, digest: str) -> ArchivedPolicy | None:
        """The policy with this digest, or the only policy whose digest begins with it. Raises AmbiguousDigestError."""
        wanted = digest.partition("/")[0]  # a decision under TOCSIN_SPEED records the speed after a slash
        found = [archived for archived in self.all() if archived.digest.startswith(wanted)] if wanted else []
        if len(found) > 1:
            raise AmbiguousDigestError(f"{digest} may be {', '.join(archived.digest for archived in found)}")
        return found[0] if found else None

    def all(self) -> list[ArchivedPolicy]:
        """Every archived policy, in the order of their first use."""
        with self._database.reading() as connection:
            rows = connection.execute(select(policies).order_by(policies.c.id)).all()
        return [
            ArchivedPolicy(row.digest, row.since.replace(tzinfo=UTC), PolicySource.from_json(row.content))
            for row in rows
        ]

    def close(self) -> None:
        """Close the connections. A later use opens new ones."""
        self._database.close()
