"""Known values on small sources."""

import textwrap

import pytest

from runtime._cli.module_metrics import measure_module, measure_source


def measure(source):
    return measure_source(textwrap.dedent(source).encode())


def in_function(body):
    return "def f(a, b, c):\n" + textwrap.indent(textwrap.dedent(body), "    ")


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("return a", 1),
        ("if a: pass", 2),
        ("if a: pass\nelse: pass", 2),
        ("if a: pass\nelif b: pass\nelse: pass", 3),
        ("return b if a else c", 2),
        ("return a and b", 2),
        ("return a and b and c", 3),
        ("return a and (b or c)", 3),
        ("for x in a: pass", 2),
        ("while a: pass", 2),
        ("with a: pass", 1),
        ("try: pass\nfinally: pass", 1),
        ("try: pass\nexcept OSError: pass\nexcept ValueError: pass", 3),
        ("return [x for x in a]", 2),
        ("return [x for x in a if x if not x]", 4),
        ("return {x for y in a for x in y}", 3),
        ("return lambda x: 1 if x else 2", 2),
        ("match a:\n    case 1: pass\n    case 2: pass", 3),
        ("match a:\n    case 1: pass\n    case _: pass", 2),
        ("match a:\n    case 1: pass\n    case x if x: pass", 3),
    ],
)
def test_complexity_of_a_body_is_known(body, complexity):
    assert measure(in_function(body)).most_complex == complexity


@pytest.mark.parametrize(
    ("body", "depth"),
    [
        ("return [x for x in a if x]", 0),
        ("if a: pass", 1),
        ("if a:\n    for x in a:\n        while x: pass", 3),
        ("if a: pass\nelif b: pass\nelif c: pass", 1),
        ("if a: pass\nelif b:\n    with c: pass", 2),
        ("if a: pass\nelse:\n    with b: pass", 2),
        ("try: pass\nexcept OSError:\n    if a: pass", 2),
        ("match a:\n    case 1:\n        if b: pass", 2),
    ],
)
def test_nesting_of_a_body_is_known(body, depth):
    assert measure(in_function(body)).deepest == depth


def test_nested_function_is_measured_alone():
    metrics = measure(
        """
        def outer(a):
            if a:
                def inner(b):
                    for x in b:
                        while x:
                            pass
                return inner
        """
    )

    assert metrics.functions == 2
    assert (metrics.most_complex, metrics.most_complex_at) == (3, 4)
    assert (metrics.deepest, metrics.deepest_at) == (2, 4)
    assert (metrics.longest, metrics.longest_at) == (7, 2)


def test_method_and_async_function_count():
    metrics = measure(
        """
        class C:
            def method(self): pass
        async def f(): pass
        """
    )

    assert metrics.functions == 2


def test_lines_and_tokens_are_counted():
    metrics = measure_source(b"x = 1\ny = 2\n")

    # encoding, three tokens and a line end for each line, end marker
    assert (metrics.lines, metrics.tokens) == (2, 10)


def test_empty_module_has_nothing():
    assert measure_source(b"") == (0, 2, 0, 0, 0, 0, 0, 0, 0)


def test_module_is_read_in_its_own_encoding(tmp_path):
    path = tmp_path / "latin.py"
    path.write_bytes("# coding: latin-1\ndef é(): pass\n".encode("latin-1"))

    assert measure_module(str(path)).functions == 1


def test_result_is_flat_ints():
    metrics = measure("def f(): pass")

    assert all(type(value) is int for value in metrics)
