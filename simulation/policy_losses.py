"""What a change of the policy loses, whatever the history holds: pages, regulation and other messages.

A secret that goes to another host is among it.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AnyUrl, BaseModel

from alerts import Alert
from policy.decide import CompiledRule, Policy
from policy.decision import ROLES, Decision, Target
from policy.destinations import DestinationConfig, SecretRef
from simulation.difference import difference
from simulation.regulation import narrower

LossKind = Literal["lost page", "lost regulation", "moved secret", "quieter"]
_SAME_PLACE = frozenset(
    {"schedule", "timezone", "when_empty", "trend", "buttons", "changes", "mention", "labels", "type"}
)
"""Keys of a destination that do not change who receives its messages. The type is compared by itself."""
Identity = tuple[str, str]


@dataclass(frozen=True)
class Loss:
    """One thing that is lost, as a sentence."""

    kind: LossKind
    text: str


@dataclass
class _Side:
    """One of the two policies, with what its destinations are at their vendors."""

    policy: Policy
    places: dict[str, Identity] = field(init=False)

    def __post_init__(self) -> None:
        self.places = {name: _identity(config) for name, config in self.policy.destinations.items()}

    def among(self, targets: Iterable[Target], *kinds: str) -> dict[Identity, Target]:
        """The targets of these kinds by what they are: the same place under another name is the same."""
        return {self.places[one.name]: one for one in targets if one.kind in kinds and one.name in self.places}

    def rules(self) -> dict[str, CompiledRule]:
        policy = self.policy
        return {rule.name: rule for rule in (*policy.rules, policy.unmapped, policy.otherwise, policy.unreadable)}


def losses(old: Policy, new: Policy) -> tuple[Loss, ...]:
    """Everything that the new policy loses, the worst first, each once."""
    before, after = _Side(old), _Side(new)
    found = [
        *_moved_secrets(old, new),
        *_lost_by_rules(before, after),
        *_lost_by_watchdog(before, after),
        *_lost_regulation(before, after),
        *_lost_digests(before, after),
    ]
    order: list[LossKind] = ["lost page", "lost regulation", "moved secret", "quieter"]
    return tuple(sorted(dict.fromkeys(found), key=lambda loss: order.index(loss.kind)))


def _identity(config: DestinationConfig) -> Identity:
    place = config.model_dump_json(by_alias=True, exclude=set(_SAME_PLACE))
    return config.type, place


def _label(side: _Side, target: Target) -> str:
    where = side.policy.destinations[target.name].label()
    return f"{target.name} ({target.type}{f', {where}' if where else ''})"


def _steps(decision: Decision) -> list[Target]:
    return [target for step in decision.steps for target in step.notify]


def _later(decision: Decision) -> list[Target]:
    """Those that are notified if nobody acknowledges."""
    timeout = decision.on_ack_timeout
    return [target for step in timeout.steps for target in step.notify] if timeout else []


def _lost_by_rules(before: _Side, after: _Side) -> Iterator[Loss]:
    pages: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    by_condition = {rule.condition.source: rule for rule in after.policy.rules if rule.condition}
    for name, rule in before.rules().items():
        same = by_condition.get(rule.condition.source) if rule.condition else None
        now = after.rules().get(name) or same
        if now is None:
            if before.among(_steps(rule.decision), "page"):
                yield Loss("lost page", f"the rule {name}, which pages, is removed")
            continue
        for text in _lost_pages(before, after, rule, now):
            pages.setdefault(text, []).append(name)
        for text in _lost_messages(before, after, rule, now):
            others.setdefault(text, []).append(name)
    yield from (Loss("lost page", f"{text}: {_named(names)}") for text, names in pages.items())
    yield from (Loss("quieter", f"{text}: {_named(names)}") for text, names in others.items())


def _lost_pages(before: _Side, after: _Side, rule: CompiledRule, now: CompiledRule) -> Iterator[str]:
    old, new = rule.decision, now.decision
    if difference(old, new) == "stops paging":
        yield "no alert pages any more"
    for is_severe, text in _dropped_pagers(before, after, old, new):
        if is_severe:
            yield text
    fallback = after.among(new.fallback, "page")
    for place, target in before.among(old.fallback, "page").items():
        if place not in fallback:
            yield f"{_label(before, target)} is not paged any more if others cannot be reached"
    if rule.notify_owner and not now.notify_owner:
        yield "the owner is not notified any more"


def _dropped_pagers(before: _Side, after: _Side, old: Decision, new: Decision) -> Iterator[tuple[bool, str]]:
    """Pagers that no step notifies any more.

    It is severe if the pager has become something else, was notified first, or has no other pager beside it. One
    that leaves a later step in which others stay makes the incident quieter.
    """
    for way, phrase in ((_steps, "is not paged any more"), (_later, "is not paged any more without acknowledgement")):
        first = next((step.notify for step in old.steps if before.among(step.notify, "page")), ())
        kept = after.among([*way(new), *_steps(new)], "page")
        later = after.among([*_steps(new)[len(new.steps[0].notify if new.steps else ()) :], *_later(new)], "page")
        for place, target in before.among(way(old), "page").items():
            if place not in kept:
                swapped = after.places.get(target.name, place) != place
                yield swapped or target in first or not later, f"{_label(before, target)} {phrase}"


def _lost_messages(before: _Side, after: _Side, rule: CompiledRule, now: CompiledRule) -> Iterator[str]:
    old, new = rule.decision, now.decision
    for name, phrase in (("tickets", "opens no ticket any more"), ("fallback", "is no fallback any more")):
        kept = after.among(getattr(new, name), "post", "ticket", "console")
        for place, target in before.among(getattr(old, name), "post", "ticket").items():
            if place not in kept:
                yield f"{_label(before, target)} {phrase}"
    yield from (text for is_severe, text in _dropped_pagers(before, after, old, new) if not is_severe)
    posts = after.among(_steps(new), "post")
    for place, target in before.among(_steps(old), "post").items():
        if place not in posts:
            yield f"{_label(before, target)} is not notified any more"
    if (kind := difference(old, new)) in {"quieter", "pages later"}:
        yield f"{old.tier} before, {new.tier} now" if kind == "quieter" else "later pages than before"
    for key in ("respond_within", "remind"):
        earlier, later = getattr(old, key), getattr(new, key)
        if earlier is not None and (later is None or later > earlier):
            yield f"{key} is longer, or gone"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def _lost_by_watchdog(before: _Side, after: _Side) -> Iterator[Loss]:
    old, new = before.policy.watchdog, after.policy.watchdog
    if old is None:
        return
    if new is None:
        yield Loss("lost page", "watchdog: nobody is notified of problems of Tocsin itself any more")
        return
    kept = after.among(new.notify, "page", "post", "console")
    for place, target in before.among(old.notify, "page", "post", "console").items():
        if place not in kept:
            kind: LossKind = "lost page" if target.kind == "page" else "quieter"
            yield Loss(
                kind, f"watchdog: {_label(before, target)} is not notified of problems of Tocsin itself any more"
            )
    if old.heartbeat and (new.heartbeat is None or new.heartbeat.url != old.heartbeat.url):
        yield Loss(
            "lost page", "watchdog: the heartbeat, which alarms when all of Tocsin stops, is gone or goes elsewhere"
        )
    if old.heartbeat and new.heartbeat and new.heartbeat.every > old.heartbeat.every:
        yield Loss("quieter", "watchdog: the heartbeat comes less often")
    if old.drill and new.drill != old.drill:
        yield Loss("quieter", "watchdog: the fire drill is changed or gone")
    if new.after > old.after:
        yield Loss("quieter", "watchdog: problems are reported later")


def _lost_regulation(before: _Side, after: _Side) -> Iterator[Loss]:
    old, new = before.policy, after.policy
    if old.regulated is None:
        return
    if new.regulated is None:
        yield Loss("lost regulation", "governance is removed: no incident is regulated")
        return
    if ROLES.index(new.closed_by) < ROLES.index(old.closed_by):
        yield Loss("lost regulation", f"closed_by: {new.closed_by} closes what only {old.closed_by} could")
    kept = after.among(new.governance_tickets, "ticket", "console")
    for place, target in before.among(old.governance_tickets, "ticket", "console").items():
        if place not in kept:
            yield Loss("lost regulation", f"the governance ticket is not opened in {_label(before, target)} any more")
    for name in old.models:
        if _is_regulated(old, name) and not _is_regulated(new, name):
            yield Loss("lost regulation", f"the model {name} is not regulated any more")
    if narrower(old.regulated, new.regulated):
        yield Loss(
            "lost regulation",
            "governance.regulated may hold for fewer incidents: "
            f"{old.regulated.source} before, {new.regulated.source} now",
        )


def _is_regulated(policy: Policy, model: str) -> bool:
    return policy.decide(Alert(monitor="-", model=model), datetime.now(UTC)).regulated


def _lost_digests(before: _Side, after: _Side) -> Iterator[Loss]:
    old, new = before.policy.digests(), after.policy.digests()
    kept = {after.places[name]: name for name in new}
    for name in old:
        now = kept.get(before.places[name])
        if now is None:
            yield Loss("quieter", f"the digest {name} is not sent there any more")
            continue
        config, later = before.policy.destinations[name], after.policy.destinations[now]
        if (config.schedule, config.timezone) != (later.schedule, later.timezone):
            yield Loss("quieter", f"the digest {name} is sent at other times")
        if config.when_empty == "send" and later.when_empty == "skip":
            yield Loss("quieter", f"the digest {name} is not sent any more if it is empty")


def _moved_secrets(old: Policy, new: Policy) -> Iterator[Loss]:
    before, after = _receivers(old), _receivers(new)
    for secret, receivers in after.items():
        for receiver in sorted(receivers - before.get(secret, receivers)):
            known = ", ".join(sorted(before[secret]))
            yield Loss("moved secret", f"the secret {secret} goes to {receiver} now; before, to {known}")


def _receivers(policy: Policy) -> dict[str, set[str]]:
    """By secret: the hosts that receive it. A vendor's own host is named by the vendor."""
    found: dict[str, set[str]] = {}
    for config in policy.destinations.values():
        hosts = {str(url.host) for url in _values(config, AnyUrl)} or {f"{config.type}'s own host"}
        for secret in _values(config, SecretRef):
            found.setdefault(secret.name, set()).update(hosts)
    if policy.watchdog and policy.watchdog.heartbeat:
        found.setdefault(policy.watchdog.heartbeat.url.name, set()).add("the heartbeat")
    return found


def _values(value: Any, kind: type[Any]) -> Iterator[Any]:
    """Every value of a type inside a configuration."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _values(getattr(value, name), kind)
    elif isinstance(value, Mapping):
        for item in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from _values(item, kind)
    elif isinstance(value, tuple | list):
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _values(item, kind)
