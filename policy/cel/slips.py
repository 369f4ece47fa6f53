"""What an author who knows another language probably meant: the ends of error messages about a condition."""

import re

from policy.authoring.suggestions import closest

_WORDS = {
    "and": "write && for and",
    "or": "write || for or",
    "not": "write ! for not, as in !alert.mapped or !(alert.metric in [...])",
    "is": "write == for is",
    "equals": "write == for equals",
    "like": 'write alert.metric.contains("...") or .matches("...") for like',
    "then": "a condition has no if and then: write what must be true, and the rule says what follows",
    "if": "a condition has no if and then: write what must be true, and the rule says what follows",
}
_SYMBOLS = (
    (re.compile(r"&(?!&)"), "write && for and"),
    (re.compile(r"\|(?!\|)"), "write || for or"),
    (re.compile(r"=>"), "write >="),
    (re.compile(r"=<"), "write <="),
    (re.compile(r"=(?![=])"), "a single = is not a comparison: write =="),
    (re.compile("[\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb]"), 'a typographic quote: write "'),
    (re.compile(r"`"), 'write " around a text'),
    (re.compile(r"[\"']"), "the text has no closing quote"),
    (re.compile(r"#"), "a condition has no comments: write them in YAML, before the key"),
    (re.compile(r";"), "write && between two conditions"),
)
_LITERALS = {"yes": "true", "on": "true", "no": "false", "off": "false", "none": "null", "nil": "null"}
FUNCTIONS = (
    *("size", "contains", "startsWith", "endsWith", "matches", "has", "all", "exists", "exists_one", "map", "filter"),
    *("int", "double", "string", "bool", "timestamp", "duration", "type", "dyn"),
    *("getFullYear", "getMonth", "getDate", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds"),
)
_OTHER_NAMES = {
    "len": "size",
    "length": "size",
    "count": "size",
    "regex": "matches",
    "match": "matches",
    "search": "matches",
    "includes": "contains",
    "any": "exists",
    "some": "exists",
    "every": "all",
    "float": "double",
    "number": "double",
    "str": "string",
    "hour": "getHours",
    "weekday": "getDayOfWeek",
}
_CASE = frozenset({"lower", "upper", "tolower", "toupper", "lowerascii", "upperascii", "casefold"})


def syntax_slip(source: str, offset: int) -> str:
    """What is meant by the characters at an offset that CEL cannot read; empty if nothing is known."""
    before, rest = source[:offset], source[offset:]
    word = re.match(r"[A-Za-z]+", rest)
    if word and word[0].casefold() in _WORDS:
        return _WORDS[word[0].casefold()]
    # CEL takes the first word of `not alert.mapped` for a name, and complains about the second.
    previous = re.search(r"([A-Za-z]+)\s*$", before)
    if previous and previous[1].casefold() in _WORDS:
        return _WORDS[previous[1].casefold()]
    if rest.startswith(">") and before.rstrip().endswith("<"):
        return "write !="
    if rest.startswith(",") and re.search(r"\d$", before) and re.match(r",\d", rest):
        return "write a point in a number, as in 0.05"
    if rest.startswith(",") and re.search(r"\(\s*[\"'][^()]*$", before):
        return 'write a list in brackets, as in ["a", "b"]'
    if re.match(r"[smhdw]\b", rest) and re.search(r"\d$", before):
        return 'write duration("15m") for a time, or the metric\'s own unit for a value'
    if re.search(r"\d\s*%", source):
        return "% divides; write 0.05 for 5 %"
    return next((message for pattern, message in _SYMBOLS if pattern.match(rest)), "")


def name_slip(name: str) -> str:
    """What is meant by an unknown name: a literal in another language's spelling, or a text without quotes."""
    folded = name.casefold()
    literal = folded if folded in {"true", "false", "null"} else _LITERALS.get(folded, "")
    return f": write {literal}" if literal else ""


def function_slip(name: str) -> str:
    """The function that is meant by an unknown one."""
    if name.casefold() in _CASE:
        return ': write .matches("(?i)...") to compare without case'
    meant = _OTHER_NAMES.get(name.casefold()) or closest(name, FUNCTIONS, 0.7)
    meant = meant or next((one for one in FUNCTIONS if one.casefold() == name.casefold()), "")
    return f": did you mean {meant}?" if meant else f"; CEL has {', '.join(FUNCTIONS)}"
