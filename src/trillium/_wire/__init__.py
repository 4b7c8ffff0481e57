"""Formats: bytes to events and back.

Here lives what is known of a format on the wire: server-sent events, content codings, HTTP/1.1,
the dialects of the providers, rate-limit headers.
Each is a machine or a pair of functions that is fed bytes and gives records; whatever a server
sends, the answer is records or a `RemoteProtocolError`.

Not here: sockets, time and dice (`_transport`), what to do about an answer (`_policy`), what it
costs (`_money`).
Nothing in this folder imports trio or httpx, and no module here re-exports another.
"""
