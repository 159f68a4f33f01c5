"""
What the process's environment says of proxies and certificates, read once for both transports.

Nothing else of the environment counts: a ``.netrc`` in particular would replace the API key's header.
"""

from __future__ import annotations

import os

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, select_proxy

from airflow_provider_apimart.api.settings import ClientSettings


def proxy_of(settings: ClientSettings) -> str | None:
    """Return the proxy for API calls: the connection's, or the environment's, or none."""
    return settings.proxy or select_proxy(settings.base_url, get_environ_proxies(settings.base_url))


def authorities_of(settings: ClientSettings) -> bool | str:
    """Return the file of certificate authorities to trust, or ``False`` to check no certificate."""
    if settings.verify is not True:
        return settings.verify
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return named or str(DEFAULT_CA_BUNDLE_PATH)
