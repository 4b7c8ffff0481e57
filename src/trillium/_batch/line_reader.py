"""The bytes of a source, in whatever pieces they come, become requests. No I/O.

Lines end in LF or CRLF; a byte-order mark at the start, blank lines and a missing last line end
are fine. Every error names the source and the line, counted from 1, blank ones included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, final

from trillium._batch.id_set import IdSet
from trillium._wire.strict_json import quote_value
from trillium.errors import InvalidInputError, InvalidRequestError, quote
from trillium.messages import Request

MAX_LINE_BYTES: Final = 64 << 20
"""Longer than any provider's bound on a body; without one, a file without line ends would be
read into memory whole."""

_BOM: Final = b"\xef\xbb\xbf"

Parse = Callable[[bytes], Request]
"""Raises `InvalidRequestError` for a line that stands for no request that can be sent."""
FindId = Callable[[str | int, int], int | None]
"""Returns the line that has an id, of those before the given one; None if there is none."""

Skip = Callable[[int], bool]


@final
class LineReader:
    """Splits what it is fed into lines, and reads them one at a time as they are asked for."""

    def __init__(
        self,
        name: str,
        parse: Parse,
        *,
        ids: IdSet | None = None,
        find_id: FindId | None = None,
        skip: Skip | None = None,
    ) -> None:
        """Begin a source.

        Args:
            name: What the source is called in errors.
            parse: What a line stands for.
            ids: Takes the ids, to find the second of two equal ones; None if that is known.
            find_id: Looks at the earlier lines again, where that can be done; without it two
                ids are equal if their hashes are.
            skip: Says which requests are passed over, by their index; their lines are not read.
        """
        self.line = 0
        """Number of the line that was read last."""
        self.index = -1
        """The place of the request that was read last, from 0."""
        self._name = name
        self._parse = parse
        self._ids = ids
        self._find_id = find_id
        self._skip = skip
        self._with_ids: bool | None = None
        # Pieces are joined once: adding each to a growing line would be quadratic.
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0

    def feed(self, block: bytes) -> Iterator[Request]:
        """Yield the requests of the lines that `block` ends; to be used up before the next call.

        Raises:
            InvalidInputError: A line stands for no request, has an id that was there before or
                none where others have, or is too long.
        """
        lines = block.split(b"\n")
        self._pieces.append(lines[0])
        self._pieces_bytes += len(lines[0])
        if self._pieces_bytes > MAX_LINE_BYTES:
            message = f"longer than {MAX_LINE_BYTES >> 20} MiB: a line holds one request"
            raise InvalidInputError(message, file=self._name, line=self.line + 1)
        if len(lines) == 1:
            return
        lines[0] = b"".join(self._pieces)
        last = lines.pop()
        self._pieces = [last]
        self._pieces_bytes = len(last)
        for line in lines:
            request = self._read(line)
            if request is not None:
                yield request

    def close(self) -> Iterator[Request]:
        """Yield the request of a last line that has no end.

        Raises:
            InvalidInputError: As for `feed`.
        """
        request = self._read(b"".join(self._pieces))
        self._pieces = []
        if request is not None:
            yield request

    def _read(self, line: bytes) -> Request | None:
        self.line += 1
        if self.line == 1:
            line = line.removeprefix(_BOM)
        if not line or line.isspace():
            return None
        self.index += 1
        if self._skip is not None and self._skip(self.index):
            return None
        try:
            request = self._parse(line)
        except InvalidRequestError as error:
            # Messages quote little; this is for those that come from outside.
            raise InvalidInputError(quote(str(error)), file=self._name, line=self.line) from None
        self._check_id(request.id)
        return request

    def _check_id(self, id_: str | int | None) -> None:
        if (id_ is not None) is not self._with_ids:
            if self._with_ids is not None:
                here, before = ("no", "have one") if id_ is None else ("an", "have none")
                message = f"it has {here} id, but lines before {before}: give all an id, or none"
                raise InvalidInputError(message, file=self._name, line=self.line)
            self._with_ids = id_ is not None
        if id_ is None or self._ids is None or not self._ids.add(id_):
            return
        where = "before"
        if self._find_id is not None:
            earlier = self._find_id(id_, self.line)
            if earlier is None:
                return  # another id of the same hash
            where = f"in line {earlier}"
        message = f"the id {quote_value(id_)} was given {where}: each request needs its own"
        raise InvalidInputError(message, file=self._name, line=self.line)
