"""``python -m ibfeed_simulator.distribution --output dist/gateway.zip``: the stand-in as a gateway distribution.

The archive has the layout of IB's (``bin/run.sh``, ``root/conf.yaml``). ``lib/`` has the Python packages that it needs,
and ``certificate.sha256`` the fingerprint for clients to pin. It runs with the machine's ``python3``, 3.11. It writes
nothing but the logs that ``root/logback.xml`` asks for, which are as many as IB's. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import compileall
import py_compile
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from ibfeed_simulator.certificates import gateway_certificate

_PACKAGE: Final = Path(__file__).parent
_REQUIREMENTS: Final = _PACKAGE.parent.parent / "requirements" / "simulator.txt"
# The packages that the gateway imports, and those that these import in turn.
NEEDED: Final = frozenset(
    {
        "aiohappyeyeballs",
        "aiohttp",
        "aiosignal",
        "attrs",
        "frozenlist",
        "idna",
        "multidict",
        "propcache",
        "pyyaml",
        "typing-extensions",
        "yarl",
    }
)
_MOMENT: Final = (2020, 1, 1, 0, 0, 0)  # the time of every file in the archive

_RUN: Final = """\
#!/bin/sh
# Usage: bin/run.sh root/conf.yaml
home=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
# By this name clients look for the gateway among the processes. To Python it is an option that says nothing.
name=ibgroup.web.core.clientportal.gw.GatewayStart
PYTHONPATH="$home/lib" PYTHONDONTWRITEBYTECODE=1 exec python3 -X $name -m ibfeed_simulator gateway "$@"
"""

_CONF: Final = """\
ip2loc: "US"
proxyRemoteSsl: true
proxyRemoteHost: "https://api.ibkr.com"
listenPort: 5000
listenSsl: true
ccp: false
svcEnvironment: "v1"
sslCert: "gateway.pem"
sslPwd: "mywebapi"
authDelay: 3000
portalBaseURL: ""
serverOptions:
  blockedThreadCheckInterval: 1000000
  eventLoopPoolSize: 20
  workerPoolSize: 20
  maxWorkerExecuteTime: 100
  internalBlockingPoolSize: 20
cors:
  origin.allowed: "*"
  allowCredentials: false
webApps:
  - name: "demo"
    index: "index.html"
ips:
  allow:
    - 10.*
    - 172.*
    - 192.*
    - 127.0.0.1
  deny:
    - 212.90.324.10
"""

# As IB's: it logs everything for three weeks, each frame of the websocket and each cookie included.
_LOGBACK: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <appender name="FILE" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <rollingPolicy class="ch.qos.logback.core.rolling.TimeBasedRollingPolicy">
      <fileNamePattern>logs/gw.%d{yyyy-MM-dd}.log</fileNamePattern>
      <maxHistory>21</maxHistory>
    </rollingPolicy>
  </appender>
  <appender name="MESSAGELOG" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <rollingPolicy class="ch.qos.logback.core.rolling.TimeBasedRollingPolicy">
      <fileNamePattern>logs/gw.message.%d{yyyy-MM-dd}.log</fileNamePattern>
      <maxHistory>21</maxHistory>
    </rollingPolicy>
  </appender>
  <logger name="HttpMessageLogger" level="INFO" additivity="false">
    <appender-ref ref="MESSAGELOG"/>
  </logger>
  <root level="DEBUG">
    <appender-ref ref="FILE"/>
  </root>
</configuration>
"""


class BuildError(Exception):
    """pip could not get the packages. The message is pip's."""


def pinned(requirements: str) -> str:
    """Return the needed part of a locked requirements file, hashes included."""
    blocks = re.split(r"\n(?=\S)", requirements)
    wanted = [block for block in blocks if re.split(r"[=\s\[]", block, maxsplit=1)[0].lower() in NEEDED]
    missing = NEEDED - {re.split(r"[=\s\[]", block, maxsplit=1)[0].lower() for block in wanted}
    if missing:
        raise BuildError(f"not in the locked requirements: {', '.join(sorted(missing))}")
    return "\n".join(wanted) + "\n"


def _vendor(requirements: Path, target: Path, scratch: Path) -> None:
    subset = scratch / "requirements.txt"
    subset.write_text(pinned(requirements.read_text(encoding="utf-8")), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    command += ["--no-compile", "--disable-pip-version-check", "--target", str(target), "-r", str(subset)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(done.stderr.strip())


def _program(target: Path) -> None:
    package = target / "ibfeed_simulator"
    (package / "gateway").mkdir(parents=True)
    for source in (_PACKAGE / "__init__.py", _PACKAGE / "__main__.py", *sorted((_PACKAGE / "gateway").glob("*.py"))):
        (package / source.relative_to(_PACKAGE)).write_bytes(source.read_bytes())


def build(output: Path, requirements: Path = _REQUIREMENTS) -> str:
    """Write the archive; return the certificate's fingerprint. Raises BuildError if the packages cannot be had."""
    certificate = gateway_certificate()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        tree = scratch / "tree"
        library = tree / "lib"
        library.mkdir(parents=True)
        _vendor(requirements, library, scratch)
        _program(library)
        # Compiled here, because it may run where nothing can be written. Checked by hash, because times do not survive.
        compileall.compile_dir(
            library, quiet=2, stripdir=str(tree), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        _write(tree / "bin" / "run.sh", _RUN)
        _write(tree / "root" / "conf.yaml", _CONF)
        _write(tree / "root" / "logback.xml", _LOGBACK)
        _write(tree / "root" / "gateway.pem", certificate.pem)
        _write(tree / "certificate.sha256", f"{certificate.sha256}\n")
        _pack(tree, output)
    return certificate.sha256


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _pack(tree: Path, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(tree.rglob("*")):
            relative = path.relative_to(tree).as_posix()
            # pip's own notes name the machine and the time, so the bytes would differ.
            if path.is_dir() or relative.startswith("lib/bin/") or path.name in ("RECORD", "direct_url.json"):
                continue
            info = zipfile.ZipInfo(relative, _MOMENT)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o755 if relative == "bin/run.sh" else 0o644) << 16
            archive.writestr(info, path.read_bytes())
    partial.replace(output)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ibfeed_simulator.distribution", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("dist/gateway.zip"))
    parser.add_argument("--requirements", type=Path, default=_REQUIREMENTS, help="locked, with hashes")
    options = parser.parse_args(arguments)
    try:
        print(build(options.output, options.requirements))
    except (BuildError, OSError) as error:
        print(f"cannot build the gateway distribution: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
