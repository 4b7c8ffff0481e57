"""A web server that streams answers as they are written.

Run it with `python examples/fastapi_stream.py`, and ask it with
`curl -N 'http://127.0.0.1:8000/answer?prompt=Write+a+poem'`.
When the browser goes away, so does the connection to the provider, and spending stops.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from trillium import aio

MODEL = os.environ.get("MODEL", "sim/demo")
BASE_URL = os.environ.get("BASE_URL")
API_KEY = os.environ.get("API_KEY")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with aio.open_client(MODEL, base_url=BASE_URL, key=API_KEY) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/answer")
async def answer(prompt: str, request: Request) -> StreamingResponse:
    client: aio.Client = request.app.state.client

    async def texts() -> AsyncIterator[str]:
        # Starlette cancels this when the browser is gone, and the block closes the connection.
        async with client.stream(prompt) as stream:
            async for chunk in stream:
                yield chunk.text

    return StreamingResponse(texts(), media_type="text/plain")


if __name__ == "__main__":
    uvicorn.run(app)
