from runtime._cli.findings import describe_findings
from runtime._cli.module_metrics import measure_module


def test_findings_name_the_function_its_place_and_the_figure(tmp_path):
    (tmp_path / "small.py").write_text("def f(): pass\n")
    (tmp_path / "large.py").write_text(
        "class C:\n    def method(self, a):\n        if a:\n            pass\n"
    )
    paths = [str(tmp_path / name) for name in ("small.py", "large.py")]

    rows = describe_findings({path: measure_module(path) for path in paths}, tmp_path)

    assert rows == [
        ["longest function: C.method (large.py:2)", "3 lines"],
        ["deepest nesting: C.method (large.py:2)", "1 blocks deep"],
        ["most complex function: C.method (large.py:2)", "2 ways through it"],
    ]


def test_modules_without_functions_have_findings_of_nothing(tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("")

    rows = describe_findings({str(path): measure_module(str(path))}, tmp_path)

    assert rows[0] == ["longest function: none (empty.py:0)", "0 lines"]
