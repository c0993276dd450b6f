"""The canonical form never fails and tells different contents apart; stored text and JSON are always storable."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_audit_schemas import HashKey, canonical, content_hash
from llm_audit_schemas.text import bounded, storable, storable_json
from tests.contract.strategies import ANY_TEXT, STRUCTURES

KEY = HashKey("test", b"k" * 32)


def meaning(value: Any) -> Any:
    """A value reduced by the documented equivalences, every type told apart."""
    if isinstance(value, Mapping):
        members = {
            key: meaning(item) for key, item in value.items() if item is not None and key != "cache_control"
        }
        return ("object", tuple(sorted(members.items(), key=lambda pair: pair[0])))
    if isinstance(value, list | tuple):
        return ("list", tuple(meaning(item) for item in value))
    if isinstance(value, float):
        return ("float", repr(value))
    return (type(value).__name__, value)


@given(STRUCTURES, STRUCTURES)
def test_two_contents_share_a_form_exactly_when_they_mean_the_same(one: Any, two: Any) -> None:
    assert (canonical.encode(one) == canonical.encode(two)) == (meaning(one) == meaning(two))


@given(STRUCTURES)
def test_wrapping_and_splitting_is_told_apart(value: Any) -> None:
    forms = {canonical.encode(form) for form in (value, [value], [[value]], [value, value], {"a": [value]})}
    assert len(forms) == 5


@given(ANY_TEXT, ANY_TEXT)
def test_text_cannot_pass_for_structure(one: str, two: str) -> None:
    form = canonical.encode([one, two])
    assert canonical.encode(form.decode("utf-8", "surrogatepass")) != form
    assert (canonical.encode([one + two]) == form) is False


@given(ANY_TEXT)
def test_a_string_is_the_one_text_block_it_stands_for(text: str) -> None:
    block = [{"type": "text", "text": text}]
    cached = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}, "citations": None}]
    for content in (text, block, cached):
        assert content_hash(KEY, "system", content) == content_hash(KEY, "system", text)
        message = [{"role": "user", "content": content}]
        assert content_hash(KEY, "input", message) == content_hash(KEY, "input", text)
    assert content_hash(KEY, "system", text) != content_hash(KEY, "output", text)


@given(st.dictionaries(ANY_TEXT, st.integers(), max_size=6))
def test_the_order_of_members_does_not_matter(members: dict[str, int]) -> None:
    assert canonical.encode(dict(reversed(members.items()))) == canonical.encode(members)


class Broken:
    """Raises wherever it is looked at."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__


class BrokenMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise RuntimeError(key)

    def __iter__(self) -> Iterator[str]:
        yield "a"
        raise RuntimeError("iter")

    def __len__(self) -> int:
        return 2


class BrokenModel:
    def model_dump(self) -> object:
        raise RuntimeError("dump")


class EndlessModel:
    def model_dump(self) -> object:
        return [EndlessModel()]


class LoudText(str):
    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        raise RuntimeError(encoding + errors)


class RoundedFloat(float):
    def __repr__(self) -> str:
        return "about one"


def looped_list() -> list[Any]:
    loop: list[Any] = []
    loop.extend([loop, loop, loop])
    return loop


def looped_dict() -> dict[str, Any]:
    one: dict[str, Any] = {}
    two = {"one": one, "again": one}
    one.update(two=two, again=two)
    return one


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def released_view() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


ODDITIES: list[Any] = [
    Broken(),
    BrokenMapping(),
    BrokenModel(),
    EndlessModel(),
    LoudText("a"),
    looped_list(),
    looped_dict(),
    deep(5_000),
    released_view(),
    memoryview(b"abcdef")[::2],
    {Broken(): 1, 5: 2, None: 3, "5": 4, ("t",): 5},
    {1, 2},
    object,
    10**5_000,
    -(10**5_000),
    float("nan"),
    float("-inf"),
    "\ud800\x00",
    b"\xff",
    (number for number in range(3)),
    Ellipsis,
    1j,
]
IDS = [f"{type(value).__name__}-{position}" for position, value in enumerate(ODDITIES)]


@pytest.mark.parametrize("value", ODDITIES, ids=IDS)
def test_no_object_is_without_a_form(value: Any) -> None:
    for wrapped in (value, [value], {"a": value}, [{"role": "user", "content": value}], [[[value]]]):
        for form in (canonical.canonical_system, canonical.canonical_input, canonical.canonical_output):
            assert form(wrapped) == form(wrapped)
            assert form(wrapped) != form("")


@pytest.mark.parametrize("value", ODDITIES, ids=IDS)
def test_any_object_becomes_json(value: Any) -> None:
    for wrapped in (value, [value], {"a": value}, {"a": [{"b": value}]}):
        check_plain(storable_json(wrapped))


@given(STRUCTURES)
def test_any_structure_becomes_json(value: Any) -> None:
    check_plain(storable_json(value))


def check_plain(plain: Any) -> None:
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    assert "\0" not in text
    assert "\\u0000" not in text.replace("\\\\", "")
    text.encode("utf-8")
    assert json.loads(text) == plain


def test_what_looks_alike_is_one_content() -> None:
    assert canonical.encode(RoundedFloat(1.5)) == canonical.encode(1.5)
    assert canonical.encode(LoudText("a")) == canonical.encode("a")
    assert canonical.encode((1, b"a")) == canonical.encode([1, bytearray(b"a")])
    assert canonical.encode({1: "a", "1": "b"}) == canonical.encode({"1": "b", 1: "a"})


def test_an_iterator_is_left_to_its_caller() -> None:
    messages = iter([{"role": "user", "content": "hello"}])
    canonical.canonical_input(messages)
    assert len(list(messages)) == 1


def test_keys_with_one_text_are_all_kept() -> None:
    plain = storable_json({1: "a", "1": "b", "x\0": 1, "x\N{SYMBOL FOR NULL}": 2})
    assert isinstance(plain, dict)
    assert sorted(map(str, plain.values())) == ["1", "2", "a", "b"]


def test_a_structure_that_holds_itself_many_times_stays_small() -> None:
    value: list[Any] = ["end"]
    for _ in range(30):
        value = [value, value]
    assert len(json.dumps(storable_json(value))) < 2_000_000
    assert storable_json(2**1024 - 1) == 2**1024 - 1
    assert storable_json(-(2**1024)) == "<int of 1025 bits>"


@given(st.text(st.characters()), st.integers(1, 30))
def test_storable_text_has_neither_nul_nor_surrogate(text: str, limit: int) -> None:
    for kept in (storable(text), bounded(text, limit)):
        assert "\0" not in kept
        kept.encode("utf-8")
    assert len(storable(text)) == len(text)
    assert len(bounded(text, limit)) == min(len(text), limit)


def test_a_value_that_holds_itself_many_times_over_does_not_unfold_without_end() -> None:
    value: list[object] = []
    for _ in range(50):
        value = [value, value]
    assert 0 < len(canonical.encode(value)) < 100_000_000
