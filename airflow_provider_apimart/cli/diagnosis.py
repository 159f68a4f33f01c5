"""Diagnosis of a connection from its settings and replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from airflow_provider_apimart import exceptions as errors
from airflow_provider_apimart.api.balance import Balance
from airflow_provider_apimart.api.dollars import written_dollars
from airflow_provider_apimart.api.http_messages import Reply
from airflow_provider_apimart.api.json_values import mapping
from airflow_provider_apimart.api.models import ModelDescription
from airflow_provider_apimart.api.settings import ClientSettings

# Idempotency keys and URLs live for hours: smaller differences do no harm.
MOST_SKEW_SECONDS = 60.0
_BAD_CERTIFICATE = ("CertificateError", "CERTIFICATE_VERIFY_FAILED", "SSLCertVerificationError")


@dataclass(frozen=True)
class Diagnosis:
    """
    One sentence about a connection.

    :param subject: What it is about.
    :param is_well: Whether it needs no attention.
    """

    subject: str
    is_well: bool
    sentence: str


def proxy(settings: ClientSettings) -> Diagnosis:
    """Say which proxy is used."""
    try:
        used = settings.network.proxy_for(settings.base_url)
    except errors.ApimartConfigurationError as error:
        return Diagnosis("proxy", False, _sentence(error))
    if used is None:
        return Diagnosis("proxy", True, "No proxy is used.")
    source = "the connection" if settings.network.proxy else "the environment"
    # Without its credentials.
    return Diagnosis("proxy", True, f"The proxy {used.rpartition('@')[2]} is used, as {source} says.")


def authorities(settings: ClientSettings) -> Diagnosis | None:
    """Say why the certificate authorities cannot be read, ``None`` if they can. It reads their files."""
    try:
        settings.network.ssl_context()
    except errors.ApimartConfigurationError as error:
        return Diagnosis("certificates", False, _sentence(error))
    return None


def certificates(settings: ClientSettings, trouble: errors.ApimartError | None) -> Diagnosis:
    """
    Say whether the host's certificate is checked and valid.

    :param trouble: Why the host couldn't be asked, if it couldn't.
    """
    scheme, host = settings.origin
    if scheme == "http":
        if _is_local(urlsplit(settings.base_url).hostname or ""):
            return Diagnosis("certificates", True, f"No certificate is needed: {host} is reached without TLS.")
        return Diagnosis("certificates", False, f"The API key is sent unencrypted: {host} is reached without TLS.")
    if trouble and any(sign in trouble.message for sign in _BAD_CERTIFICATE):
        return Diagnosis("certificates", False, f"The certificate of {host} is refused: {_sentence(trouble)}")
    if not settings.network.verify:
        return Diagnosis("certificates", False, "Certificates are not checked: the connection has verify=false.")
    source = settings.network.authorities or settings.network.authorities_source
    if isinstance(trouble, errors.ApimartConnectionError):
        return Diagnosis(
            "certificates", True, f"Certificates are checked with {source}; no connection was established."
        )
    return Diagnosis("certificates", True, f"The certificate of {host} is valid, checked with {source}.")


def key(found: Balance | errors.ApimartError) -> Diagnosis:
    """
    Say whether the API key is accepted.

    :param found: The balance, or why it couldn't be read.
    """
    match found:
        case errors.ApimartAuthenticationError() | errors.ApimartPermissionError():
            return Diagnosis("key", False, _sentence(found))
        case Balance() | errors.ApimartBalanceError():
            return Diagnosis("key", True, "APIMart accepts the API key.")
        case errors.ApimartServerError(status=HTTPStatus.OK):
            # A look-up that failed inside of APIMart: a wrong key is refused before.
            return Diagnosis("key", True, "APIMart accepts the API key.")
    return Diagnosis("key", False, f"APIMart couldn't be asked: {_sentence(found)}")


def balance(found: Balance | errors.ApimartError) -> Diagnosis:
    """
    Say how much is left.

    :param found: The balance, or why it couldn't be read.
    """
    match found:
        case Balance(remaining=None):
            return Diagnosis("balance", True, "The API key has no spending limit of its own.")
        case Balance(remaining=Decimal() as left) if left > 0:
            return Diagnosis("balance", True, f"{written_dollars(left)} are left on the API key.")
        case Balance() | errors.ApimartBalanceError():
            return Diagnosis("balance", False, "Nothing is left on the API key: top up the balance.")
        case errors.ApimartServerError(status=HTTPStatus.OK):
            return Diagnosis("balance", False, f"The balance couldn't be read: {_sentence(found)}")
    return Diagnosis("balance", False, "The balance is not known.")


def clock(reply: Reply | None, asked_at: float, answered_at: float) -> Diagnosis:
    """
    Say whether this machine's clock agrees with APIMart's.

    :param reply: Any reply, ``None`` if there is none.
    :param asked_at: Unix time before its request.
    :param answered_at: Unix time after it.
    """
    date = _unix_time(reply.header("Date")) if reply else None
    if date is None:
        return Diagnosis("clock", True, "Whether the clock is right is not known: no reply had a date.")
    # A date has whole seconds.
    ahead = max(asked_at - date - 1, 0) or min(answered_at - date, 0)
    if abs(ahead) <= MOST_SKEW_SECONDS:
        return Diagnosis("clock", True, f"The clock agrees with APIMart's within {MOST_SKEW_SECONDS:.0f} seconds.")
    direction = "ahead of" if ahead > 0 else "behind"
    return Diagnosis("clock", False, f"This machine's clock is {abs(ahead):,.0f} seconds {direction} APIMart's.")


def models(found: Sequence[ModelDescription] | errors.ApimartError) -> Diagnosis:
    """
    Say how many models the API key may use.

    :param found: Their descriptions, or why they couldn't be read.
    """
    if isinstance(found, errors.ApimartError):
        said = f"The models couldn't be read, so requests are not checked: {_sentence(found)}"
        return Diagnosis("models", False, said)
    if not found:
        return Diagnosis("models", False, "The API key may use no model.")
    made = Counter(modality.value for model in found for modality in model.modalities)
    kinds = ", ".join(f"{made[modality]} {modality}" for modality in sorted(made))
    return Diagnosis(
        "models", True, f"The API key may use {len(found)} model{'s' * (len(found) > 1)} ({kinds or 'kinds unknown'})."
    )


def prices(found: Reply | errors.ApimartError | None) -> Diagnosis:
    """
    Say whether the public price route answers.

    :param found: Its reply about a model, why there is none, or ``None`` if it wasn't asked.
    """
    if found is None:
        return Diagnosis("prices", False, "The price route was not asked, since no model is known.")
    if isinstance(found, errors.ApimartError):
        return Diagnosis("prices", False, f"The price route couldn't be asked: {_sentence(found)}")
    body = mapping(found.json)
    if found.status == HTTPStatus.OK and body.get("success") is not False and mapping(body.get("data")):
        return Diagnosis("prices", True, "The price route answers, without the API key.")
    said = f"The price route has no prices (HTTP status {found.status}), so there are no quotes."
    return Diagnosis("prices", False, said)


def _sentence(error: errors.ApimartError) -> str:
    """Return an error in one line."""
    return f"{' '.join(error.summary.split()).rstrip('.')}."


def _unix_time(date: str | None) -> float | None:
    try:
        parsed = parsedate_to_datetime(date or "")
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, IndexError, OverflowError):
        return None


def _is_local(host: str) -> bool:
    """Return whether a host is this machine or one of a private network."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))
