"""The settings of DESIGN section 8: what is in force, and where each value came from.

Read from the environment, then `celeriac.toml` in the working folder (or the file that
CELERIAC_CONFIG names), then `<home>/celeriac.toml` (what `celeriac up --repo` remembered),
then the default. Pure but for reading those two files.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import platformdirs

from celeriac.errors import SettingsError
from celeriac.units import parse_duration
from celeriac.windows import Window, parse_windows

_SECRET_QUERY = re.compile(r"((?:^|&)[^=&]*(?:password|passwd|secret|token|key|auth|sig)[^=&]*=)[^&]*", re.IGNORECASE)
_UNIX_PATH_MAX = 100  # sun_path holds 108 bytes; the rest is the file's own name


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, typed. Times in seconds. `sources` maps a field's name to where it came from.

    `redis_url` empty means the embedded server (see `redis_address`). Its text form leaves out
    what may hold a password.
    """

    repo_url: str = field(default="", repr=False)
    branch: str = "main"
    apps_dir: str = "apps"
    home: Path = Path()
    interval: float = 60.0
    runtime: str = "process"
    node: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    keep_releases: int = 3
    max_removals: int | None = None
    removal_grace: float = 3600.0
    sync_windows: tuple[Window, ...] = ()
    concurrency: int = 8
    lease: float = 15.0
    sweep_interval: float = 2.0
    observe_interval: float = 2.0
    cgroups: str = "auto"
    redis_url: str = field(default="", repr=False)
    key_prefix: str = "celeriac"
    sentry_dsn: str = field(default="", repr=False)
    flower_port: int = 5555
    log_format: str = "console"
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def redis_socket(self) -> Path:
        """The embedded server's socket, below the home folder."""
        return self.home / "redis" / "redis.sock"

    @property
    def redis_url_file(self) -> Path:
        """Where the embedded server's address is, with its password, when the home's path is too long for a socket."""
        return self.home / "redis" / "address"

    @property
    def redis_address(self) -> str:
        """The URL to connect to: REDIS_URL, or that of the embedded server."""
        if self.redis_url:
            return self.redis_url
        if not socket_path_fits(self.redis_socket):
            with contextlib.suppress(OSError):
                return self.redis_url_file.read_text(encoding="utf-8").strip()
        return f"unix://{quote(str(self.redis_socket))}"

    @property
    def broker_url(self) -> str:
        """The same address in the form that Celery takes."""
        if not self.redis_address.startswith("unix://"):
            return self.redis_address
        address = self.redis_address.replace("unix://", "redis+socket://", 1)
        return re.sub(r"([?&])db=", r"\1virtual_host=", address)

    def require_repo(self) -> str:
        """The repository's URL; raises SettingsError when none is set."""
        if not self.repo_url:
            raise SettingsError(
                "no repository is set",
                hint="set CELERIAC_REPO_URL, or start with: celeriac up --repo URL",
            )
        return self.repo_url


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text, in quotes")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"\s*-?\d{1,9}\s*", str(value)):
        raise ValueError(f"must be a whole number, not {value!r}")
    return int(value)


def _count(value: Any) -> int:
    number = _whole(value)
    if number < 1:
        raise ValueError("must be 1 or more")
    return number


def _limit(value: Any) -> int:
    number = _whole(value)
    if number < 0:
        raise ValueError("must be 0 or more")
    return number


def _port(value: Any) -> int:
    number = _whole(value)
    if not 0 <= number <= 65535:
        raise ValueError("must be a port, 0..65535")
    return number


def _folder(value: Any) -> Path:
    try:
        return Path(_text(value)).expanduser().absolute()
    except RuntimeError:
        raise ValueError(f"{value!r} begins with ~, but there is no such user") from None


def _interval(value: Any) -> float:
    seconds = parse_duration(value)
    if seconds < 1:
        raise ValueError("must be at least 1s (a bare number is milliseconds)")
    return seconds


def _name(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", str(value)):
        raise ValueError("takes letters, digits, dot, dash and underscore, up to 63")
    return str(value)


def _apps_dir(value: Any) -> str:
    text = _text(value).strip("/")
    if not text.isprintable() or any(part in {"", ".", ".."} for part in text.split("/")):
        raise ValueError("must be a folder inside the repository")
    return text


def _cgroups(value: Any) -> str:
    if value not in ("auto", "off"):
        raise ValueError(f"must be auto or off, not {value!r}")
    return str(value)


def is_ref_name(text: str) -> bool:
    """Whether `text` may be a branch's or tag's name, by the rules of git-check-ref-format."""
    if not text or text == "@" or text.startswith(("-", "/", ".")) or text.endswith(("/", ".")):
        return False
    return not re.search(r"[\s\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)", text)


def _branch(value: Any) -> str:
    text = _text(value)
    if not is_ref_name(text):
        raise ValueError("is not a branch name")
    return text


def _labels(value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(k): str(v) for k, v in value.items()}
    pairs = [part.strip() for part in str(value).split(",") if part.strip()]
    if not all(pair.partition("=")[0].strip() and "=" in pair for pair in pairs):
        raise ValueError("must read like role=web,zone=a")
    return {k.strip(): v.strip() for k, v in (pair.split("=", 1) for pair in pairs)}


def _redis(value: Any) -> str:
    text = _text(value)
    if not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return text


_VARIABLES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "repo_url": ("CELERIAC_REPO_URL", _text),
    "branch": ("CELERIAC_BRANCH", _branch),
    "apps_dir": ("CELERIAC_APPS_DIR", _apps_dir),
    "home": ("CELERIAC_HOME", _folder),
    "interval": ("CELERIAC_INTERVAL", _interval),
    "runtime": ("CELERIAC_RUNTIME", _text),
    "node": ("CELERIAC_NODE", _name),
    "labels": ("CELERIAC_LABELS", _labels),
    "keep_releases": ("CELERIAC_KEEP_RELEASES", _count),
    "max_removals": ("CELERIAC_MAX_REMOVALS", _limit),
    "removal_grace": ("CELERIAC_REMOVAL_GRACE", parse_duration),
    "sync_windows": ("CELERIAC_SYNC_WINDOWS", parse_windows),
    "concurrency": ("CELERIAC_CONCURRENCY", _count),
    "lease": ("CELERIAC_LEASE", _interval),
    "sweep_interval": ("CELERIAC_SWEEP_INTERVAL", _interval),
    "observe_interval": ("CELERIAC_OBSERVE_INTERVAL", _interval),
    "cgroups": ("CELERIAC_CGROUPS", _cgroups),
    "redis_url": ("REDIS_URL", _redis),
    "key_prefix": ("CELERIAC_KEY_PREFIX", _name),
    "sentry_dsn": ("SENTRY_DSN", _text),
    "flower_port": ("CELERIAC_FLOWER_PORT", _port),
    "log_format": ("CELERIAC_LOG_FORMAT", _text),
}


def variable(name: str) -> str:
    """The environment variable of the setting `name`."""
    return _VARIABLES[name][0]


def load(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """The settings in force for `environ` (default: this process's) and working folder `folder`.

    Raises SettingsError naming the variable or the file and key that is wrong.
    """
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    chosen = _folder(environ["CELERIAC_CONFIG"]) if environ.get("CELERIAC_CONFIG") else folder / "celeriac.toml"
    file_values = _read(chosen, must_exist=bool(environ.get("CELERIAC_CONFIG")))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def take(raw: Mapping[str, Any], origin: str) -> None:
        for name, value in raw.items():
            if name not in values:
                values[name] = _parse(name, value, origin)
                origins[name] = origin

    from_environment = {n: environ[v] for n, (v, _) in _VARIABLES.items() if environ.get(v)}
    for name, value in from_environment.items():
        take({name: value}, _VARIABLES[name][0])
    take(file_values, str(chosen))
    values.setdefault("home", Path(platformdirs.user_state_path("celeriac")))
    remembered = values["home"] / "celeriac.toml"
    if remembered != chosen:
        take({k: v for k, v in _read(remembered).items() if k != "home"}, str(remembered))
    if "node" not in values:
        values["node"] = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:63].strip("-.") or "node"
    return Settings(**values, sources={f.name: origins.get(f.name, "default") for f in fields(Settings)})


def _read(path: Path, *, must_exist: bool = False) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise SettingsError(f"{path}: no such file", hint="CELERIAC_CONFIG names it") from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}", hint="it must be TOML, as in: branch = 'main'") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    for name in values:
        if name not in _VARIABLES:
            raise SettingsError(f"{path}: unknown setting {name!r}", hint=f"known: {', '.join(_VARIABLES)}")
    return values


def _parse(name: str, value: Any, origin: str) -> Any:
    try:
        return _VARIABLES[name][1](value)
    except ValueError as error:
        what = origin if origin == _VARIABLES[name][0] else f"{origin}: {name}"
        raise SettingsError(f"{what}: {error}") from error


def without_password(url: str) -> str:
    """`url` fit to be shown: user name, password and secret-looking query values are left out."""
    try:
        parts = urlsplit(url)
        if parts.netloc:
            _ = parts.port  # not a number: what looks like a port is a password with a slash in it
    except ValueError:
        scheme, separator, _ = url.partition("://")
        return f"{scheme}://***" if separator else "***"
    query = _SECRET_QUERY.sub(r"\1***", parts.query)
    if "@" not in parts.netloc and query == parts.query:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"***@{host}" if "@" in parts.netloc else host, query=query))


def socket_path_fits(path: Path) -> bool:
    """Whether `path` is short enough for a Unix socket on every system that we run on."""
    return len(os.fsencode(path)) <= _UNIX_PATH_MAX
