"""uv is told everything it needs, nothing it must not know, and its errors are understood."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from celeriac.process import Completed
from sources.failure import BuildFailed, SourceFailure, Unreachable, VersionMissing
from sources.installer import base_python, build_argv, failure_of, install_argv, newest, uv_environment, venv_argv

MISSING = [
    "Using Python 3.11.7 environment at: venv",
    "error: No solution found when resolving dependencies",
    "  cause: Because there is no version of shop==2 and you require shop==2, we can conclude that your requirements "
    "are unsatisfiable.",
]


def test_commands_are_values() -> None:
    assert venv_argv("uv", Path("/r/venv")) == [
        "uv",
        "venv",
        "--quiet",
        "--no-project",
        "--relocatable",
        "--python",
        base_python(),
        "/r/venv",
    ]
    assert install_argv("uv", Path("/r/venv"), "shop==1") == ["uv", "pip", "install", "--python", "/r/venv", "shop==1"]
    assert build_argv("uv", Path("/p"), Path("/w"))[-3:] == ["--out-dir", "/w", "/p"]


def test_the_users_proxies_and_indexes_stay_and_our_secrets_go() -> None:
    environ = {
        "HTTPS_PROXY": "http://proxy:3128",
        "UV_INDEX": "https://mine.example/simple",
        "UV_LINK_MODE": "copy",
        "PATH": "/bin",
        "REDIS_URL": "redis://:pw@r",
        "SENTRY_DSN": "https://k@s",
        "CELERIAC_REPO_URL": "https://t@g",
        "VIRTUAL_ENV": "/ours",
        "PYTHONPATH": "/ours",
        "UV_PYTHON": "3.8",
        "COLUMNS": "80",
    }
    assert uv_environment(environ, Path("/cache")) == {
        "HTTPS_PROXY": "http://proxy:3128",
        "UV_INDEX": "https://mine.example/simple",
        "UV_LINK_MODE": "copy",
        "PATH": "/bin",
        "UV_CACHE_DIR": "/cache",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "NO_COLOR": "1",
        "UV_NO_CONFIG": "1",
    }


def test_a_configuration_file_that_is_named_is_used_and_none_otherwise() -> None:
    assert "UV_NO_CONFIG" not in uv_environment({"UV_CONFIG_FILE": "/etc/uv.toml"}, Path("/cache"))


def test_the_specs_index_takes_the_place_of_the_default_one() -> None:
    environ = {"UV_INDEX_URL": "https://old", "UV_DEFAULT_INDEX": "https://old"}
    env = uv_environment(environ, Path("/cache"), index_url="https://new")
    assert env["UV_DEFAULT_INDEX"] == "https://new"
    assert "UV_INDEX_URL" not in env
    assert env["UV_LINK_MODE"] == "hardlink"


@pytest.mark.parametrize(
    ("lines", "kind", "reason", "retryable"),
    [
        (MISSING, VersionMissing, "VersionMissing", True),
        (
            ["error: No solution found when resolving dependencies", "  cause: Because shop was not found in the x"],
            VersionMissing,
            "VersionMissing",
            True,
        ),
        (
            [MISSING[1], "  cause: Because there is no version of six==99 and shop==2 depends on six==99, ..."],
            BuildFailed,
            "DependencyConflict",
            True,
        ),
        (
            [
                "error: Failed to fetch: http://127.0.0.1:9/simple/shop/",
                "  cause: tcp connect error",
                "  cause: Connection refused (os error 111)",
            ],
            Unreachable,
            "Unreachable",
            True,
        ),
        (
            [
                *MISSING,
                "hint: An index URL (http://h/simple) could not be queried due to a lack of valid authentication "
                "credentials (401 Unauthorized)",
            ],
            Unreachable,
            "Unreachable",
            True,
        ),
        (
            ["error: Failed to build `shop`", "  cause: The build backend returned an error", "   RuntimeError: boom"],
            BuildFailed,
            "BuildFailed",
            False,
        ),
        ([], BuildFailed, "BuildFailed", False),
    ],
)
def test_what_uv_says_becomes_a_failure_by_what_happened(
    lines: Sequence[str], kind: type[SourceFailure], reason: str, retryable: bool
) -> None:
    failure = failure_of(lines, what="shop==2", package="Shop")
    assert type(failure) is kind
    assert (failure.reason, failure.retryable) == (reason, retryable)
    assert failure.message.startswith("shop==2: ")


def test_uvs_sentence_is_the_message_and_its_chatter_is_left_out() -> None:
    failure = failure_of(MISSING, what="shop==2", package="shop")
    assert "there is no version of shop==2" in failure.message
    assert list(failure.output) == MISSING[1:]


def test_the_newest_version_is_read_from_a_dry_run() -> None:
    done = Completed("", ("Resolved 1 package", "Would install 1 package", " + my-shop==2.0.4"), 0.1)
    assert newest(done, "my_shop") == "2.0.4"
    assert newest(done, "other") == ""
