"""The mutations: which text of which file is replaced by what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["limits", "order", "repeats", "identity", "acknowledgements"]


@dataclass(frozen=True)
class Edit:
    """One replacement; ``old`` occurs exactly once in the file."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """A safeguard that is taken out. ``large`` ones need streams of large deliveries."""

    name: str
    kind: Kind
    edits: tuple[Edit, ...]
    large: bool = False


def _one(name: str, kind: Kind, file: str, old: str, new: str) -> Mutation:
    return Mutation(name, kind, (Edit(file, old, new),))


_NEVER_REFUSED = Edit(
    "gateway/temporal_errors.py",
    "    if not isinstance(error, RPCError):\n        return False\n    if error.status == "
    "RPCStatusCode.RESOURCE_EXHAUSTED:",
    "    return False\n    if error.status == RPCStatusCode.RESOURCE_EXHAUSTED:",
)
_ORDER, _REFIRES = "incident/order.py", "incident/refires.py"
_IDENTITY, _SEEN = "alerts/identity.py", "gateway/ingest/seen_events.py"
_EVENT_KEY = 'key = _key("", problem, alert.status, event_id, at, str(alert.value))'

MUTATIONS: Sequence[Mutation] = (
    # ── Temporal's limits ───────────────────────────────────────────────────────────────────────────────
    Mutation(
        "alerts are not bounded by their encoded size, and a refusal is retried for ever",
        "limits",
        (
            _NEVER_REFUSED,
            Edit("incident/limits.py", "MESSAGE_BYTES = 480 * 2**10", "MESSAGE_BYTES = 2**30"),
            Edit("incident/limits.py", "\nALERT_BYTES = 240 * 2**10", "\nALERT_BYTES = 2**30"),
            Edit("incident/limits.py", "KEPT_ALERT_BYTES = 32 * 2**10", "KEPT_ALERT_BYTES = 2**30"),
            Edit("gateway/ingest/spool_drain.py", "BATCH_BYTES = 2 * 2**20", "BATCH_BYTES = 2**30"),
        ),
        large=True,
    ),
    Mutation(
        "search attributes are cut by characters, and a refusal is retried for ever",
        "limits",
        (
            _NEVER_REFUSED,
            Edit("incident/limits.py", "SEARCH_ATTRIBUTE_LIMIT = 2048", "SEARCH_ATTRIBUTE_LIMIT = 2**20"),
        ),
    ),
    Mutation(
        "what a worker has to classify is not bounded",
        "limits",
        (
            Edit(
                "workflows/incident.py",
                "parts_of(triggered, MESSAGE_BYTES, ALERT_BYTES)",
                "[list(triggered)] if triggered else []",
            ),
        ),
        large=True,
    ),
    # ── Order ───────────────────────────────────────────────────────────────────────────────────────────
    _one(
        "an older clear closes",
        "order",
        _ORDER,
        "return at is not None and triggered is not None and at < triggered",
        "return False",
    ),
    _one(
        "an older trigger opens",
        "order",
        _ORDER,
        "return at is not None and cleared is not None and at < cleared and at != self.last_trigger(at)",
        "return False",
    ),
    _one(
        "the last clear ends with its incident",
        "order",
        "gateway/ingest/starter.py",
        "            if (stored := found.of_monitor()) != EventTimes():\n",
        "            stored = found\n            if False:\n",
    ),
    _one(
        "a problem that fires again after its clear pages nobody",
        "order",
        _REFIRES,
        '        return "after it had cleared"\n',
        '        return ""\n',
    ),
    _one(
        "an alert long after the last one pages nobody",
        "order",
        _REFIRES,
        "        if gap is not None and is_long and not is_repeat:",
        "        if gap is not None and False:",
    ),
    _one(
        "local time orders nothing",
        "order",
        "alerts/model.py",
        "return self.occurred_at.replace(tzinfo=None) if self.occurred_at and self.local_time else self.occurred_at",
        "return None if self.local_time else self.occurred_at",
    ),
    # ── Repeats ─────────────────────────────────────────────────────────────────────────────────────────
    _one(
        "monitors that share an event's id share its fate",
        "repeats",
        _SEEN,
        _EVENT_KEY,
        'key = _key("", alert.status, event_id)',
    ),
    Mutation(
        "a trigger and its clear with one id are one event",
        "repeats",
        (
            Edit(_SEEN, _EVENT_KEY, 'key = _key("", problem, event_id)'),
            Edit(_SEEN, "        first = self._known.get(keys.id)\n", "        first = None\n"),
        ),
    ),
    Mutation(
        "long ids are cut",
        "repeats",
        (
            Edit(
                _IDENTITY, '    return f"{values.clean(stated, _SHORT)}-{_sha256(stated)[:40]}"\n', "    return shown\n"
            ),
            Edit(_SEEN, _EVENT_KEY, 'key = _key("", problem, alert.status, event_id[:199])'),
            Edit(_SEEN, "        first = self._known.get(keys.id)\n", "        first = None\n"),
        ),
    ),
    Mutation(
        "any stated time identifies an event",
        "repeats",
        (
            Edit(
                "alerts/times.py",
                "    if alert_time is None:\n        return False\n",
                "    return alert_time is not None\n",
            ),
            Edit(
                _SEEN,
                "return keys.by_evaluation and keys.id in self._known and not self.is_shared(keys)",
                "return keys.by_evaluation and keys.id in self._known",
            ),
        ),
    ),
    _one(
        "an id of an episode swallows its later alerts",
        "repeats",
        _SEEN,
        _EVENT_KEY,
        'key = _key("", problem, alert.status, event_id)',
    ),
    _one(
        "nothing is recognised as a redelivery",
        "repeats",
        _SEEN,
        "        return None if entry is None or self.is_shared(keys) else Seen(entry)\n",
        "        return None\n",
    ),
    # ── Identity ────────────────────────────────────────────────────────────────────────────────────────
    _one(
        "a monitor's name counts beside its id",
        "identity",
        _IDENTITY,
        "        return (MONITOR, _short(_canonical_id(monitor_id)), *stated)\n",
        "        return (MONITOR, _short(_canonical_id(monitor_id)), exact(names[0]), *stated)\n",
    ),
    _one(
        "a stated segment does not count beside the id",
        "identity",
        _IDENTITY,
        "        return (MONITOR, _short(_canonical_id(monitor_id)), *stated)\n",
        "        return (MONITOR, _short(_canonical_id(monitor_id)))\n",
    ),
    _one(
        "long ids of monitors are cut", "identity", _IDENTITY, 'else f"{text[:40]}-{_sha256(text)}"', "else text[:40]"
    ),
    _one(
        "numbers are rounded",
        "identity",
        _IDENTITY,
        "    if isinstance(value, int | float):\n        return number_text(value)\n    return _canonical(value)\n",
        '    if isinstance(value, int | float):\n        return f"{float(value):g}"\n    return _canonical(value)\n',
    ),
    _one(
        "nested values do not count",
        "identity",
        _IDENTITY,
        "        return number_text(value)\n    return _canonical(value)\n",
        '        return number_text(value)\n    return ""\n',
    ),
    _one(
        "long values are cut",
        "identity",
        _IDENTITY,
        '        return unicodedata.normalize("NFC", value)\n    if isinstance(value, bool):',
        '        return unicodedata.normalize("NFC", value)[:255]\n    if isinstance(value, bool):',
    ),
    _one(
        "texts are compared in the form in which they were sent",
        "identity",
        _IDENTITY,
        '        return unicodedata.normalize("NFC", value)\n    if isinstance(value, bool):',
        "        return value\n    if isinstance(value, bool):",
    ),
    _one(
        "sixty-four keys of a segment count",
        "identity",
        _IDENTITY,
        "    return sorted(pairs, key=json.dumps)\n\n\ndef exact",
        "    return sorted(pairs[:64], key=json.dumps)\n\n\ndef exact",
    ),
    _one(
        "the operator of a filter does not count",
        "identity",
        _IDENTITY,
        "    return [operator, sorted(",
        '    return ["", sorted(',
    ),
    _one(
        "keys and values of a segment are joined",
        "identity",
        _IDENTITY,
        '        "segment": segment,\n',
        '        "segment": [f"{key}={item}" for key, item in segment],\n',
    ),
    _one(
        "the environment does not count",
        "identity",
        _IDENTITY,
        '        "environment": exact(look("environment")).strip().casefold(),\n',
        "",
    ),
    # ── Acknowledgements ────────────────────────────────────────────────────────────────────────────────
    _one(
        "an acknowledgement stops no step",
        "acknowledgements",
        "incident/actions.py",
        "        self._escalation.stop()\n        if not state.bounded:\n",
        "        if not state.bounded:\n",
    ),
    _one(
        "a withdrawn acknowledgement resumes nothing",
        "acknowledgements",
        "incident/actions.py",
        "        self._escalation.resume(now)\n",
        "",
    ),
)
