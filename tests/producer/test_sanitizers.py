"""What the pattern sanitizer finds, and what it leaves alone."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_audit_producer import AuditSettingsError, Block
from llm_audit_producer.sanitizing.patterns import KINDS, PatternSanitizer

JSON_WEB_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl"
PRIVATE_KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcC-x\n-----END EC PRIVATE KEY-----"

# The numbers are the published examples of their issuers and registries, or made up with the right check digits.
FOUND = [
    ("email", "write to jane.o'doe+news@mail.example.co.uk, please", "jane.o'doe+news@mail.example.co.uk"),
    ("email", "<jane@example.com>", "jane@example.com"),
    ("email", "_jane@example.com_", "_jane@example.com"),
    ("email", "mailto:jane@example.com.", "jane@example.com"),
    ("email", "schreib an jürgen@münchen.de!", "jürgen@münchen.de"),
    ("email", "'jane@example.com'", "jane@example.com"),
    ("email", "a" * 99 + "@example.com", "a" * 99 + "@example.com"),
    ("phone", "call +49 30 901820 today", "+49 30 901820"),
    ("phone", "call +12127365000", "+12127365000"),
    ("phone", "call (212) 736-5000 today", "(212) 736-5000"),
    ("phone", "tel 212-736-5000.", "212-736-5000"),
    ("phone", "tel: 212.736.5000", "212.736.5000"),
    ("credit_card", "pay with 4111111111111111", "4111111111111111"),
    ("credit_card", "pay with 4111 1111 1111 1111 12/27", "4111 1111 1111 1111"),
    ("credit_card", "pay with 4111-1111-1111-1111.", "4111-1111-1111-1111"),
    ("credit_card", "5555 5555 5555 4444", "5555 5555 5555 4444"),
    ("credit_card", "2223003122003222", "2223003122003222"),
    ("credit_card", "3782 822463 10005", "3782 822463 10005"),
    ("credit_card", "6011111111111117", "6011111111111117"),
    ("credit_card", "3530 1113 3330 0000", "3530 1113 3330 0000"),
    ("credit_card", "3056 930902 5904", "3056 930902 5904"),
    ("credit_card", "12 4111 1111 1111 1111 13", "4111 1111 1111 1111"),
    ("credit_card", "4111\u00a01111\u00a01111\u00a01111", "4111\u00a01111\u00a01111\u00a01111"),
    ("credit_card", "４１１１１１１１１１１１１１１１", "４１１１１１１１１１１１１１１１"),  # noqa: RUF001 - full width is the point
    ("iban", "to DE89 3704 0044 0532 0130 00 by noon", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432", "GB82WEST12345698765432"),
    ("iban", "gb82west12345698765432", "gb82west12345698765432"),
    ("iban", "ES91 2100 0418 4502 0005 1332 from them", "ES91 2100 0418 4502 0005 1332"),
    ("iban", "NO93 8601 1117 947", "NO93 8601 1117 947"),
    ("us_ssn", "SSN 536-90-4399.", "536-90-4399"),
    ("us_ssn", "SSN 536\u201190\u20114399", "536\u201190\u20114399"),
    ("ip_address", "from 192.168.1.17, port 80", "192.168.1.17"),
    ("ip_address", "host 8.8.8.8.", "8.8.8.8"),
    ("ip_address", "http://8.8.4.4:8080/", "8.8.4.4"),
    ("ip_address", "[2001:db8::ff00:42:8329]:443", "2001:db8::ff00:42:8329"),
    ("ip_address", "fe80::1ff:fe23:4567:890a%eth2", "fe80::1ff:fe23:4567:890a"),
    ("ip_address", "::ffff:192.0.2.128", "::ffff:192.0.2.128"),
    ("api_key", "key: sk-ant-api03-PLANTEDplantedPLANTED", "sk-ant-api03-PLANTEDplantedPLANTED"),
    ("api_key", "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("api_key", "ghp_PLANTEDplantedPLANTEDplantedPLANTED0", "ghp_PLANTEDplantedPLANTEDplantedPLANTED0"),
    ("api_key", "xoxb-000000000000-PLANTED", "xoxb-000000000000-PLANTED"),
    ("api_key", "AIzaPLANTEDplantedPLANTEDplantedPLANTED", "AIzaPLANTEDplantedPLANTEDplantedPLANTED"),
    ("api_key", f"t={JSON_WEB_TOKEN}.", JSON_WEB_TOKEN),
    ("api_key", "PASSWORD=a8f5f167f44f4964e6c998de", "a8f5f167f44f4964e6c998de"),
    ("api_key", "Authorization: Bearer a8f5f167f44f4964e6c998de", "a8f5f167f44f4964e6c998de"),
    ("api_key", '{"api_key": "a8f5f167f44f4964e6c998de"}', "a8f5f167f44f4964e6c998de"),
    ("api_key", f"{PRIVATE_KEY} end", PRIVATE_KEY),
]  # fmt: skip

LEFT_ALONE = [
    "order 2127365000",
    "order #100-2345-678, invoice 2024-0001-2345",
    "order 4111111111111112",  # a wrong check digit
    "order 9999999999999995",  # right, but no issuer's number
    "sha1 4111111111111111a and x4111111111111111",
    "0.4111111111111111 and 4111111111111111.5",
    "EAN 4006381333931, ISBN 978-3-16-148410-0",
    "DE89370400440532013001",
    f"XX{98 - int('370400440532013000' + '333300') % 97:02} 3704 0044 0532 0130 00",  # no country
    "000-12-3456, 666-12-3456, 536-90-43990, 1-536-90-4399",
    "2026-11-23, 23.11.2026, 11/23/2026, 2026-11-23T13:31:14.123Z, 12:30:45",
    "1732368674000 seconds, 1,234,567.89 euros, pi is 3.14159265358979",
    "v1.2.3.4, version 10.0.1.2, 1.2.3, 10.0.19041.1, 1.2.3.4.5",
    "127.0.0.1, ::1, 0.0.0.0, ::, mask 255.255.255.0",
    "std::vector a::b 00:1a:2b:3c:4d:5e",
    "550e8400-e29b-41d4-a716-446655440000",
    "toolu_01A09q90qw90lq917835lq9 msg_013Zva2CMHLNnjNjJKqJ2EF claude-sonnet-4-5-20250929",
    "pkg@1.2.3 @app.route a @ b.com @example.com user@localhost",
    'token = get_token(request); api_key=os.environ["ANTHROPIC_API_KEY"]; password: hunter2',
    "task-force, risk-averse, sk-learn; eyJ is how they begin",
    "[EMAIL] [PHONE] [CREDIT_CARD]",
    "",
]


@pytest.mark.parametrize(("kind", "text", "secret"), FOUND)
@pytest.mark.parametrize("alone", [True, False])
def test_each_kind_is_found(kind: str, text: str, secret: str, alone: bool) -> None:
    sanitizer = PatternSanitizer([kind] if alone else None)

    assert sanitizer.redact(text) == (text.replace(secret, f"[{kind.upper()}]"), {kind: 1})


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_only_looks_alike_is_left_alone(text: str) -> None:
    assert PatternSanitizer().redact(text) == (text, {})


def test_every_kind_has_an_example() -> None:
    assert {kind for kind, _, _ in FOUND} == set(KINDS)


def test_all_of_them_in_one_text_are_counted() -> None:
    text = "\n".join(text for _, text, _ in FOUND)
    expected = {kind: [each for each, _, _ in FOUND].count(kind) for kind in KINDS}

    redacted, events = PatternSanitizer().redact(text)

    assert events == expected
    assert all(redacted.count(f"[{kind.upper()}]") == count for kind, count in expected.items())
    assert not any(secret in redacted for _, _, secret in FOUND)


def test_only_the_kinds_asked_for_are_replaced() -> None:
    text = "jane@example.com from 8.8.8.8"

    assert PatternSanitizer(["email"]).redact(text) == ("[EMAIL] from 8.8.8.8", {"email": 1})


def test_what_overlaps_is_one_and_nothing_of_it_stays() -> None:
    text = "secret=a8f5f167f44f4964-e6c998de@example.com!"

    assert PatternSanitizer().redact(text) == ("secret=[API_KEY]!", {"api_key": 1})
    assert PatternSanitizer(["email"]).redact(text) == ("secret=[EMAIL]!", {"email": 1})


def test_of_a_private_key_cut_off_goes_what_is_key() -> None:
    key = "-----BEGIN PRIVATE KEY-----\\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASC\\nBKgwggSkAgEAAoIBAQC7"

    assert PatternSanitizer().redact(f"{key} and so on") == ("[API_KEY]and so on", {"api_key": 1})
    assert PatternSanitizer().redact("-----BEGIN PRIVATE KEY----- begins it")[0] == "[API_KEY]begins it"


def test_neighbours_stay_two() -> None:
    assert PatternSanitizer().redact("a@b.com,c@d.com") == ("[EMAIL],[EMAIL]", {"email": 2})


def test_phone_numbers_are_read_as_in_the_region() -> None:
    berlin = "ruf 030 901820 an"

    assert PatternSanitizer(phone_region="DE").redact(berlin) == ("ruf [PHONE] an", {"phone": 1})
    assert PatternSanitizer(phone_region="US").redact(berlin) == (berlin, {})
    assert PatternSanitizer(phone_region=None).redact("(212) 736-5000, +1 212 736 5000")[1] == {"phone": 1}


def test_phone_numbers_are_found_behind_any_number_of_others() -> None:
    """The library's own limit of tries would let the last one through."""
    text = "1 (2" * 40_000 + " call +12127365000"

    assert PatternSanitizer(["phone"], phone_region=None).redact(text)[0].endswith(" call [PHONE]")


@pytest.mark.parametrize("kinds", [None, ["email"], ["credit_card"]])
def test_a_kind_may_stop_the_call(kinds: Iterable[str] | None) -> None:
    sanitizer = PatternSanitizer(kinds, block={"credit_card"})

    with pytest.raises(Block) as stopped:
        sanitizer.redact("4111 1111 1111 1111, 5555 5555 5555 4444")

    assert stopped.value.reason == "credit_card found"
    assert stopped.value.events == {"credit_card": 2}
    assert sanitizer.redact("nothing here") == ("nothing here", {})


def test_what_stops_the_call_stops_it_beneath_another_kind() -> None:
    with pytest.raises(Block, match="email found"):
        PatternSanitizer(block={"email"}).redact("secret=a8f5f167f44f4964-e6c998de@example.com")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"kinds": ["emial"]}, "'emial'"),
        ({"kinds": "email phone"}, "'email phone'"),
        ({"block": {"name"}}, "'name'"),
        ({"kinds": []}, "no kind"),
        ({"phone_region": "Germany"}, "'Germany'"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(arguments: dict[str, object], named: str) -> None:
    with pytest.raises(AuditSettingsError, match=named):
        PatternSanitizer(**arguments)  # type: ignore[arg-type] # wrong on purpose


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phonenumbers", None)
    monkeypatch.delitem(sys.modules, PatternSanitizer.__module__)

    with pytest.raises(AuditSettingsError, match=r"phonenumbers.*llm-audit-log\[sanitize\]"):
        importlib.import_module(PatternSanitizer.__module__)


_PIECES = st.sampled_from(
    [*(text for _, text, _ in FOUND), *LEFT_ALONE, "[", "]", "@", ":", ".", "-", " ", "é", "🙂", "\ud800"]
)


@given(st.lists(st.one_of(_PIECES, st.text()), max_size=8).map("".join))
@example("jane@example.com" * 3)
def test_any_text_is_redacted_once_and_for_all(text: str) -> None:
    sanitizer = PatternSanitizer()

    redacted, events = sanitizer.redact(text)

    assert sum(
        redacted.count(f"[{kind.upper()}]") - text.count(f"[{kind.upper()}]") for kind in KINDS
    ) == sum(events.values())
    assert all(count > 0 for count in events.values())
    if not events:
        assert redacted == text
