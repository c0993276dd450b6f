"""Finds personal data and secrets in a text: one finder for each kind, each giving the spans it found.

Every expression is bounded in what it looks ahead and tries no stretch of text in many ways, so that the time grows
with the text's length and not faster, whatever the text. Numbers count only when their check digits are right, so that
order numbers, dates and versions are left alone.
"""

from __future__ import annotations

import ipaddress
import re
import string
import sys
from collections.abc import Callable, Iterator
from typing import TypeAlias

import phonenumbers
from stdnum import iban, luhn
from stdnum.us import ssn

Span: TypeAlias = tuple[int, int]
"""Where something begins and where it has ended, in characters."""

Finder: TypeAlias = Callable[[str], Iterator[Span]]

_SEPARATOR = "[ .\u00a0\u2007\u202f\u2010\u2011\u2013-]"
"""What people write between the groups of a number: space, full stop, hyphen and their typographic sisters."""

_NO_NUMBER_BEFORE = r"(?<!\w)(?<!\d[.,])"
_NO_NUMBER_AFTER = r"(?!\w)(?![.,]\d)"

# An email address is looked for at its @, and its local part backwards from there.
_DOMAIN = re.compile(r"@(?:[^\W_][\w-]{0,62}\.){1,8}(?:xn--[a-z0-9-]{1,59}|[^\W\d_]{2,63})(?![^\W_])")
_IN_LOCAL_PART = re.compile(r"[\w.+%'-]")


def emails(text: str) -> Iterator[Span]:
    """Addresses with a domain that ends in a word; characters of any script."""
    for domain in _DOMAIN.finditer(text):
        at = start = domain.start()
        while start and _IN_LOCAL_PART.match(text, start - 1):
            start -= 1
        while start < at and text[start] in ".'-":
            start += 1
        if start < at:
            yield start, domain.end()


def phones(region: str | None) -> Finder:
    """Numbers written internationally, and those written as in ``region`` (ISO 3166), such as ``US``.

    A national number without any separator is left alone: nothing tells it from an order number.
    """

    def find(text: str) -> Iterator[Span]:
        # Not the library's default of 65535 tries, after which it would quietly find nothing more.
        for match in phonenumbers.PhoneNumberMatcher(text, None, max_tries=sys.maxsize):
            yield match.start, match.end
        if region is None:
            return
        grouped = phonenumbers.Leniency.STRICT_GROUPING
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=grouped, max_tries=sys.maxsize):
            if not match.raw_string.isdecimal():
                yield match.start, match.end

    return find


# How cards print their number, most digits first; with the numbers that issuers give out (ISO/IEC 7812).
_CARD_SHAPES = tuple(
    re.compile(shape + _NO_NUMBER_AFTER)
    for shape in (
        rf"\d{{4}}({_SEPARATOR})(?:\d{{4}}\1){{3}}\d{{3}}",
        rf"\d{{4}}({_SEPARATOR})(?:\d{{4}}\1){{2}}\d{{4}}",
        rf"\d{{4}}({_SEPARATOR})\d{{6}}\1\d{{4,5}}",
        r"\d{14,19}",
    )
)
_CARD_START = re.compile(_NO_NUMBER_BEFORE + r"(?=\d{4})")
_ISSUED = re.compile(
    r"4(?:\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|09|[689]\d)\d{11,13}|35(?:2[89]|[3-8]\d)\d{12,15}|6(?:011|4[4-9]\d|5\d\d|2\d\d)\d{12,15}"
    r"|(?:50|5[6-8]|6[37])\d{14}"
)


def credit_cards(text: str) -> Iterator[Span]:
    """Numbers of 14 to 19 digits that an issuer gives out and whose check digit is right (Luhn)."""
    for start in _CARD_START.finditer(text):
        for shape in _CARD_SHAPES:
            match = shape.match(text, start.start())
            if match and _is_card(match.group()):
                yield match.span()
                break


def _is_card(number: str) -> bool:
    digits = "".join(str(int(each)) for each in number if each.isdecimal())
    return _ISSUED.fullmatch(digits) is not None and luhn.is_valid(digits)


_IBAN_START = re.compile(r"(?<!\w)(?=[A-Za-z]{2}[0-9]{2})")
_IBAN_BLOCK = re.compile(r"[A-Za-z0-9]{15,34}(?!\w)")
_IBAN_GROUPS = re.compile(
    rf"[A-Za-z0-9]{{4}}({_SEPARATOR})(?:[A-Za-z0-9]{{4}}\1){{2,7}}[A-Za-z0-9]{{1,4}}(?!\w)"
)
_SHORTEST_IBAN = 15  # Norway's
_LETTER_VALUES = {ord(letter): str(value) for value, letter in enumerate(string.ascii_uppercase, start=10)}


def ibans(text: str) -> Iterator[Span]:
    """Account numbers in one block or in groups of four, whose check digits and national form are right."""
    for start in _IBAN_START.finditer(text):
        block = _IBAN_BLOCK.match(text, start.start())
        if block:
            if _is_iban(block.group()):
                yield block.span()
            continue
        groups = _IBAN_GROUPS.match(text, start.start())
        number = groups.group().replace(groups.group(1), "") if groups else ""
        while len(number) >= _SHORTEST_IBAN:
            if _is_iban(number):
                yield start.start(), start.start() + len(number) + (len(number) - 1) // 4
                break
            number = number[: (len(number) - 1) // 4 * 4]  # the last group may be the text's next word


def _is_iban(number: str) -> bool:
    # The library checks the same, ten times slower, which a hostile text would make felt.
    digits = (number[4:] + number[:4]).upper().translate(_LETTER_VALUES)
    return int(digits) % 97 == 1 and iban.is_valid(number)


_SSN = re.compile(r"(?<![\w-])(?<!\d[.,])[0-9]{3}([-\u2010\u2011\u2013])[0-9]{2}\1[0-9]{4}(?![\w-])")


def us_ssns(text: str) -> Iterator[Span]:
    """Social Security numbers written with hyphens, of those that can have been given out."""
    for match in _SSN.finditer(text):
        if ssn.is_valid(match.group().replace(match.group(1), "-")):
            yield match.span()


_IPV4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w])(?!\.\w)")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9a-fA-F:.]*+(?!\w))(?=[0-9a-fA-F]*:)[0-9a-fA-F:.]{2,45}+")
_VERSION_BEFORE = re.compile(r"(?:version|release|ver|build|v)\.?[ :=]{0,2}\Z", re.IGNORECASE)


def ip_addresses(text: str) -> Iterator[Span]:
    """Addresses of either version that point at a host.

    Left alone are loopback, unspecified and reserved addresses, such as net masks: they point at nobody.
    """
    for match in _IPV4.finditer(text):
        before = text[max(0, match.start() - 12) : match.start()]
        if _is_address(match.group()) and not _VERSION_BEFORE.search(before):
            yield match.span()
    for match in _IPV6.finditer(text):
        written = match.group().rstrip(".")
        if not written.endswith("::"):
            written = written.rstrip(":")
        if any(each.isdigit() for each in written) and _is_address(written):
            yield match.start(), match.start() + len(written)


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 6:
        return not (address.is_loopback or address.is_unspecified)
    return not (address.is_loopback or address.is_unspecified or address.is_reserved)


_TOKEN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    + "|".join(
        (
            r"sk-[\w-]{20,}+",  # Anthropic, OpenAI and those who follow them
            r"(?:AKIA|ASIA)[0-9A-Z]{16}(?![0-9A-Z])",  # Amazon Web Services
            r"(?:gh[oprsu]_|github_pat_)[\w]{22,}+",  # GitHub
            r"glpat-[\w-]{20,}+",  # GitLab
            r"xox[abeoprs]-[\w-]{10,}+",  # Slack
            r"AIza[\w-]{35}(?![\w-])",  # Google
            r"(?:[rs]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}+",  # Stripe
            r"(?:npm|hf)_[A-Za-z0-9]{30,}+",  # npm, Hugging Face
            r"pypi-AgEI[\w-]{50,}+",  # PyPI
            r"SG\.[\w-]{16,32}\.[\w-]{32,64}(?![\w-])",  # SendGrid
            r"eyJ[\w-]{8,}+\.eyJ[\w-]{8,}+\.[\w-]*+",  # JSON Web Tokens
        )
    )
    + ")",
    re.ASCII,
)
"""Tokens that say what they are, by the prefixes their issuers publish."""

_KEY_LABEL = r"(?:[A-Z]{2,9} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY = re.compile(
    rf"-----BEGIN {_KEY_LABEL}"
    rf"(?:(?:[^-]|-(?!----)){{0,16384}}+-----END {_KEY_LABEL}"
    r"|(?:\s|\\[rn])*+(?:[A-Za-z0-9+/=]{16,}+(?:\s|\\[rn])*+)*+)"
)
"""A whole key, or the lines there are of one that was cut off; also within JSON, with its line ends escaped."""

_NAMED_SECRET = re.compile(
    r"(?:bearer[ \t]{1,4}|(?:api[_-]?key|secret|token|passw(?:or)?d|access[_-]?key)"
    r"[\"']?[ \t]{0,4}[:=][ \t]{0,4}[\"']?)(?P<value>[\w.~+/=-]{16,}+)",
    re.IGNORECASE | re.ASCII,
)
_SHORTEST_SECRET = 16


def api_keys(text: str) -> Iterator[Span]:
    """Private keys, tokens with a known prefix, and what stands as the value of a name such as ``api_key``."""
    for match in _PRIVATE_KEY.finditer(text):
        yield match.span()
    for match in _TOKEN.finditer(text):
        yield match.span()
    for match in _NAMED_SECRET.finditer(text):
        if _looks_random(match["value"]):
            yield match.span("value")


def _looks_random(value: str) -> bool:
    """Whether it has letters and digits in one word, as keys have and the names of a program's variables seldom."""
    longest = max(re.split(r"[.~+/=-]", value), key=len) if "." in value else value
    return len(longest) >= _SHORTEST_SECRET and bool(
        re.search(r"\d", longest) and re.search(r"[A-Za-z]", longest)
    )


FINDERS: dict[str, Finder] = {
    "api_key": api_keys,
    "iban": ibans,
    "credit_card": credit_cards,
    "us_ssn": us_ssns,
    "email": emails,
    "ip_address": ip_addresses,
}
"""Every kind but phone numbers, whose finder depends on a region."""
