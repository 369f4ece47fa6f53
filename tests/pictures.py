"""The pictures in docs: ``python -m tests.pictures`` draws those of messages with chromium.

They show the real messages: Slack's blocks, Teams' Adaptive Cards, the HTML of e-mails. This module imitates how Slack
and Teams render them. ``python -m tests.pictures temporal-ui`` runs an incident and draws it in the Temporal UI.
"""

import asyncio
import base64
import html
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from PIL import Image, ImageChops
from rich.console import Console

from incident.digest import Digest, ModelTrend, NoisyMonitor, Trend
from incident.message import Link, MessageContent
from incident.view import IncidentView
from integrations.email.content import EmailContent, digest_email
from policy import Decision
from tests.demo import running_demo
from tests.integrations.notifications import make_content, run
from tests.integrations.test_every_vendor import FULL_CONTENT
from tests.integrations.vendor_harness import VendorHarness
from tests.integrations.vendors_table import VENDOR_CASES

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
NOW = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
HEIGHT, MARGIN = 1600, 24  # pixels: of the window, and below the content
PAGE = "https://tocsin.example.com/incidents/…"
_SLACK_CSS = """
body{font:15px/1.46 Lato,'Helvetica Neue',Arial,sans-serif;color:#1d1c1d;margin:0;padding:16px 20px;width:640px}
.who{font-weight:900}
.app{background:#ddd;font-size:10px;padding:1px 4px;border-radius:2px;margin:0 6px;color:#616061}
.at{color:#616061;font-size:12px}h3{font-size:18px;line-height:1.3;margin:6px 0 4px}p{margin:2px 0}a{color:#1264a3}
button{font:700 13px/1 Lato,Arial,sans-serif;border:1px solid #bbb;background:#fff;border-radius:4px;padding:9px 12px;
margin:8px 8px 4px 0}button.primary{background:#007a5a;color:#fff;border-color:#007a5a}
small{color:#616061;font-size:12px}
.thread{border-left:4px solid #ddd;margin:10px 0 0;padding:2px 0 2px 12px}.me{color:#1264a3;background:#e8f5fa}
"""
_TEAMS_CSS = """
body{font:14px/1.4 'Segoe UI',Arial,sans-serif;color:#242424;margin:0;padding:16px;width:620px}
body{background:#f5f5f5}
.card{background:#fff;border:1px solid #e1e1e1;border-radius:6px;padding:0 14px 12px;margin:0 0 12px}
.attention{background:#fdf3f4;color:#c4314b}.warning{background:#fdf6ec;color:#835c00}
.head{margin:0 -14px;padding:12px 14px;border-radius:6px 6px 0 0}
p{margin:5px 0}.subtle{color:#616161}.medium{font-size:16px}.bolder{font-weight:600}
button{font:600 14px 'Segoe UI',Arial;border:1px solid #d1d1d1;background:#fff;border-radius:4px;padding:6px 12px;
margin:8px 8px 0 0}
"""


def _run_of_slack(one: Mapping[str, Any]) -> str:
    match one["type"]:
        case "emoji":
            colour = {"rotating_light": "#d72b2b", "warning": "#e8a33d"}.get(one["name"], "#4a90d9")
            return f'<span style="color:{colour}">●</span>'
        case "link":
            return f'<a href="#">{html.escape(one["text"])}</a>'
        case "usergroup" | "user" | "broadcast":
            return '<span class="me">@ai-platform</span>'
        case _:
            text = html.escape(one["text"])
            return f"<b>{text}</b>" if one.get("style", {}).get("bold") else text


def _block(block: Mapping[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f"<h3>{html.escape(block['text']['text'])}</h3>"
        case "rich_text":
            lines = ["".join(map(_run_of_slack, section["elements"])) for section in block["elements"]]
            return "".join(f"<p>{line}</p>" for line in lines)
        case "actions":
            return "".join(
                f'<button class="{one.get("style", "")}">{html.escape(one["text"]["text"])}</button>'
                for one in block["elements"]
            )
        case _:
            return "".join(f"<p><small>{html.escape(one['text'])}</small></p>" for one in block["elements"])


def slack_page(messages: list[dict[str, Any]]) -> str:
    first = "".join(map(_block, messages[0]["blocks"]))
    replies = "".join(
        f'<div class="thread"><span class="who">Tocsin</span>{"".join(map(_block, one["blocks"]))}</div>'
        for one in messages[1:]
    )
    head = '<span class="who">Tocsin</span><span class="app">APP</span><span class="at">3:00 AM</span>'
    return f"<style>{_SLACK_CSS}</style>{head}{first}{replies}"


def _item(item: Mapping[str, Any]) -> str:
    if item["type"] == "Container":
        return f'<div class="head {item["style"]}">{"".join(map(_item, item["items"]))}</div>'
    runs = [
        f'<span class="{one.get("weight", "")} {one.get("size", "")} {"subtle" if one.get("isSubtle") else ""}">'
        f"{html.escape(one['text'])}</span>"
        for one in item["inlines"]
    ]
    return f"<p>{''.join(runs)}</p>"


def teams_page(cards: list[dict[str, Any]]) -> str:
    shown = ""
    for card in cards:
        actions = "".join(f"<button>{html.escape(one['title'])}</button>" for one in card.get("actions", []))
        shown += f'<div class="card">{"".join(map(_item, card["body"]))}{actions}</div>'
    return f"<style>{_TEAMS_CSS}</style>{shown}"


def mail_page(email: EmailContent) -> str:
    page = email.html
    for name, image in email.images.items():
        page = page.replace(f"cid:{name}", "data:image/png;base64," + base64.b64encode(image).decode())
    return page


async def send_messages(type_name: str) -> Any:
    """The stand-in, after a message and its updates."""
    case = VENDOR_CASES[type_name]
    with tempfile.TemporaryDirectory() as folder, case.vendor() as vendor:
        if type_name == "slack":
            case = replace(case, config=f"{case.config.removesuffix('}}')}, mention: ['@ai-platform']}}}}")
        harness = VendorHarness(type_name, case, vendor, Path(folder), lambda key: PAGE.replace("…", "x"))
        first = await run(harness.activity(), harness.notification(content=make_content(**FULL_CONTENT)))
        for number, (verb, state, note) in enumerate(
            [
                ("note", "Triggered", "Triggered again: 5 alerts so far, now 34 %."),
                ("acknowledge", "Acknowledged", "Acknowledged by Nora Night"),
            ]
        ):
            content = make_content(**FULL_CONTENT, state=state)
            later = harness.notification(verb, key=f"later-{number}", original=first, content=content, note=note)  # type: ignore[arg-type]
            await run(harness.activity(), later)
        return vendor


def _low(headline: str, model: str, team: str, hours: int, **changes: Any) -> MessageContent:
    return make_content(
        headline=f"LOW {model} {headline}",
        model=model,
        team=team,
        tier="low",
        incident_url=PAGE.replace("…", "x"),
        since=NOW - timedelta(hours=hours),
        component=headline,
        links=(Link(text="Runbook", url="https://runbooks.example.com/x"),),
        **changes,
    )


def make_digest() -> Digest:
    contents = (
        _low("percent_empty 12 % (limit 5 %) · production · premium", "churn-xgb", "growth", 5),
        _low("psi 0.31 (limit 0.2) · production", "churn-xgb", "growth", 12),
        _low("psi 0.28 (limit 0.2) · production · eu-west-1", "churn-xgb", "growth", 2, state="Resolved"),
        _low("embedding_drift 0.12 (limit 0.1) · staging", "search-ranker", "search", 3),
        _low("token_usage 1,230,000 (was 900,000) · variant-b", "support-chatbot", "support-ai", 18),
    )
    return Digest(
        key="picture",
        destination="ds-daily",
        contents=contents,
        since=NOW - timedelta(days=1),
        until=NOW,
        periods=tuple(f"{day} Nov" for day in range(16, 24)),
        counts=(3, 9, 4, 4, 0, 2, 8, 5),
        noisy=(NoisyMonitor(monitor="psi of tenure_months", model="churn-xgb", incidents=2),),
    )


def make_report() -> Digest:
    models = (
        ModelTrend(
            model="support-chatbot",
            team="support-ai",
            tiers={"critical": 3, "high": 7, "low": 2},
            previous_total=19,
            time_to_acknowledge=212,
        ),
        ModelTrend(
            model="churn-xgb", team="growth", tiers={"high": 1, "low": 9}, previous_total=6, time_to_acknowledge=5400
        ),
        ModelTrend(model="underwriting-llm", team="credit-risk", tiers={}, previous_total=2),
    )
    weeks = ("29 Sep", "6 Oct", "13 Oct", "20 Oct", "27 Oct", "3 Nov", "10 Nov", "17 Nov")
    tiers = {
        "critical": (1, 0, 4, 2, 1, 0, 5, 3),
        "high": (4, 6, 9, 3, 5, 7, 8, 8),
        "low": (12, 9, 14, 10, 8, 15, 14, 11),
    }
    whole = make_digest()
    return whole.model_copy(
        update={
            "destination": "product-weekly",
            "trend": Trend(models=models, periods=weeks, tiers=tiers),
            "contents": whole.contents[3:],
            "counts": (1, 2, 0, 3, 1, 1, 4, 2),
            "periods": weeks,
            "noisy": (),
            "since": NOW - timedelta(days=7),
        }
    )


def incident_page() -> str:
    """The page behind the link to acknowledge."""
    decision = Decision(
        rule="error-rate-breach",
        reason='alert.metric = "error_rate", alert.value = 0.31, model.slo.error_rate = 0.05',
        tier="critical",
        runbook="https://runbooks.example.com/support",
    )
    incident = IncidentView(
        id="incident-support-chatbot-4b629acc8409",
        first_run_id="01a20bc7",
        state="notified",
        tier="critical",
        opened_at=NOW - timedelta(hours=4),
        headline=FULL_CONTENT["headline"],
        next_action="Escalate to step 2 (ai-secondary, eng-managers) unless acknowledged, at 2026-11-24 03:15:00 UTC",
        decision=decision,
    )
    pages = Environment(loader=PackageLoader("gateway", "templates"), autoescape=True)
    return pages.get_template("incident.html").render(incident=incident)


def draw(name: str, page: str, width: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(f'<meta charset="utf-8">{page}')
        picture = FOLDER / f"{name}.png"
        _screenshot(file.as_uri(), picture, width, HEIGHT, "--force-device-scale-factor=1.5")
        _crop(picture)


def _screenshot(url: str, picture: Path, width: int, height: int, *options: str) -> None:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *options]
    subprocess.run(
        [*command, f"--window-size={width},{height}", f"--screenshot={picture}", url], check=True, capture_output=True
    )
    print(picture.name)


def _crop(picture: Path) -> None:
    """Cut off the empty part below the content."""
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    background = Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))
    _, _, _, bottom = ImageChops.difference(image, background).getbbox() or (0, 0, 0, image.height)
    image.crop((0, 0, image.width, min(bottom + MARGIN, image.height))).save(picture, optimize=True)


def draw_temporal_ui() -> None:
    """An incident that was paged, escalated, acknowledged in PagerDuty, and cleared."""
    with running_demo(Console(width=120)) as demo:
        demo.send("critical")
        demo.until("critical: escalated", lambda: len(demo.pages("critical")) == 3)
        demo.wait(4)  # so that the acknowledgement is a step of its own in the picture
        demo.tocsin.callback("incident.acknowledged", demo.pages("critical")[0].body["dedup_key"], "Alice Example")
        demo.until("critical: acknowledged", demo.state("critical", "acknowledged"))
        demo.wait(8)
        demo.clear("critical")
        demo.until("critical: closed", demo.state("critical", "closed"))
        workflow = demo.views["critical"]["temporal_url"].rpartition("/")[0]
        demo.wait(8)  # for the UI's number of workers
        loaded = "--virtual-time-budget=30000"
        _screenshot(f"{workflow}/timeline", FOLDER.parent / "temporal-ui.png", 1400, 1150, loaded)
        _screenshot(f"{workflow}/user-metadata", FOLDER.parent / "temporal-ui-details.png", 1400, 1420, loaded)


def draw_messages() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    slack, teams = asyncio.run(send_messages("slack")), asyncio.run(send_messages("teams"))
    draw("slack", slack_page(slack.messages), 700)
    draw("teams", teams_page(teams.cards), 680)
    draw("incident-page", incident_page(), 500)
    draw("email-digest", mail_page(digest_email(make_digest())), 740)
    draw("email-trend", mail_page(digest_email(make_report())), 740)


def main() -> None:
    if "temporal-ui" in sys.argv:
        draw_temporal_ui()
    else:
        draw_messages()


if __name__ == "__main__":
    main()
