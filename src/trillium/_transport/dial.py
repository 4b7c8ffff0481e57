"""From a host's name to a stream that carries its HTTP: resolve, connect, agree on TLS.

What the system reports is translated here, once, into words that name host and port.
"""

from __future__ import annotations

import ssl
from typing import final

from trillium._transport.connect import connect
from trillium._transport.resolve import Resolver
from trillium._transport.streams import Stream, TcpStream
from trillium._transport.tls import TlsStream, default_ssl_context
from trillium.errors import ConnectionBrokenError


@final
class Dialer:
    """Makes connections.

    Args:
        ssl_context: What TLS is spoken with; made as httpx makes it, when first needed, if None.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None) -> None:
        self._ssl_context = ssl_context
        self._resolver = Resolver()

    async def dial(self, host: str, port: int, *, secure: bool) -> Stream:
        """Return a stream to a host.

        Raises:
            ConnectionBrokenError: The host is unknown, cannot be reached, or is not who it should
                be.
        """
        addresses = await self._resolver.resolve(host, port)
        try:
            tcp = TcpStream(await connect(addresses))
        except OSError as error:
            self._resolver.forget(host, port)
            raise ConnectionBrokenError(
                f"could not connect to {host}:{port}: {error.strerror or error}"
            ) from error
        return await self._start_tls(tcp, host, port) if secure else tcp

    async def _start_tls(self, tcp: TcpStream, host: str, port: int) -> TlsStream:
        try:
            if self._ssl_context is None:
                self._ssl_context = default_ssl_context()
            stream = TlsStream(tcp, self._ssl_context, host=host)
            await stream.handshake()
        except ssl.SSLCertVerificationError as error:
            tcp.close()
            raise ConnectionBrokenError(
                f"the certificate of {host}:{port} was refused: {error.verify_message}"
            ) from error
        except OSError as error:
            tcp.close()
            reason = getattr(error, "reason", None) or error.strerror or error
            raise ConnectionBrokenError(f"no TLS with {host}:{port}: {reason}") from error
        except BaseException:
            tcp.close()
            raise
        return stream
