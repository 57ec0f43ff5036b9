"""A mapping that holds one thing without a dict is a dict to whoever uses it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.intake.few import Few
from collector.intake.stems import Stems, may_follow, stem_of

keys = st.sampled_from(["app.log", "app.log.1", "other"])


@given(st.lists(st.tuples(keys, st.integers(0, 3) | st.none())))
def test_it_is_as_a_dict(steps: list[tuple[str, int | None]]):
    """Whatever is put and taken (None), in any order: contents, order and length."""
    few: Few[int] = Few()
    plain: dict[str, int] = {}
    for key, value in steps:
        if value is None:
            assert few.pop(key, None) == plain.pop(key, None)
        else:
            few[key] = plain[key] = value
        assert (list(few), len(few), few.get(key)) == (list(plain), len(plain), plain.get(key))
        assert (list(few.items()), list(few.values())) == (list(plain.items()), list(plain.values()))


class Called:
    def __init__(self, name: str) -> None:
        self.name = name


names = st.sampled_from(
    ["app.log", "app.log.1", "app.log.2", "app-1.log", "app", "below/app.log", "below/app"]
)


@given(st.lists(st.tuples(names, st.booleans())), names)
def test_namesakes_are_those_whose_stem_stands_in_the_name(steps: list[tuple[str, bool]], name: str):
    """Whatever came and went before."""
    stems: Stems[Called] = Stems({})
    there: dict[str, Called] = {}
    for each, comes in steps:
        if comes:
            there[each] = Called(each)
            stems.put(each, there[each])
        elif there.pop(each, None):
            stems.take(each)
    expected = {
        each
        for original, each in there.items()
        if name.startswith(stem_of(original))
        and len(stem_of(original)) > name.rfind("/") + 1
        and may_follow(name, original)
    }
    assert set(stems.namesakes(name)) == expected
