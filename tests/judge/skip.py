"""How a judge script ends when the machine lacks what it needs: skipped (77) with a reason that .ci/run knows, failed where CI=true."""
import os
import sys


def _skip(text):
    print(f"skipped: {text}")
    sys.exit(1 if os.environ.get("CI") == "true" else 77)


def no_judges(missing):
    _skip(f"no judges: {missing}; tools/judge_env.sh makes a Python that has all of them")


def need_shared_data(path):
    if not os.path.exists(path):
        _skip(f"no shared data: {path} is missing")
