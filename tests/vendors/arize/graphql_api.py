"""GraphQL of the tenant, executed by ``graphql-core`` against the schema that public clients show."""

import json
from functools import cache
from typing import Any

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema, build_schema, execute_sync, parse, validate

from tests.vendors.arize.graphql_mutations import Mutations
from tests.vendors.arize.graphql_views import Views, parse_moment
from tests.vendors.arize.state import TenantState
from tests.vendors.server import Request
from tests.vendors.specs import load_text

_CONNECTION = "first: Int, after: String): IntegrationConnection!"
_LIST = "first: Int, after: String): [IntegrationKey!]!"


def available() -> bool:
    """Whether the schema is beside the project. It is not copied into it."""
    return load_text("arize.graphql") is not None


@cache
def schema(integrations_as_list: bool = False) -> GraphQLSchema:
    """The schema, with ``integrations`` as a connection or as the list that arize-toolkit selects.

    Raises:
        FileNotFoundError: The schema is not there.
    """
    text = load_text("arize.graphql")
    if text is None:
        raise FileNotFoundError("shared/specs/arize.graphql is not beside the project")
    if integrations_as_list:
        assert _CONNECTION in text
        text = text.replace(_CONNECTION, _LIST)
    built = build_schema(text)
    moments = built.type_map["DateTime"]
    assert isinstance(moments, GraphQLScalarType)
    moments.parse_value = parse_moment
    moments.parse_literal = lambda node, variables=None: parse_moment(getattr(node, "value", None))
    return built


class GraphQLApi:
    def __init__(self, state: TenantState, views: Views, mutations: Mutations) -> None:
        self.state = state
        self.views = views
        self.mutations = mutations

    def respond(self, request: Request) -> tuple[int, Any, list[str]]:
        """The status, the response, and what is wrong with the request itself."""
        body = request.body
        if request.method != "POST" or not isinstance(body, dict) or not isinstance(body.get("query"), str):
            return (
                400,
                {"errors": [{"message": "expected a POST with JSON that has a query"}]},
                ["not a GraphQL request"],
            )
        unknown = set(body) - {"query", "variables", "operationName", "extensions"}
        if unknown:
            return 400, {"errors": [{"message": f"unknown keys {unknown}"}]}, [f"unknown keys {unknown}"]
        known = schema(self.views.integrations_as_list)
        try:
            document = parse(body["query"])
        except GraphQLError as error:
            return 400, {"errors": [error.formatted]}, [error.message]
        faults = validate(known, document)
        if faults:
            return 400, {"errors": [error.formatted for error in faults]}, [error.message for error in faults]
        with self.state.lock:
            root = {
                "node": lambda info, **given: self.views.node(given["id"]),
                "account": self.views.account(),
                **self.mutations.fields(),
            }
            result = execute_sync(known, document, root, None, body.get("variables"), body.get("operationName"))
            answer = result.formatted
            # What the request itself does wrong, such as a missing variable, has no path; a refusal by a resolver has.
            wrong = [error.message for error in result.errors or [] if error.path is None]
            if result.errors is None and "mutation" in body["query"].partition("{")[0]:
                self._log(body)
        return 200, json.loads(json.dumps(answer)), wrong

    def _log(self, body: dict[str, Any]) -> None:
        name = body.get("operationName") or body["query"].split("mutation", 1)[1].partition("(")[0].strip()
        self.state.log(name, body["query"], json.dumps(body.get("variables")))
