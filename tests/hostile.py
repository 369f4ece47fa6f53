"""Hostile texts for alerts, notes and names, and the characters that no message may contain."""

HOSTILE = {
    "slack-channel": "<!channel> <!here> <!everyone> wake up",
    "slack-mention": "<@U12345678> <!subteam^S0123ABCD> @here @channel",
    "slack-link": "<https://evil.example|your bank> *bold* _it_ ~no~ `code` ```block```",
    "teams-markdown": "[click](https://evil.example) **bold** <at>Everyone</at> ![x](https://evil.example/x.png)",
    "jira-markup": "{panel:title=x}[~admin] [link|https://evil.example]{panel} !https://evil.example/x.png! h1. Big",
    "servicenow-html": "[code]<img src=x onerror=alert(1)>[/code] [CODE]<b>[/CODE]",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>&lt;b&gt;",
    "template": "{{ 7*7 }} {% for x in y %} ${7*7} %(name)s {0.__class__} $(id) `id`",
    "header": "x\r\nBcc: everyone@example.com\r\nSubject: other\n\n<h1>body</h1>",
    "log-line": "x\n2026-11-24 03:00:00 [info     ] acknowledged by=alice\x1b[2J\x1b[31mred\x1b]0;title\x07",
    "csv": '=HYPERLINK("https://evil.example","x")\t+1+1\t@SUM(A1)\t-2+3',
    "right-to-left": "safe \u202egnp.exe\u202c \u2066x\u2069 \u200f\u200e\u061c",
    "control": "".join(map(chr, [*range(1, 32), 127, *range(128, 160)])) + "\u2028\u2029\ufeff\u200b",
    "surrogate": "\ud83d lone \udc00",
    "json": '"}],"routing_key":"other","event_action":"resolve","x":[{"',
    "query": 'x" OR project = "SECRET^correlation_idISNOTEMPTY^ORsys_id!=1',
    "path": "../../etc/passwd?x=1#y%2e%2e%2f",
    "zalgo": "Z" + "\u0301\u0316\u0320" * 300,
    "emoji": "👩‍👩‍👧‍👦 نرخ‌خطا क्षि",
    "long": "x" * 1_000_000,
    "long-words": "word " * 200_000,
}
INVISIBLE = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0x200B)}
"""Characters that reverse text or are invisible."""
CONTROL = {chr(code) for code in (*range(32), *range(127, 160), 0x2028, 0x2029)} - {"\n"}
