"""Telling people: a webhook in Slack's form and e-mail; tried a few times, never for long, never fatal."""

from __future__ import annotations

import json
import os
import smtplib
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from urllib.parse import urlsplit

from nbprod.monitoring.facts import ORDER, MonitorReport
from nbprod.monitoring.policy import NotifyPolicy

TRIES = 3
PAUSE = 0.5
TIMEOUT = 3.0
"""Seconds that one try may take."""

LIMIT = 12.0
"""Seconds that telling may take in all; what hangs beyond that is left behind."""

SHOWN = 5


def due(report: MonitorReport, policy: NotifyPolicy) -> bool:
    """Whether a report is bad enough to tell."""
    return ORDER.index(report.status) >= ORDER.index("ALARM" if policy.on == "alarm" else "WARN")


def notify(
    report: MonitorReport, policy: NotifyPolicy, *, environment: Mapping[str, str] | None = None, pause: float = PAUSE
) -> tuple[str, ...]:
    """Tell a report to whom the policy names; returns a sentence for each that could not be told."""
    environment = os.environ if environment is None else environment
    problems = list(unset(policy, environment))
    ways: list[tuple[str, Callable[[], None]]] = []
    if url := _webhook(policy, environment):
        ways.append((f"the webhook at {urlsplit(url).hostname}", lambda: post(url, report)))
    if policy.email:
        ways.append((f"the mail server {policy.smtp}", lambda: send(report, policy)))
    for name, way in ways:
        _try(name, way, problems, pause)
    return tuple(problems)


def unset(policy: NotifyPolicy, environment: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence where the webhook is in a variable that is not set: better told before there is an alarm."""
    if not policy.webhook or _webhook(policy, environment):
        return ()
    return (f"the webhook is not told: the environment variable {policy.webhook[1:]} is not set.",)


def _webhook(policy: NotifyPolicy, environment: Mapping[str, str]) -> str:
    """Its URL; empty where there is none."""
    return environment.get(policy.webhook[1:], "") if policy.webhook.startswith("$") else policy.webhook


def _try(name: str, way: Callable[[], None], problems: list[str], pause: float) -> None:
    """Try in a thread, since looking up a host's name knows no timeout."""
    failed = ["did not answer in time"]

    def run() -> None:
        for number in range(TRIES):
            try:
                way()
            except (OSError, smtplib.SMTPException, ValueError) as error:
                http = isinstance(error, urllib.error.HTTPError)
                failed[0] = str(error) if http else f"{type(error).__name__}: {getattr(error, 'reason', None) or error}"
                if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code != 429:
                    return
                time.sleep(pause * 2**number if number < TRIES - 1 else 0)
            else:
                failed.clear()
                return

    thread = threading.Thread(target=run, name="notify", daemon=True)
    thread.start()
    thread.join(LIMIT)
    if failed:
        problems.append(f"{name} could not be told ({failed[0]}).")


def text_of(report: MonitorReport) -> str:
    """A report in a few lines."""
    bad = [check for check in report.checks if ORDER.index(check.status) >= ORDER.index("WARN")]
    lines = [f"{report.status}: {report.ref}" + (f" (owner: {report.owner})" if report.owner else "")]
    lines += [f"- {check.status} {check.area} {check.name}: {check.why}" for check in bad[:SHOWN]]
    if len(bad) > SHOWN:
        lines.append(f"- and {len(bad) - SHOWN} more")
    return "\n".join([*lines, f"nbprod monitor {report.name}"])


def post(url: str, report: MonitorReport) -> None:
    """Send a report to a webhook: JSON with ``text``, as Slack, Mattermost and others take it.

    Raises:
        OSError: it could not.
    """
    body = {"text": text_of(report), "status": report.status, "model": report.ref}
    data = json.dumps(body).encode()
    asked = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(asked, timeout=TIMEOUT) as answer:
        answer.read(1)


def send(report: MonitorReport, policy: NotifyPolicy) -> None:
    """Send a report by mail.

    Raises:
        OSError, SMTPException: it could not.
    """
    message = EmailMessage()
    message["Subject"] = f"{report.status}: {report.ref}"
    message["From"] = policy.sender
    message["To"] = ", ".join(policy.email)
    message.set_content(text_of(report))
    host, _, port = policy.smtp.partition(":")
    with smtplib.SMTP(host, int(port or 25), timeout=TIMEOUT) as server:
        server.send_message(message)
