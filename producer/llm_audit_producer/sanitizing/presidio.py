"""``PresidioSanitizer``: redacts what Microsoft Presidio finds, names and places among it, as far as its models know.

Presidio is asked in this process and may be slow: some milliseconds a text with a model. Its recognisers of email
addresses and URLs fetch the list of public suffixes from the network when they are first used, and fall back to the
one they brought; ``tldextract`` says how to keep a copy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llm_audit_producer.errors import AuditSettingsError
from llm_audit_producer.sanitizing import Sanitized
from llm_audit_producer.sanitizing.text_walk import change_texts

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine
    from presidio_anonymizer import AnonymizerEngine
    from presidio_anonymizer.entities import OperatorConfig

DEFAULT_SCORE_THRESHOLD = 0.4
"""Lets through Presidio's guesses at any run of digits (0.01 to 0.3), and keeps its phone numbers (0.4)."""


class PresidioSanitizer:
    """Redacts what a Presidio analyzer finds, the way a Presidio anonymizer replaces it.

    What was redacted is counted by Presidio's name of the entity in small letters, such as ``email_address``.

    Args:
        analyzer: Finds; Presidio's default when not given, whose language model must be installed.
        anonymizer: Replaces; Presidio's default when not given, which puts ``<EMAIL_ADDRESS>`` and the like.
        language: The texts' language, one that the analyzer supports.
        entities: What to look for, by Presidio's names; all that the analyzer knows when not given.
        score_threshold: How sure Presidio must be, from 0 to 1.
        operators: How to replace each entity, as the anonymizer takes it.

    Raises:
        AuditSettingsError: Presidio or its default model is not installed, or a setting does not fit the analyzer.
    """

    def __init__(
        self,
        analyzer: AnalyzerEngine | None = None,
        anonymizer: AnonymizerEngine | None = None,
        *,
        language: str = "en",
        entities: Sequence[str] | None = None,
        score_threshold: float = DEFAULT_SCORE_THRESHOLD,
        operators: Mapping[str, OperatorConfig] | None = None,
    ) -> None:
        if not 0 <= score_threshold <= 1:
            raise AuditSettingsError(f"score_threshold={score_threshold!r} must be from 0 to 1")
        if entities is not None and not entities:
            raise AuditSettingsError("entities names none to look for; leave it out for all of them")
        self._analyzer = analyzer if analyzer is not None else _default_analyzer()
        self._anonymizer = anonymizer if anonymizer is not None else _default_anonymizer()
        self._language = language
        self._entities = None if entities is None else list(entities)
        self._score_threshold = score_threshold
        self._operators = None if operators is None else dict(operators)
        self._check()

    def _check(self) -> None:
        """Refuse at the start what would stop every call later.

        Raises:
            AuditSettingsError: the analyzer does not support what is asked of it.
        """
        languages = self._analyzer.supported_languages
        if self._language not in languages:
            raise AuditSettingsError(
                f"language={self._language!r} is none that the analyzer supports: {', '.join(languages)}; "
                "give an analyzer made for it"
            )
        supported = set(self._analyzer.get_supported_entities(self._language))
        unknown = sorted(set(self._entities or ()) - supported)
        if unknown:
            raise AuditSettingsError(
                f"entities names {', '.join(unknown)}, which the analyzer has no recogniser for"
            )

    def __call__(self, body: Mapping[str, Any]) -> Sanitized:
        """The body with everything replaced that Presidio finds."""
        return change_texts(body, self.redact)

    def redact(self, text: str) -> tuple[str, dict[str, int]]:
        """One text with everything found replaced, and what was found, as kind to count."""
        found = self._analyzer.analyze(
            text=text,
            language=self._language,
            entities=self._entities,
            score_threshold=self._score_threshold,
        )
        if not found:
            return text, {}
        made = self._anonymizer.anonymize(
            text=text,
            analyzer_results=found,  # type: ignore[arg-type] # Presidio's two packages name one class twice
            operators=self._operators,
        )
        return made.text, dict(Counter(item.entity_type.lower() for item in made.items))


def _default_analyzer() -> AnalyzerEngine:
    """Presidio's own, but never fetching a language model of hundreds of megabytes from the network by itself."""
    try:
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider
        from spacy.util import is_package
    except ImportError as error:
        raise _missing(error) from error
    for model in NlpEngineProvider().nlp_configuration["models"]:
        if not is_package(model["model_name"]):
            raise AuditSettingsError(
                f"PresidioSanitizer needs the language model {model['model_name']}, which is not installed: "
                f"python -m spacy download {model['model_name']}, or give an analyzer of your own"
            )
    return AnalyzerEngine()


def _default_anonymizer() -> AnonymizerEngine:
    try:
        from presidio_anonymizer import AnonymizerEngine
    except ImportError as error:
        raise _missing(error) from error
    return AnonymizerEngine()  # type: ignore[no-untyped-call] # Presidio left its constructor untyped


def _missing(error: ImportError) -> AuditSettingsError:
    return AuditSettingsError(
        f"PresidioSanitizer needs the package {error.name}, which is not installed: "
        "pip install 'llm-audit-log[presidio]'"
    )
