"""REST v2 as the generated client inside the ``arize`` SDK describes it: routes, parameters and models.

The SDK is imported when the first exchange is checked, which takes seconds; until then only texts are kept.
"""

import inspect
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from tests.vendors.arize.sdk import generated


@dataclass(frozen=True)
class Route:
    """One operation of the generated client."""

    name: str
    method: str
    pattern: re.Pattern[str]
    query: dict[str, Any]
    """The type of each query parameter."""
    request: Any
    """The model of the body, or None."""
    responses: dict[int, Any]
    """The model of each status; None for an empty response."""


@dataclass(frozen=True)
class Exchange:
    """A request and its response, as texts, so that later changes of the tenant do not touch them."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    request: str
    status: int
    response: str


@cache
def routes() -> tuple[Route, ...]:
    """Every operation that the SDK's generated client knows."""
    client = generated()
    found: list[Route] = []
    for owner in vars(client.api).values():
        if not inspect.isclass(owner):
            continue
        for name, function in inspect.getmembers(owner, callable):
            if hasattr(owner, f"_{name}_serialize"):
                found.append(_route(owner, name, function, client.models))
    # A fixed path comes before one with a parameter in the same place.
    return tuple(sorted(found, key=lambda route: route.pattern.pattern.count("[^/]")))


def _route(owner: type, name: str, function: Any, models: Any) -> Route:
    sent = inspect.getsource(getattr(owner, f"_{name}_serialize"))
    received = inspect.getsource(function)
    hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    (path,) = re.findall(r"resource_path='([^']+)'", sent)
    (method,) = re.findall(r"method='(\w+)'", sent)
    body = re.search(r"_body_params = (\w+)\n", sent)
    responses = re.findall(r"'(\d{3})': (?:\"(\w+)\"|None)", received)
    return Route(
        name=name,
        method=method,
        pattern=re.compile(re.sub(r"\\\{\w+\\\}|\{\w+\}", "[^/]+", path)),
        query={key: hints[value] for key, value in re.findall(r"_query_params.append\(\('(\w+)', (\w+)", sent)},
        request=_model(hints[body[1]]) if body else None,
        responses={int(status): getattr(models, model) if model else None for status, model in responses},
    )


def _model(hint: Any) -> Any:
    """The model inside ``Annotated[Optional[Model], …]``."""
    if inspect.isclass(hint) and hasattr(hint, "from_dict"):
        return hint
    return next((found for one in get_args(hint) if (found := _model(one)) is not None), None)


def route_of(method: str, path: str) -> Route | None:
    """The operation of a request, or None if the SDK knows none."""
    return next((one for one in routes() if one.method == method and one.pattern.fullmatch(path)), None)


def request_faults(method: str, path: str, query: Iterable[tuple[str, str]], body: Any) -> list[str]:
    """What the SDK's models say against a request."""
    route = route_of(method, path)
    if route is None:
        return [f"REST v2 has no {method} {path}"]
    values: dict[str, list[str]] = {}
    for key, value in query:
        values.setdefault(key, []).append(value)
    faults = [f"{route.name}: unknown parameter {key}" for key in values if key not in route.query]
    for key, given in values.items():
        if key in route.query:
            faults += _value_faults(f"{route.name}: {key}", route.query[key], given)
    if route.request is None:
        return faults + ([f"{route.name}: a body where none is expected"] if body not in (None, "") else [])
    if not isinstance(body, dict):
        return [*faults, f"{route.name}: the body must be a JSON object"]
    try:
        route.request.from_dict(body)
    except ValueError as error:
        faults.append(f"{route.name}: {' '.join(str(error).split())[:300]}")
    return faults


def _value_faults(place: str, hint: Any, given: list[str]) -> list[str]:
    from pydantic import TypeAdapter, ValidationError

    repeatable = "List[" in str(hint)
    if len(given) > 1 and not repeatable:
        return [f"{place}: given {len(given)} times"]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        # A list has no form as one string; its items are strings.
        adapter.validate_python(given) if repeatable else adapter.validate_strings(given[0])
    except ValidationError as error:
        return [f"{place}: {error.errors()[0]['msg']}"]
    return []


@cache
def exchange_faults(exchange: Exchange) -> tuple[str, ...]:
    """What the SDK's models say against a request and its response.

    A request that the tenant refused (400 and above) is the sender's fault, too: nothing that Tocsin sends may be
    malformed. What depends on the tenant's data, such as an unknown id, is none.
    """
    body = json.loads(exchange.request) if exchange.request else None
    faults = request_faults(exchange.method, exchange.path, exchange.query, body)
    route = route_of(exchange.method, exchange.path)
    if route is None:
        return tuple(faults)
    if exchange.status not in route.responses:
        return (*faults, f"{route.name}: Arize never answers {exchange.status}")
    model = route.responses[exchange.status]
    if model is None:
        return (*faults, *([f"{route.name}: a body with status {exchange.status}"] if exchange.response else []))
    answer = json.loads(exchange.response)
    try:
        parsed = model.from_dict(answer)
    except ValueError as error:
        return (*faults, f"{route.name} answered {' '.join(str(error).split())[:300]}")
    return (*faults, *(f"{route.name} answered the unknown {key}" for key in _unknown(parsed, answer)))


def _unknown(parsed: Any, answer: Any, place: str = "") -> list[str]:
    """The keys of a response that its model does not have."""
    actual = getattr(parsed, "actual_instance", None)
    if actual is not None:
        return _unknown(actual, answer, place)
    if isinstance(parsed, list) and isinstance(answer, list):
        return [
            key
            for place_, (one, other) in enumerate(zip(parsed, answer, strict=True))
            for key in _unknown(one, other, f"{place}{place_}.")
        ]
    fields = getattr(type(parsed), "model_fields", None)
    if fields is None or not isinstance(answer, dict) or "additional_properties" in fields:
        return []
    names = {field.alias or name: name for name, field in fields.items()}
    return [
        fault
        for key, value in answer.items()
        for fault in (
            _unknown(getattr(parsed, names[key]), value, f"{place}{key}.") if key in names else [f"{place}{key}"]
        )
    ]
