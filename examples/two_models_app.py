"""Two models in a web application of your own, under one budget that follows the device.

    pip install 'legodnn[serve]'                                   # starlette, uvicorn, Pillow
    STORES=stores/faces:stores/scenes uvicorn --app-dir examples two_models_app:app
    curl --data-binary @picture.png http://127.0.0.1:8000/faces

FastAPI takes the same `lifespan`. `legodnn serve` is a whole service, with limits, a page and a standard protocol.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from legodnn import LegoError, Runtime, images
from legodnn.errors import InputError
from legodnn.runtime import Governor


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Open the models when the application starts, in each of its processes, and close them when it ends."""
    with Runtime.open(os.environ["STORES"].split(":")) as runtime, Governor(runtime):
        app.state.runtime = runtime
        yield


async def classify(request: Request) -> JSONResponse:
    """Answer a picture with its label, and with which options of the model saw it."""
    runtime, name = request.app.state.runtime, request.path_params["model"]
    if name not in runtime.stores:
        raise HTTPException(404, f"no model {name}; there are {', '.join(runtime.stores)}")
    manifest, picture = runtime.stores[name].manifest, await request.body()
    try:
        # Other requests go on meanwhile: inferences let go of the GIL.
        x = await run_in_threadpool(images.load, picture, manifest.inputs[0])
        answer = await run_in_threadpool(runtime.run, name, x)
    except LegoError as e:
        raise HTTPException(400 if isinstance(e, InputError) else 503, str(e)) from None
    best, labels = int(next(iter(answer.outputs.values())).argmax()), manifest.model.labels
    label = labels[best] if labels else str(best)
    return JSONResponse({"label": label, "ms": round(answer.latency_ms, 3), "options": answer.plan.options})


app = Starlette(routes=[Route("/{model}", classify, methods=["POST"])], lifespan=lifespan)
