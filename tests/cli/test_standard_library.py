import os

from runtime._cli.standard_library import standard_library_modules


def test_modules_come_largest_first():
    sizes = [os.path.getsize(path) for path in standard_library_modules()]

    assert len(sizes) > 400
    assert sizes == sorted(sizes, reverse=True)


def test_tests_and_installed_packages_are_left_out():
    folders = {
        name
        for path in standard_library_modules()
        for name in os.path.dirname(path).split(os.sep)[-2:]
    }

    assert "json" in folders
    assert not folders & {"test", "tests", "idle_test", "site-packages"}


def test_limit_keeps_the_largest():
    assert standard_library_modules(3) == standard_library_modules()[:3]
