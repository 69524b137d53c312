"""The picture out of a request's body, which is never held beyond the bound."""

from __future__ import annotations

from typing import Any

from ..errors import ImageError, TooLarge


async def read_picture(request: Any, most: int) -> bytes:
    """The bytes of the picture: the body itself, or the one part of a form (multipart/form-data).

    Raises TooLarge for a body of more than `most` bytes: at once where its length is told, else when it gets there.
    ImageError for an empty one and for a form of another number of parts.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > most:
        raise TooLarge(f"expected a body of at most {most:,} bytes, got {int(told):,}; make the picture smaller")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise TooLarge(f"expected a body of at most {most:,} bytes, got more; make the picture smaller")
    kind = request.headers.get("content-type", "")
    data = _the_part(kind, bytes(body)) if kind.lower().startswith("multipart/") else bytes(body)
    if not data:
        raise ImageError("expected a picture in the body, got nothing; send the file itself, or a form with it")
    return data


def _the_part(kind: str, body: bytes) -> bytes:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    parts: list[bytearray] = []
    ended: list[bool] = []
    boundary = parse_options_header(kind)[1].get(b"boundary", b"")
    if not boundary:
        raise ImageError("expected a boundary in the form's Content-Type, got none; let the client write that header")
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": lambda: parts.append(bytearray()),
                "on_part_data": lambda data, start, end: parts[-1].extend(data[start:end]),
                "on_end": lambda: ended.append(True),
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise ImageError(f"expected a form (multipart/form-data), got a broken one: {error}; send it again") from None
    if len(parts) != 1 or not ended:
        what = f"{len(parts)} parts" if ended else "one that is cut off"
        raise ImageError(f"expected a form of one part, the picture, got {what}; parameters go into the query")
    return bytes(parts[0])
