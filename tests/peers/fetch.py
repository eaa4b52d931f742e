"""Download the source of AnyIO in the version that is installed: ``fetch.py DIR``."""

import importlib.metadata
import subprocess
import sys

version = importlib.metadata.version("anyio")
command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
command += ["--no-binary=anyio", f"--dest={sys.argv[1]}", f"anyio=={version}"]
sys.exit(subprocess.call(command))
