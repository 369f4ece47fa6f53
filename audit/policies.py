"""Every policy that ever decided, by its digest: it explains any recorded decision."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from audit.database import Database
from audit.errors import AlteredPolicyError, AmbiguousDigestError
from audit.schema import policies
from policy import PolicySource

_SHORT = 12
"""Version 1.0.0 kept so many digits of a digest."""


@dataclass(frozen=True)
class ArchivedPolicy:
    """A policy that decided, and when it was first loaded here. ``content`` is its files as JSON."""

    digest: str
    since: datetime
    content: str

    @property
    def source(self) -> PolicySource:
        """Its files. Raises AlteredPolicyError if they are not the ones that the digest was computed from."""
        try:
            found = PolicySource.from_json(self.content)
        except (ValueError, TypeError, KeyError):
            raise AlteredPolicyError(
                f"the archived policy {self.digest} was edited: its content cannot be read"
            ) from None
        if self.digest not in {found.digest, found.digest[:_SHORT]}:
            raise AlteredPolicyError(
                f"the archived policy {self.digest} was edited: its text has the digest {found.digest}"
            )
        return found

    @property
    def fault(self) -> str:
        """Why the text is not the one that decided; empty if it is."""
        try:
            _ = self.source
        except AlteredPolicyError as error:
            return str(error)
        return ""


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
        """The policy with this digest, or the only one whose digest begins with it.

        Version 1.0.0 recorded the first twelve digits: a policy that it archived, and a later one again, is one
        policy, in force since the first time.

        Raises:
            AmbiguousDigestError: several policies have such a digest.
            AlteredPolicyError: the text has another digest than that of the archive, or of the decision.
        """
        wanted = digest.partition("/")[0]  # a decision under TOCSIN_SPEED records the speed after a slash
        named = [
            one for one in self.all() if wanted and (one.digest.startswith(wanted) or wanted.startswith(one.digest))
        ]
        whole = {one.source.digest: one for one in reversed(named)}
        found = {known: one for known, one in whole.items() if known.startswith(wanted)}
        if len(found) > 1:
            raise AmbiguousDigestError(f"{digest} may be {', '.join(sorted(found))}")
        if named and not found:
            raise AlteredPolicyError(f"the archived text of {digest} has another digest: it is not what decided")
        return next(iter(found.values()), None)

    def all(self) -> list[ArchivedPolicy]:
        """Every archived policy, in the order of their first use."""
        with self._database.reading() as connection:
            rows = connection.execute(select(policies).order_by(policies.c.id)).all()
        return [ArchivedPolicy(row.digest, row.since.replace(tzinfo=UTC), row.content) for row in rows]

    def close(self) -> None:
        """Close the connections. A later use opens new ones."""
        self._database.close()
