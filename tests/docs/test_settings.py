"""``docs/settings.md`` and the settings agree, both ways. With TOCSIN_WRITE_GOLDEN=1, the tables are rewritten."""

import os
import re

import pytest
from pydantic import SecretStr

from integrations.base.registry import callbacks
from tests.docs.pages import PAGES
from tests.docs.sources import PRODUCT, ROOT
from worker.bootstrap import GENERATED
from worker.setting_types import SEVERAL, field_extra
from worker.settings import Settings

PAGE = ROOT / "docs" / "settings.md"
ELSEWHERE = {
    "TOCSIN_WRITE_GOLDEN": "the tests'",
    "TOCSIN_API_TOKENS_FILE": "docker-compose.yml's",
    "TOCSIN_CODEC_ENDPOINT": "docker-compose.yml's",
}


def table(*, secrets: bool) -> str:
    """The rows of the page for secrets, or for all other settings."""
    rows = ["| setting | description | default |", "| --- | --- | --- |"]
    for field in Settings.model_fields.values():
        is_secret = not field.repr and field.validation_alias != "TOCSIN_DATABASE_URL"
        if is_secret == secrets:
            default = field_extra(field, "documented") or _text(field.default)
            rows.append(f"| `{field.validation_alias}` | {field.description} | {default} |")
    if secrets:
        for one in callbacks():
            default = "none; `tocsin up` generates one" if one.setting in GENERATED else "none"
            rows.append(f"| `{one.setting}` | {one.setting_description} {SEVERAL} | {default} |")
    return "\n".join(rows) + "\n"


def _text(default: object) -> str:
    if isinstance(default, SecretStr | tuple) or default in {"", None}:
        return "none"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


@pytest.mark.parametrize("secrets", [False, True])
def test_page_has_the_table_of_settings(secrets: bool) -> None:
    begin, end = (
        ("<!-- secrets -->\n", "<!-- end of secrets -->") if secrets else ("<!-- settings -->\n", "<!-- end -->")
    )
    text = PAGE.read_text()
    head, rest = text.split(begin)
    found, tail = rest.split(end)
    if os.environ.get("TOCSIN_WRITE_GOLDEN"):
        PAGE.write_text(head + begin + table(secrets=secrets) + end + tail)
        return
    assert found == table(secrets=secrets)


def test_docs_name_no_setting_that_does_not_exist() -> None:
    known = {str(field.validation_alias) for field in Settings.model_fields.values()} | set(ELSEWHERE)
    for page in [*PAGES, ROOT / "docker-compose.yml", ROOT / "Dockerfile"]:
        if page.name == "CHANGELOG.md":
            continue
        assert set(re.findall(r"\bTOCSIN_[A-Z]+(?:_[A-Z]+)*\b", page.read_text())) <= known, page.name


def test_code_reads_no_setting_that_is_not_declared() -> None:
    known = {str(field.validation_alias) for field in Settings.model_fields.values()} | set(ELSEWHERE)
    for package in PRODUCT:
        for file in (ROOT / package).rglob("*.py"):
            named = re.findall(r"\b(?:TOCSIN|ARIZE|TEMPORAL)_[A-Z]+(?:_[A-Z]+)*\b", _strings(file.read_text()))
            assert set(named) <= known, file


def _strings(code: str) -> str:
    """The text of string literals: names of constants look alike."""
    return "\n".join(re.findall(r'"[^"\n]*"', code))
