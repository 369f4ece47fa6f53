"""An alert of any content fits into any limit, and says what it lacks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import Alert, normalise
from alerts.bounded import ascii_size, bounded, cut_labels, cut_text, json_size

HOSTILE = st.text(st.sampled_from('ab"\\/ é\N{FIRE}\u2028'), max_size=600)
LABELS = st.dictionaries(HOSTILE, HOSTILE, max_size=70)


@given(
    st.fixed_dictionaries(dict.fromkeys(("monitor", "metric", "model", "notes", "formula", "url"), HOSTILE)),
    LABELS,
    LABELS,
    st.sampled_from([4096, 32_768, 245_760]),
)
def test_bounded_alert_fits_and_keeps_numbers(
    texts: dict[str, str], segment: dict[str, str], tags: dict[str, str], limit: int
) -> None:
    alert = Alert(**texts, segment=segment, tags=tags, value=0.31, threshold=0.05, identity=tuple(segment), raw=texts)  # pyright: ignore[reportArgumentType]
    found = bounded(alert, limit)
    assert json_size(found) <= limit
    assert (found.value, found.threshold, found.raw) == (0.31, 0.05, {})
    assert found.url in {"", alert.url}
    if len(found.tags) < len(tags) and found.tags:
        assert found.tags["…"] == f"and {len(tags) - len(found.tags) + 1} more"
    assert bounded(found, limit) == found


@given(HOSTILE, st.integers(20, 2048), st.sampled_from([json_size, ascii_size]))
def test_cut_text_fits_and_is_a_beginning(text: str, limit: int, size: Any) -> None:
    found = cut_text(text, limit, size)
    assert size(found) <= limit
    assert found == text or (found.endswith("…") and text.startswith(found[:-1]))


def test_every_text_of_an_alert_can_be_cut() -> None:
    """A new text field of the alert is bounded, too."""
    texts = {name: "\N{FIRE}" * 9000 for name, field in Alert.model_fields.items() if field.annotation is str}
    assert json_size(bounded(Alert(**texts), 4096)) <= 4096  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("limit", [4096, 32_768])
def test_alert_that_fits_is_unchanged(limit: int) -> None:
    alert = normalise({"monitor_id": "m-1", "metric": "error_rate", "value": 0.3, "segment": {"tier": "premium"}})
    assert bounded(alert, limit) == alert.model_copy(update={"raw": {}})


def test_dropped_labels_are_counted() -> None:
    labels = {f"label {number}": "x" * 100 for number in range(10)}
    assert cut_labels(labels, 400) == {**dict(list(labels.items())[:3]), "…": "and 7 more"}
