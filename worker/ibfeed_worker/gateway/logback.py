"""The gateway's logging configuration, which replaces the distribution's own ``root/logback.xml``.

IB's writes every websocket frame at DEBUG and keeps three weeks of it. Measured: 1.8 bytes for each byte streamed, half
a gigabyte a day for twenty updates a second. That fills the pod's volume within days, and the node then evicts the pod.
It also writes the session's cookies, which must not be found on a disk.
"""

from __future__ import annotations

from typing import Final

_FILE_MB: Final = 10
_OLD_FILES: Final = 3
MOST_BYTES: Final = (_OLD_FILES + 1) * _FILE_MB << 20

# These loggers write cookies, the user's name, or each message.
_QUIET: Final = {
    "HttpMessageLogger": "OFF",
    "ibgroup.web.core.clientportal.gw.core.CookieManager": "WARN",
    "ibgroup.web.core.clientportal.gw.http.GwWebsocketHandler": "WARN",
    "ibgroup.web.core.clientportal.gw.services.ClientPortalService": "WARN",
}

CONFIGURATION: Final = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<configuration>
  <appender name="FILE" class="ch.qos.logback.core.rolling.RollingFileAppender">
    <file>logs/gateway.log</file>
    <rollingPolicy class="ch.qos.logback.core.rolling.FixedWindowRollingPolicy">
      <fileNamePattern>logs/gateway.%i.log</fileNamePattern>
      <minIndex>1</minIndex>
      <maxIndex>{_OLD_FILES}</maxIndex>
    </rollingPolicy>
    <triggeringPolicy class="ch.qos.logback.core.rolling.SizeBasedTriggeringPolicy">
      <maxFileSize>{_FILE_MB}MB</maxFileSize>
    </triggeringPolicy>
    <encoder>
      <pattern>%d{{HH:mm:ss.SSS}} %-5level %thread %-20logger{{0}} : %message%n%ex</pattern>
    </encoder>
  </appender>
{"".join(f'  <logger name="{name}" level="{level}"/>' + chr(10) for name, level in _QUIET.items())}\
  <root level="INFO">
    <appender-ref ref="FILE"/>
  </root>
</configuration>
"""
