"""The adapter for Presidio, with its real recognisers of patterns; its language models are not needed for these."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from presidio_analyzer import AnalyzerEngine, Pattern, PatternRecognizer, RecognizerRegistry
from presidio_analyzer.nlp_engine import NoOpNlpEngine
from presidio_analyzer.predefined_recognizers import (
    CreditCardRecognizer,
    IbanRecognizer,
    PhoneRecognizer,
    UsBankRecognizer,
    UsSsnRecognizer,
)
from presidio_anonymizer.entities import OperatorConfig

from llm_audit_producer import AuditSettingsError
from llm_audit_producer.sanitizing.presidio import PresidioSanitizer

CARD = "4111 1111 1111 1111"
SSN = "536-90-4399"


@pytest.fixture(scope="module")
def analyzer() -> AnalyzerEngine:
    """Not with the recognisers of email addresses and URLs: those ask the network for a list of suffixes."""
    employee = Pattern("employee", r"\bE-\d{4}\b", 0.9)
    registry = RecognizerRegistry(
        [
            CreditCardRecognizer(),
            IbanRecognizer(),
            PhoneRecognizer(),
            UsBankRecognizer(),
            UsSsnRecognizer(),
            PatternRecognizer("EMPLOYEE", patterns=[employee]),
        ]
    )
    engine = NoOpNlpEngine([{"lang_code": "en", "model_name": "none"}])
    engine.load()
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


def test_what_presidio_finds_is_replaced_and_counted(analyzer: AnalyzerEngine) -> None:
    body = {
        "system": f"You help E-1234. Their card is {CARD}.",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": f"SSN {SSN}, call (212) 736-5000, E-1 E-9876"}],
            }
        ],
        "tools": [{"name": "t", "description": CARD}],
    }

    sanitized = PresidioSanitizer(analyzer)(body)

    assert sanitized.body == {
        "system": "You help <EMPLOYEE>. Their card is <CREDIT_CARD>.",
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "SSN <US_SSN>, call <PHONE_NUMBER>, E-1 <EMPLOYEE>"}],
            }
        ],
        "tools": [{"name": "t", "description": CARD}],
    }
    assert sanitized.events == {"employee": 2, "credit_card": 1, "us_ssn": 1, "phone_number": 1}


def test_nothing_found_is_the_same_body(analyzer: AnalyzerEngine) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]}

    sanitized = PresidioSanitizer(analyzer)(body)

    assert sanitized.body is body
    assert sanitized.events == {}


def test_only_the_entities_asked_for_are_replaced(analyzer: AnalyzerEngine) -> None:
    sanitizer = PresidioSanitizer(analyzer, entities=["US_SSN"])

    assert sanitizer.redact(f"{CARD} and {SSN}") == (f"{CARD} and <US_SSN>", {"us_ssn": 1})


def test_guesses_are_left_alone_unless_asked_for(analyzer: AnalyzerEngine) -> None:
    order = "order 2127365000123"

    assert PresidioSanitizer(analyzer).redact(order) == (order, {})
    assert PresidioSanitizer(analyzer, score_threshold=0.0).redact(order)[1] == {"us_bank_number": 1}


def test_the_anonymizers_operators_are_used(analyzer: AnalyzerEngine) -> None:
    masked = OperatorConfig("mask", {"masking_char": "*", "chars_to_mask": 15, "from_end": False})
    sanitizer = PresidioSanitizer(analyzer, operators={"CREDIT_CARD": masked})

    assert sanitizer.redact(CARD) == ("*" * 15 + "1111", {"credit_card": 1})


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda analyzer: PresidioSanitizer(analyzer, language="de"), "language='de'.*en"),
        (
            lambda analyzer: PresidioSanitizer(analyzer, entities=["PERSON", "US_SSN"]),
            "entities names PERSON,",
        ),
        (lambda analyzer: PresidioSanitizer(analyzer, entities=[]), "entities"),
        (lambda analyzer: PresidioSanitizer(analyzer, score_threshold=40), "score_threshold=40"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_at_the_start(
    analyzer: AnalyzerEngine, make: Callable[[AnalyzerEngine], PresidioSanitizer], named: str
) -> None:
    with pytest.raises(AuditSettingsError, match=named):
        make(analyzer)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "presidio_analyzer", None)

    with pytest.raises(AuditSettingsError, match=r"presidio_analyzer.*llm-audit-log\[presidio\]"):
        PresidioSanitizer()


def test_a_missing_language_model_is_named_and_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presidio itself would fetch some 400 MB when the service starts."""
    monkeypatch.setattr("spacy.util.is_package", lambda _: False)

    with pytest.raises(AuditSettingsError, match="spacy download en_core_web_lg"):
        PresidioSanitizer()
