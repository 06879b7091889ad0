"""The service's addresses: inference, plan, budget, models, events and metrics, and the Open Inference Protocol.

    from legodnn.runtime.serving.service import ServiceSettings, application

    with Runtime.open("workload.toml") as runtime:
        app = application(runtime, ServiceSettings(token="..."))   # an ASGI application, for uvicorn and others

Errors are JSON, `{"error": "..."}` (`guards`, `refusals`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from legodnn.arrays import AnyArray
from legodnn.errors import LegoError
from legodnn.printable import shown
from legodnn.runtime.device.monitor import Monitor
from legodnn.runtime.governing.governor import Governor
from legodnn.runtime.governing.keep_learned import save_learned
from legodnn.runtime.governing.policy import Policy
from legodnn.runtime.governing.telemetry import Metrics, told_to_all
from legodnn.runtime.running_model import Inference
from legodnn.runtime.runtime import Runtime
from legodnn.runtime.serving import bodies, open_inference
from legodnn.runtime.serving.guards import BodyGuard, HostGuard, TokenGuard
from legodnn.runtime.serving.history import History
from legodnn.runtime.serving.inference_queue import InferenceQueue
from legodnn.runtime.serving.openapi import openapi_document
from legodnn.runtime.serving.picture_room import PictureRoom
from legodnn.runtime.serving.refusals import REFUSALS
from legodnn.runtime.serving.served_runtime import ServedRuntime
from legodnn.workload import Budget

log = logging.getLogger("legodnn.serving")

_PAGE = Path(__file__).parent / "page.html"

# Decoding pictures and lists takes time, which the event loop does not have. Copying tensors of so many bytes, or
# writing so few numbers, takes less than handing them to another thread and back.
_QUICK_BYTES, _QUICK_NUMBERS = 262_144, 1000

Handler = Callable[[Request], Awaitable[Response]]
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@dataclass(frozen=True)
class ServiceSettings:
    """The limits of a service.

    Attributes:
        token: what clients must send as bearer token; None for no token.
        governed: whether a governor keeps the budget within what the device can spare.
        keep_learned: whether what the governor learned of latencies is written beside the profiles at the end.
        queue_length: requests that may wait for a model at a time.
        queue_timeout_s: how long a request may wait, in seconds.
        most_body_bytes: the most that a request may hold. Pictures are decoded in the room of `MOST_BODIES` of these.
        body_timeout_s: how long a request's body may take to arrive, in seconds.
    """

    token: str | None = None
    governed: bool = True
    keep_learned: bool = False
    queue_length: int = 32
    queue_timeout_s: float = 10.0
    most_body_bytes: int = 64_000_000
    body_timeout_s: float = 10.0


class _Service:
    """What the addresses share."""

    def __init__(self, runtime: Runtime, settings: ServiceSettings, before: Metrics | None) -> None:
        self.runtime, self.stores = runtime, runtime.stores
        most, longest_s = settings.queue_length, settings.queue_timeout_s
        self.queues = {name: InferenceQueue(runtime, name, most, longest_s) for name in self.stores}
        self.history = History(runtime, list(self.queues.values()))
        self.metrics, self.monitor = Metrics(CollectorRegistry(), before), Monitor()
        self.governor = Governor(runtime, Policy(), self.monitor, self.metrics) if settings.governed else None
        self.pictures, self.keeps_learned = PictureRoom(settings.most_body_bytes), settings.keep_learned

    @asynccontextmanager
    async def running(self, _: Starlette) -> AsyncIterator[None]:
        """Govern and sample while the application runs; then let requests that run end."""
        async with AsyncExitStack() as ending:  # backwards, and each step also where one before fails
            for queue in self.queues.values():
                ending.push_async_callback(asyncio.to_thread, queue.close)
            if self.governor is not None:
                if self.keeps_learned:
                    ending.push_async_callback(asyncio.to_thread, self._keep_learned, self.governor)
                ending.push_async_callback(asyncio.to_thread, self.governor.close)
                self.governor.on_decision = self.history.add_soon
                self.governor.start()
            else:
                before = self.runtime.on_inference
                ending.callback(setattr, self.runtime, "on_inference", before)
                self.runtime.on_inference = told_to_all(before, self.metrics.inferred)
            ending.push_async_callback(_cancelled, asyncio.create_task(self.history.keep_sampling()))
            yield

    def _keep_learned(self, governor: Governor) -> None:
        try:
            for path in save_learned(governor, self.runtime.workload, self.stores):
                log.info("what was learned in use is in %s; `legodnn profile --merge` puts it into the profile", path)
        except LegoError as e:  # the service ends all the same
            log.warning("what was learned in use is not kept: %s", e)

    # --- what is asked most ---

    async def infer(self, request: Request) -> Response:
        body, kind = await request.body(), request.headers.get("content-type", "")
        store = self.stores[request.path_params["name"]]
        quick = len(body) <= _QUICK_BYTES and kind in (bodies.RAW, bodies.NPY)
        query = bodies.query_of(request.query_params.multi_items())
        async with self.pictures.held_for(kind, body, store.manifest.inputs[0].shape):
            inputs = await _done(quick, bodies.inputs_of, store, kind, query, body)
        answer = await self._inferred(request, inputs)
        accepted, quick = request.headers.get("accept", ""), _is_quick(answer.outputs)
        content, media_type = await _done(quick, bodies.outputs_body, answer.outputs, accepted)
        headers = {
            "X-Latency-Ms": f"{answer.latency_ms:.3f}",
            "X-Plan": json.dumps(answer.plan.options, separators=(",", ":")),
        }
        return Response(content, media_type=media_type, headers=headers)

    async def infer_v2(self, request: Request) -> Response:
        name, store = request.path_params["name"], self.stores[request.path_params["name"]]
        length = request.headers.get(open_inference.HEADER_LENGTH)
        body = await request.body()
        quick = len(body) <= _QUICK_BYTES and length is not None  # binary tensors
        inputs, rest = await _done(quick, open_inference.inputs_of_request, store, body, length)
        answer = await self._inferred(request, inputs)
        quick = _is_quick(answer.outputs)
        content, media_type, headers = await _done(quick, open_inference.response, name, rest, answer.outputs)
        return Response(content, media_type=media_type, headers=headers)

    async def _inferred(self, request: Request, inputs: AnyArray | Mapping[str, AnyArray]) -> Inference:
        """Run an inference in its model's line; one that has to wait leaves the line when its client goes away."""
        queue = self.queues[request.path_params["name"]]
        if queue.waiting == 0:
            return await queue.infer(inputs)
        asked = asyncio.ensure_future(queue.infer(inputs))
        gone = asyncio.ensure_future(request.receive())  # its body is read, so this tells that the client went away
        try:
            await asyncio.wait((asked, gone), return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise ClientDisconnect
            return asked.result()
        finally:
            asked.cancel()
            gone.cancel()

    # --- plan and budget ---

    async def plan(self, _: Request) -> Response:
        return JSONResponse(self.runtime.plan.model_dump(mode="json", by_alias=True))

    async def budget(self, request: Request) -> Response:
        if request.method == "PUT":
            await asyncio.to_thread(self._set_budget, await request.body())
        asked = self.governor.demand.budget if self.governor is not None else self.runtime.budget
        budgets = {"asked": asked, "running": self.runtime.budget}
        return JSONResponse({name: budget.model_dump(mode="json") for name, budget in budgets.items()})

    def _set_budget(self, body: bytes) -> None:
        budget = Budget(**bodies.json_object(body))
        if self.governor is not None:
            self.governor.set_budget(budget)
        else:
            self.runtime.budget = budget

    async def models(self, _: Request) -> Response:
        resting = self.runtime.resting
        return JSONResponse(
            {
                name: {
                    **open_inference.model_metadata(name, store),
                    "labels": list(store.manifest.model.labels),
                    "suspended": name in resting,
                    "waiting": self.queues[name].waiting,
                    "served": self.queues[name].served,
                    "segments": [
                        {
                            "name": segment.name,
                            "kind": segment.kind,
                            "options": [
                                {"name": o.name, "sparsity": o.sparsity, "precision": o.precision}
                                for o in segment.options
                            ],
                        }
                        for segment in store.manifest.segments
                    ],
                }
                for name, store in self.stores.items()
            }
        )

    # --- watching ---

    async def events(self, request: Request) -> Response:
        news: AsyncIterator[str] | tuple[()] = self.history.follow() if request.method == "GET" else ()  # HEAD: none
        return StreamingResponse(news, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def metrics_text(self, _: Request) -> Response:
        if self.governor is None:  # which would keep them up to date
            await asyncio.to_thread(self._read_metrics)
        return Response(generate_latest(self.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _read_metrics(self) -> None:
        with suppress(OSError, psutil.Error):  # the device cannot be read this time; the rest is told all the same
            self.metrics.read(self.monitor.read())
        self.metrics.runs(self.runtime.plan, {table.name: table.slowdown for table in self.runtime.scheduler.tables})

    async def ready(self, _: Request) -> Response:
        suspended = self.runtime.resting
        missing = [m.name for m in self.runtime.workload.models if m.critical and m.name in suspended]
        return JSONResponse({"ready": not missing, "suspended": suspended}, status_code=503 if missing else 200)

    async def model_ready(self, request: Request) -> Response:
        name = request.path_params["name"]
        suspended = name in self.runtime.resting
        return JSONResponse({"name": name, "ready": not suspended}, status_code=503 if suspended else 200)

    async def model_metadata(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse(open_inference.model_metadata(name, self.stores[name]))

    async def live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def server_metadata(self, _: Request) -> Response:
        return JSONResponse(open_inference.server_metadata())

    async def openapi(self, _: Request) -> Response:
        return JSONResponse(openapi_document())

    async def page(self, _: Request) -> Response:
        return FileResponse(_PAGE, media_type="text/html", headers={"Cache-Control": "no-cache"})  # of this version


def application(runtime: Runtime, settings: ServiceSettings | None = None, before: Metrics | None = None) -> Starlette:
    """Return an ASGI application that serves a runtime; its `state.served` is a `ServedRuntime`.

    Args:
        runtime: an open runtime; it is not closed.
        settings: the service's limits; `ServiceSettings()` if None.
        before: metrics of the application that this one follows, whose counters go on; None if it follows none.
    """
    settings = settings or ServiceSettings()
    service = _Service(runtime, settings, before)
    routes = [  # tried one after the other: what is asked most comes first; names may have slashes
        Route("/v1/models/{name:path}/infer", _of_known_model(service, service.infer), methods=["POST"]),
        Route("/v2/models/{name:path}/infer", _of_known_model(service, service.infer_v2), methods=["POST"]),
        Route("/", service.page),
        Route("/healthz", service.live),
        Route("/readyz", service.ready),
        Route("/openapi.json", service.openapi),
        Route("/metrics", service.metrics_text),
        Route("/v1/plan", service.plan),
        Route("/v1/budget", service.budget, methods=["GET", "PUT"]),
        Route("/v1/models", service.models),
        Route("/v1/events", service.events),
        Route("/v2", service.server_metadata),
        Route("/v2/health/live", service.live),
        Route("/v2/health/ready", service.ready),
        Route("/v2/models/{name:path}/ready", _of_known_model(service, service.model_ready)),
        Route("/v2/models/{name:path}", _of_known_model(service, service.model_metadata)),
    ]
    guards = [
        Middleware(HostGuard) if settings.token is None else Middleware(TokenGuard, token=settings.token),
        Middleware(BodyGuard, most_bytes=settings.most_body_bytes, timeout_s=settings.body_timeout_s),
    ]
    served = Starlette(routes=routes, middleware=guards, lifespan=service.running, exception_handlers=REFUSALS)
    served.state.served = ServedRuntime(runtime, service.queues, service.history, service.metrics)
    return served


async def _done(
    quick: bool, work: Callable[_Arguments, _Result], *args: _Arguments.args, **named: _Arguments.kwargs
) -> _Result:
    """Return the result of work that is done here if it is quick, or else beside the event loop."""
    return work(*args, **named) if quick else await asyncio.to_thread(work, *args, **named)


def _is_quick(outputs: Mapping[str, AnyArray]) -> bool:
    return sum(array.size for array in outputs.values()) <= _QUICK_NUMBERS


def _of_known_model(service: _Service, handler: Handler) -> Handler:
    async def handled(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in service.stores:
            return JSONResponse(
                {"error": f"no model {shown(name)}; this service has {', '.join(service.stores)}"}, status_code=404
            )
        return await handler(request)

    return handled
