"""A canonical form read back, whole, cut or broken; and content through its codec."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_audit_schemas import UndecodableMessageError, canonical, canonical_reading, schema_files
from llm_audit_schemas.canonical_reading import CUT
from llm_audit_schemas.content import AuditContent, binding, input_form
from llm_audit_schemas.content_codec import ContentCodec
from llm_audit_schemas.errors import InvalidEntryError, UnreadableFormError
from tests.contract.examples import example, example_names, record_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def as_kept(value: Any) -> Any:
    """What a form keeps of a value: members that are null or a cache hint are left out."""
    if isinstance(value, dict):
        return {
            key: as_kept(member)
            for key, member in value.items()
            if member is not None and key != "cache_control"
        }
    return [as_kept(each) for each in value] if isinstance(value, list) else value


@given(VALUES)
def test_a_form_reads_back_as_what_it_was_made_of(value: Any) -> None:
    assert canonical_reading.read(canonical.encode(value)) == as_kept(value)


@given(VALUES, st.data())
def test_a_cut_form_reads_up_to_the_cut_and_shows_it(value: Any, data: st.DataObject) -> None:
    form = canonical.encode(value)
    cut = form[: data.draw(st.integers(0, len(form) - 1))]
    read = canonical_reading.read(cut, truncated=True)
    if isinstance(value, str) and value.isascii():
        assert str(read).endswith(CUT)
        assert value.startswith(str(read).removesuffix(CUT))
    with pytest.raises(UnreadableFormError):
        canonical_reading.read(cut)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_form_are_refused_in_our_own_words(data: bytes) -> None:
    for truncated in (False, True):
        with contextlib.suppress(UnreadableFormError):
            canonical_reading.read(data, truncated=truncated)


def test_what_nests_without_end_is_refused_too() -> None:
    with pytest.raises(UnreadableFormError):
        canonical_reading.read(b"l" * 100_000)


def test_an_input_of_both_is_the_form_of_the_object_of_both() -> None:
    messages, system = canonical.canonical_input("hello"), canonical.canonical_system("be terse")
    both = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "system": [{"type": "text", "text": "be terse"}],
    }
    assert input_form(messages, system) == canonical.encode(both)
    assert input_form(messages, None) == canonical.encode({"messages": both["messages"]})
    assert input_form(None, system) == canonical.encode({"system": both["system"]})
    assert input_form(None, None) is None


def test_each_thing_that_describes_a_ciphertext_changes_its_binding() -> None:
    facts: dict[str, Any] = {
        "request_id": "01a1f84a-d0d3-7101-8101-010101010101",
        "part": "input",
        "recipient_key_id": "archive",
        "compression": "deflate",
        "canonical_form": 1,
        "plain_bytes": 10,
        "truncated": False,
    }
    others = ("other", "output", "other", "none", 2, 11, True)
    changed = [binding(**{**facts, name: other}) for name, other in zip(facts, others, strict=True)]
    assert len({binding(**facts), *changed}) == len(facts) + 1


@pytest.mark.parametrize("name", example_names(schema_files.CONTENT))
def test_an_example_goes_through_the_codec(name: str) -> None:
    content = AuditContent(**record_of(example(schema_files.CONTENT, name)))
    assert ContentCodec().decode(ContentCodec().encode(content)) == content
    assert "sealed" not in repr(content)


@given(st.binary(max_size=100))
def test_hostile_bytes_are_undecodable_and_nothing_else(data: bytes) -> None:
    codec = ContentCodec()
    for message in (data, codec.schema_id.to_bytes(5, "big") + data):
        with pytest.raises(UndecodableMessageError):
            codec.decode(message)


def test_an_unknown_part_or_compression_is_refused() -> None:
    record = record_of(example(schema_files.CONTENT, "input"))
    for change in ({"part": "system"}, {"compression": "rot13"}):
        with pytest.raises(InvalidEntryError):
            AuditContent(**{**record, **change})
