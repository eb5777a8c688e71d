"""Gatus' conditions as CEL expressions: `[BODY].status == UP` becomes `json.status == 'UP'`."""

from __future__ import annotations

import re

_COMPARISON = re.compile(r"\s*(?P<left>.+?)\s*(?P<operator>==|!=|<=|>=|<|>)\s*(?P<right>.*?)\s*")
_FUNCTION = re.compile(r"(?P<name>len|has|any|pat)\((?P<inside>.*)\)")
_BODY = re.compile(r"\[BODY\](?P<path>(?:\.[A-Za-z_]\w*|\[\d+\])*)")
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s))+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SIMPLE = {
    "[STATUS]": "status",
    "[IP]": "ip",
    "[RESPONSE_TIME]": "latency",
    "[CERTIFICATE_EXPIRATION]": "cert_expires_in",
    "[DNS_RCODE]": "rcode",
}
_NEGATIVE = {"==": "", "!=": "!"}


class UnknownConditionError(ValueError):
    """A condition without a counterpart."""


def as_cel(condition: str, *, body: str = "body") -> str | None:
    """The expression that *condition* means; None where it is always so here. Raises UnknownConditionError.

    *body* is our name of Gatus' `[BODY]`.
    """
    found = _COMPARISON.fullmatch(condition)
    if found is None:
        raise UnknownConditionError(condition)
    left, operator, right = found["left"], found["operator"], found["right"]
    if (left, operator, right.lower()) == ("[CONNECTED]", "==", "true"):
        return None  # whatever cannot connect is down
    function = _FUNCTION.fullmatch(left)
    if function is not None and function["name"] == "has":
        return _has(function["inside"], operator, right)
    subject = _subject(left, body) if function is None else _length(function, body)
    return _compared(left, subject, operator, right)


def of_answers(condition: str, kind: str) -> str:
    """What *condition* says of the body of a look-up in DNS, which to Gatus is an answer. Raises UnknownConditionError.

    Names end without a dot here; an MX has its preference before it.
    """
    found = _COMPARISON.fullmatch(condition)
    if found is None or found["left"] != "[BODY]" or found["operator"] not in _NEGATIVE:
        raise UnknownConditionError(condition)
    function, right = _FUNCTION.fullmatch(found["right"]), found["right"]
    if function is None:
        wanted = [right]
    elif function["name"] == "any":
        wanted = [each.strip() for each in function["inside"].split(",")]
    elif function["name"] == "pat" and kind not in ("MX", "NS", "CNAME", "PTR", "SRV"):
        return f"{_NEGATIVE[found['operator']]}answers.exists(each, each.matches({quoted(_regex(function['inside']))}))"
    else:
        raise UnknownConditionError(condition)
    values = [each.removesuffix(".") for each in wanted]
    if kind == "MX":
        tests = [f"each.endsWith({quoted(f' {each}')})" for each in values]
        return f"{_NEGATIVE[found['operator']]}answers.exists(each, {' || '.join(tests)})"
    tests = [f"{quoted(each)} in answers" for each in values]
    return f"{_NEGATIVE[found['operator']]}({' || '.join(tests)})"


def _subject(placeholder: str, body: str) -> str:
    if placeholder in _SIMPLE:
        return _SIMPLE[placeholder]
    found = _BODY.fullmatch(placeholder)
    if found is None:
        raise UnknownConditionError(placeholder)
    return f"json{found['path']}" if found["path"] else body


def _length(function: re.Match[str], body: str) -> str:
    if function["name"] != "len":
        raise UnknownConditionError(function[0])
    return f"size({_subject(function['inside'], body)})"


def _has(inside: str, operator: str, right: str) -> str:
    body = _BODY.fullmatch(inside)
    # CEL's `has` asks for a field; that of an item in a list has no counterpart.
    if body is None or not body["path"] or body["path"].endswith("]") or operator not in _NEGATIVE:
        raise UnknownConditionError(inside)
    negated = (right.lower() == "true") is (operator == "!=")
    return f"{'!' if negated else ''}has(json{body['path']})"


def _compared(left: str, subject: str, operator: str, right: str) -> str:
    function = _FUNCTION.fullmatch(right)
    if function is None:
        return f"{subject} {operator} {_literal(left, right)}"
    if operator not in _NEGATIVE:
        raise UnknownConditionError(right)
    if function["name"] == "any":
        choices = ", ".join(_literal(left, each.strip()) for each in function["inside"].split(","))
        expression = f"{subject} in [{choices}]"
    elif function["name"] == "pat":
        expression = f"{subject}.matches({quoted(_regex(function['inside']))})"
    else:
        raise UnknownConditionError(right)
    return f"!({expression})" if operator == "!=" else expression


def _literal(left: str, text: str) -> str:
    if left == "[RESPONSE_TIME]":
        return f"duration('{text}ms')" if _NUMBER.fullmatch(text) else _duration(text)
    if left == "[CERTIFICATE_EXPIRATION]":
        return _duration(text)
    if _NUMBER.fullmatch(text) or text in ("true", "false", "null"):
        return text
    return quoted(text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text)


def _duration(text: str) -> str:
    if not _SPAN.fullmatch(text):
        raise UnknownConditionError(text)
    return f"duration('{text}')"


def _regex(glob: str) -> str:
    return "(?s)^" + ".*".join(re.escape(part) for part in glob.split("*")) + "$"


def quoted(text: str) -> str:
    """*text* as a text of CEL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"
