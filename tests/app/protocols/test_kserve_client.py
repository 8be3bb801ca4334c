"""KServe's V1 client against the real server, if it is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from model.artifacts import Store


@pytest.mark.slow
def test_kserve_client(trained: Store, serve: Callable[..., Any], record: dict[str, Any]) -> None:
    kserve = pytest.importorskip("kserve", reason="KServe's client is not installed")
    httpx = pytest.importorskip("httpx")

    async def send_requests(address: str) -> None:
        client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1"))
        assert await client.is_server_live(address)
        assert await client.is_model_ready(address, "cleveland")
        content = await client.infer(address, {"instances": [record]}, model_name="cleveland")
        assert 0 < content["predictions"][0][0] < 1
        wrong = {"instances": [{**record, "thal": "fixd"}]}
        with pytest.raises(
            httpx.HTTPStatusError, match=r"element: 0 key: thal .*'400 BAD REQUEST'"
        ):
            await client.infer(address, wrong, model_name="cleveland")
        with pytest.raises(httpx.HTTPStatusError, match=r"any versions of model nope, '404"):
            await client.is_model_ready(address, "nope")
        await client.close()

    async def is_ready(address: str) -> bool:
        client = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1"))
        ready: bool = await client.is_model_ready(address, "cleveland")
        await client.close()
        return ready

    with serve(trained.folder) as server:
        asyncio.run(send_requests(server.address))
    with serve(trained.folder / "none") as server:
        assert asyncio.run(is_ready(server.address)) is False
