"""The archive of policies: what decided can be read again, and nothing else is shown in its place."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text

from audit import AlteredPolicyError, AmbiguousDigestError, PolicyArchive
from policy import PolicySource, short_digest

NOW = datetime(2026, 11, 24, tzinfo=UTC)
SOURCE = PolicySource((("policy.yaml", b"version: 1\n"),))
OTHER = PolicySource((("policy.yaml", b"version: 1\nrules: []\n"),))


def insert(url: str, digest: str, content: str, day: int = 0) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO policies (digest, since, content) VALUES (:digest, :since, :content)"),
            {"digest": digest, "since": NOW + timedelta(days=day), "content": content},
        )
    engine.dispose()


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


def test_digest_is_whole(url: str) -> None:
    archive = PolicyArchive(url)
    assert archive.add(SOURCE, NOW)
    assert len(SOURCE.digest) == 64
    for named in (SOURCE.digest, short_digest(SOURCE.digest), f"{SOURCE.digest}/60"):
        found = archive.find(named)
        assert found
        assert found.source == SOURCE
    assert archive.find("0" * 64) is None
    archive.close()


@pytest.mark.parametrize("content", [OTHER.to_json(), "[]x", '[["a", 5]]', "null"])
def test_changed_text_is_not_shown(url: str, content: str) -> None:
    archive = PolicyArchive(url)
    archive.add(OTHER, NOW)
    insert(url, SOURCE.digest, content)
    with pytest.raises(AlteredPolicyError, match="was edited"):
        archive.find(SOURCE.digest)
    assert [bool(archived.fault) for archived in archive.all()] == [False, True]
    assert archive.find(OTHER.digest)
    archive.close()


def test_short_digest_of_an_earlier_release_is_the_same_policy(url: str) -> None:
    archive = PolicyArchive(url)
    archive.add(OTHER, NOW)
    insert(url, short_digest(SOURCE.digest), SOURCE.to_json(), day=1)
    assert archive.add(SOURCE, NOW + timedelta(days=2))
    for named in (SOURCE.digest, short_digest(SOURCE.digest)):
        found = archive.find(named)
        assert found
        assert (found.source, found.since) == (SOURCE, NOW + timedelta(days=1))
    archive.close()


def test_decision_with_another_whole_digest_is_refused(url: str) -> None:
    """The first digits are equal: an earlier release's row does not prove the text of this decision."""
    archive = PolicyArchive(url)
    archive.add(OTHER, NOW)
    insert(url, short_digest(SOURCE.digest), SOURCE.to_json())
    with pytest.raises(AlteredPolicyError, match="is not what decided"):
        archive.find(short_digest(SOURCE.digest) + "0" * 52)
    archive.close()


def test_ambiguous_digest_names_the_candidates(url: str) -> None:
    archive = PolicyArchive(url)
    sources = [PolicySource((("a.yaml", str(number).encode()),)) for number in range(40)]
    for source in sources:
        archive.add(source, NOW)
    first = sources[0].digest[0]
    assert sum(source.digest.startswith(first) for source in sources) > 1
    with pytest.raises(AmbiguousDigestError, match=sources[0].digest):
        archive.find(first)
    archive.close()
