"""trillium in a plain program, through `trillium.sync`: a thread for each call in flight."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import trillium
from benchmarks.rivals.ours import _requests
from benchmarks.work import MODEL, Meter, Work
from trillium import sync


def _run(work: Work, meter: Meter, *, stream: bool) -> dict[int, str]:
    texts: dict[int, str] = {}
    with (
        sync.open_client(
            MODEL, base_url=work.base_url, key="x", concurrency=work.concurrency
        ) as client,
        ThreadPoolExecutor(work.concurrency) as pool,
    ):

        def call(requests: Iterator[trillium.Request]) -> None:
            for request in requests:
                assert isinstance(request.id, int)
                texts[request.id] = client.complete(request).text

        def read(requests: Iterator[trillium.Request]) -> None:
            for request in requests:
                with client.stream(request) as chunks:
                    parts = [chunk.text for chunk in chunks]
                assert isinstance(request.id, int)
                texts[request.id] = "".join(parts)

        def each(numbers: Iterable[int]) -> None:
            requests = list(_requests(numbers))
            # A generator cannot be shared by threads, but the list's parts can.
            parts = [iter(requests[first :: work.concurrency]) for first in range(work.concurrency)]
            list(pool.map(read if stream else call, parts))

        each(work.warmup_numbers())
        texts.clear()
        meter.start()
        each(work.numbers())
        meter.stop()
    return texts


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Plain calls."""
    return _run(work, meter, stream=False)


def streams(work: Work, meter: Meter) -> dict[int, str]:
    """Streams."""
    return _run(work, meter, stream=True)
