"""docs/policy-reference.md is what ``tocsin policy reference`` prints, and has every key of the JSON Schema."""

import re

from integrations.base.registry import destination_types
from policy.authoring.reference import policy_reference
from policy.destinations import DestinationConfig
from tests.docs.pages import POLICY_REFERENCE
from tests.docs.sources import policy_keys, policy_object

SHARED = frozenset(DestinationConfig.model_fields)


def sections() -> dict[str, set[str]]:
    """The keys in each section's table, by the name of the object in the JSON Schema."""
    found: dict[str, set[str]] = {}
    for section in re.split(r"^##+ ", POLICY_REFERENCE.split("\n## Names in conditions")[0], flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        keys = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
        if destination := re.fullmatch(r"`type: (\w+)`", title):
            name = destination_types()[destination[1]].__name__
        elif title.startswith("Destinations "):
            name = "DestinationConfig"
        else:
            path = re.search(r"\(`(.+)`\)", title)
            name = policy_object(path[1]) if path else ""
        found[name] = keys
    return found


def test_page_is_what_the_command_prints() -> None:
    assert policy_reference(destination_types()) == POLICY_REFERENCE, (
        "run: tocsin policy reference > docs/policy-reference.md"
    )


def test_every_row_has_all_cells() -> None:
    for row in re.findall(r"^\| `.*", POLICY_REFERENCE, re.MULTILINE):
        assert row.count("|") - row.count("\\|") in {4, 5}, row


def test_sections_have_the_keys_of_the_schema() -> None:
    documented = sections()
    assert documented.pop("DestinationConfig") == SHARED
    vendors = {one.__name__ for one in destination_types().values()}
    keys = policy_keys()
    expected = {name: set(keys[name]) - (SHARED if name in vendors else set()) for name in documented}
    assert documented == expected
    assert vendors <= documented.keys()


def test_objects_without_section_are_explained() -> None:
    """Small objects stand in the cell of the key that holds them, as ``{env: NAME}`` or as the values of ``tier``."""
    documented = sections()
    small = {name: keys for name, keys in policy_keys().items() if name not in documented}
    in_braces = set(re.findall(r"\{(\w+): ", POLICY_REFERENCE))
    assert small.pop("TiersConfig") == set(re.findall(r"`(\w+)`", type_of("tier")))
    assert set[str]().union(*small.values()) == in_braces
    assert set(small) == {"Responder", "SecretRef"}


def type_of(key: str) -> str:
    found = re.search(rf"^\| `{key}` \| ([^|]*) \|", POLICY_REFERENCE, re.MULTILINE)
    assert found is not None
    return found[1]
