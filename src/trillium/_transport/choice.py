"""Which of the two ways a client's requests go."""

from __future__ import annotations

import os
import ssl
import sys
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from trillium._transport.exchange import Transport
from trillium._transport.pool import Pool

if TYPE_CHECKING:
    import httpx

UserTransport: TypeAlias = "httpx.AsyncClient | httpx.AsyncBaseTransport"
"""What users bring in the place of the pool. A text, so that httpx is not imported for it."""


def open_transport(
    base_url: str,
    given: UserTransport | None = None,
    *,
    ssl_context: ssl.SSLContext | None = None,
) -> Transport:
    """Return the transport for requests to a URL.

    Args:
        base_url: Where they go.
        given: The user's own way, which stays theirs to close. None for ours: the pool, or httpx
            where the environment names a proxy for the URL.
        ssl_context: What ours speaks TLS with; made as httpx makes it if None.
    """
    url = urlsplit(base_url)
    if given is None and not proxy_from_environment(url.scheme, url.hostname or ""):
        return Pool(ssl_context=ssl_context)
    # Here, since importing httpx takes 100 ms and most programs never need it.
    from trillium._transport.httpx_transport import HttpxTransport  # noqa: PLC0415

    if given is None:
        return HttpxTransport.from_environment(ssl_context)
    return HttpxTransport(given)


def proxy_from_environment(scheme: str, host: str) -> bool:
    """Whether the environment names a proxy for a host, and does not exempt the host.

    Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, upper or lower case; of macOS
    and Windows also the settings of the system.
    """
    has_settings = sys.platform in ("darwin", "win32")
    if not has_settings and not any(name.lower().endswith("_proxy") for name in os.environ):
        return False
    # Here, since it brings in http.client and email: 10 ms of every start, for most in vain.
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415

    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)
