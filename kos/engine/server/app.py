"""The ASGI application: what is asked, by method and path."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import pydantic
from pydantic import BaseModel

from kos.engine.server.futures import Failed, Json, Proto
from kos.engine.server.service import BusyError, GoneError, Service, failure
from kos.engine.server.store import Place, parse
from kos.engine.server.wire import (
    MAX_BODY_BYTES,
    MAX_DATA,
    CreateModel,
    LoadWeights,
    OpenSampler,
    OptimStep,
    Sample,
    SaveWeights,
    inflate,
    open_gradients,
)
from kos.errors import UserError

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Form = TypeVar("Form", bound=BaseModel)

PROTOBUF = "application/x-protobuf"
# The SDK gives a fetch 45 s.
FETCH_SECONDS = 25.0
_OBJECT = pydantic.TypeAdapter(dict[str, Any])
_RUN = re.compile(r"/training_runs/([^/]+)(?:/checkpoints(?:/(\w+)/([^/]+))?)?(/[a-z_]+)?")


class RefusedError(Exception):
    """An answer that is no success; ``body`` is what the SDK reads of it."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class Request:
    """What was asked, its body read and within bounds."""

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"].removeprefix("/api/v1")
        self.headers = headers_of(scope)
        self.query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        is_small = self.headers.get("content-encoding") == "zstd"
        self.body = inflate(body) if is_small else body

    @property
    def sort(self) -> str:
        """The body's media type."""
        return self.headers.get("content-type", "").partition(";")[0].strip()

    def form(self, form: type[Form]) -> Form:
        """The JSON body as ``form``."""
        return form.model_validate_json(self.body or b"{}")

    def field(self, name: str) -> str:
        """One text of the JSON body."""
        return str(self.told.get(name, ""))

    @property
    def told(self) -> dict[str, Any]:
        """The JSON body, whatever its fields hold."""
        return _OBJECT.validate_json(self.body or b"{}")


class App:
    """Answers the SDK. With a ``key`` every request must bring it; ``hosts`` are its own names."""

    def __init__(self, service: Service, *, key: str = "", hosts: Sequence[str] = ()) -> None:
        self.service = service
        self._key = key
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            self._admit(scope)
            request = Request(scope, await _body(receive))
            status, sort, body = await self._answer(request)
        except RefusedError as error:
            status, sort, body = error.status, "application/json", json.dumps(error.body).encode()
        except GoneError:
            status, sort, body = _json({"detail": "the session is over"}, 410)
        except BusyError:
            status, sort, body = _json({"detail": "too much waits; come again"}, 429)
        except pydantic.ValidationError as error:
            status, sort, body = _json({"detail": _sentence(error)}, 422)
        except UserError as error:
            status, sort, body = _json({"detail": str(error)}, 422)
        head = [(b"content-type", sort.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    def _admit(self, scope: Scope) -> None:
        """Refuse who has not the key, and who was led here under another name."""
        headers = headers_of(scope)
        host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        if self._hosts and host.strip("[]") not in self._hosts:
            raise RefusedError(421, {"detail": f"this server is not called {host!r}"})
        given = headers.get("x-api-key") or headers.get("authorization", "").removeprefix(
            "Bearer "
        )
        if self._key and not hmac.compare_digest(given.encode(), self._key.encode()):
            raise RefusedError(401, {"detail": "the API key is not the server's"})

    async def _answer(self, request: Request) -> tuple[int, str, bytes]:
        service = self.service
        if request.method == "POST" and request.sort not in ("application/json", PROTOBUF):
            # A page in a browser can post anything but these without being asked first.
            raise RefusedError(415, {"detail": "send application/json or protobuf"})
        match request.method, request.path:
            case _, "/healthz" if service.is_alive:
                return _json({"status": "ok"})
            case "POST", "/retrieve_future":
                return await self._fetch(request.field("request_id"))
            case "POST", "/client/config":
                return _json(_CLIENT)
            case "POST", "/client/dynamic_config":
                return _json({})
            case "POST", "/telemetry":
                return _json({"status": "accepted"})
            case "POST", "/create_session":
                session_id = service.create_session()
                return _json({"type": "create_session", "session_id": session_id})
            case "POST", "/session_heartbeat":
                service.beat(request.field("session_id"))
                return _json({"type": "session_heartbeat"})
            case "GET", "/get_server_capabilities":
                return _json({"supported_models": [self._supported()]})
            case "POST", "/weights_info":
                return _json(service.weights_info(request.field("tinker_path")))
        if not service.is_alive:
            raise RefusedError(503, {"detail": "the model's thread ended; start the server again"})
        told = self._work(request)
        return self._read(request) if told is None else _json(told)

    def _work(self, request: Request) -> dict[str, Any] | None:
        """Queue what takes time; None for another path."""
        service = self.service
        match request.method, request.path:
            case "POST", "/create_model":
                return _promise(*service.create_model(request.form(CreateModel)))
            case "POST", "/load_weights":
                return _promise(*service.load_weights(request.form(LoadWeights)))
            case "POST", "/get_info":
                return service.info(request.field("model_id"))
            case "POST", "/forward_backward":
                if request.sort != PROTOBUF:
                    raise RefusedError(415, {"detail": f"send {PROTOBUF}, as SDK 0.25 and later"})
                return _promise(service.gradients(open_gradients(request.body)))
            case "POST", "/optim_step":
                return self._in_turn(request, OptimStep, service.step)
            case "POST", "/save_weights":
                return self._in_turn(request, SaveWeights, partial(service.save, kind="weights"))
            case "POST", "/save_weights_for_sampler":
                save = partial(service.save, kind="sampler_weights")
                return self._in_turn(request, SaveWeights, save)
            case "POST", "/save_weights_external":
                save = partial(service.save, kind="external_weights")
                return self._in_turn(request, SaveWeights, save)
            case "POST", "/create_sampling_session":
                sampler_id = service.open_sampler(request.form(OpenSampler))
                return {"type": "create_sampling_session", "sampling_session_id": sampler_id}
            case "POST", "/asample":
                request_id, sequences = service.sample(request.form(Sample))
                return _promise(request_id) | {"sample_sequence_ids": sequences}
        return None

    def _in_turn(
        self, request: Request, form: type[Form], submit: Callable[[Form], str]
    ) -> dict[str, Any]:
        """Queue a request of a model; one that is wrong fails in its turn."""
        try:
            return _promise(submit(request.form(form)))
        except (UserError, pydantic.ValidationError) as error:
            sentence = (
                _sentence(error) if isinstance(error, pydantic.ValidationError) else str(error)
            )
            number = request.told.get("seq_id")
            request_id = self.service.fail(
                request.field("model_id"), number if isinstance(number, int) else None, sentence
            )
            if request_id is None:
                raise
            return _promise(request_id)

    def _read(self, request: Request) -> tuple[int, str, bytes]:
        """What is there already."""
        service = self.service
        if request.method == "GET" and request.path == "/training_runs":
            runs = service.training_runs()
            cursor = {"offset": 0, "limit": len(runs), "total_count": len(runs)}
            return _json({"training_runs": runs, "cursor": cursor})
        if found := re.fullmatch(r"/samplers/(.+)", request.path):
            return _json(service.sampler(found[1]))
        if found := re.fullmatch(r"/sessions/([^/]+)/finish", request.path):
            service.finish(found[1])
            return _json({})
        if found := _RUN.fullmatch(request.path):
            return self._read_run(request, *found.groups())
        raise RefusedError(404, {"detail": f"there is no {request.method} {request.path} here"})

    def _read_run(
        self, request: Request, model_id: str, kind: str | None, name: str | None, verb: str | None
    ) -> tuple[int, str, bytes]:
        service = self.service
        if kind is None or name is None:
            if request.path.endswith("/checkpoints"):
                return _json({"checkpoints": service.checkpoints(model_id)})
            return _json(service.training_run(model_id))
        place = parse(f"tinker://{model_id}/{kind}/{name}")
        match request.method, verb:
            case "DELETE", None:
                service.store.delete(place)
                return _json({})
            case "GET", "/external_weights_urls":
                return _json(self._urls(request, place))
            case "GET", "/file":
                return self._file(request, place)
        raise RefusedError(404, {"detail": f"there is no {request.method} {request.path} here"})

    def _urls(self, request: Request, place: Place) -> dict[str, Any]:
        """Where the files lie: on this server, which asks for its key again."""
        host = request.headers.get("host", "localhost")
        scheme = request.headers.get("x-forwarded-proto", "http")
        run = f"{scheme}://{host}/api/v1/training_runs/{place.model_id}"
        file = f"{run}/checkpoints/{place.kind}/{place.name}/file"
        until = datetime.now(UTC) + timedelta(hours=1)
        urls = {name: f"{file}?name={name}" for name in self.service.files(place)}
        return {"urls": urls, "expires": until.isoformat()}

    def _file(self, request: Request, place: Place) -> tuple[int, str, bytes]:
        name = request.query.get("name", "")
        if name not in self.service.files(place):
            raise RefusedError(404, {"detail": f"{place} has no file {name!r}"})
        folder, _ = self.service.store.read(place)
        return 200, "application/octet-stream", (folder / name).read_bytes()

    async def _fetch(self, request_id: str) -> tuple[int, str, bytes]:
        """A future's answer: JSON, protobuf, or 408 when it takes longer."""
        try:
            answer = await self.service.futures.wait(request_id, FETCH_SECONDS)
        except KeyError:
            raise RefusedError(410, {"detail": "the answer is gone; ask again"}) from None
        match answer:
            case None:
                return _json({"type": "try_again", "request_id": request_id}, 408)
            case Json(told):
                return _json(told)
            case Proto(data):
                return 200, PROTOBUF, data
            case Failed():
                return _json(failure(answer))

    def _supported(self) -> dict[str, Any]:
        return {
            "model_name": self.service.base.name,
            "max_context_length": self.service.base.context,
            "trainable": True,
            "sampleable": True,
        }


_CLIENT = {
    "pjwt_auth_enabled": False,
    "proto_compress_fwdbwd": False,
    "parallel_fwdbwd_chunks": True,
    "fwdbwd_max_chunk_len": MAX_DATA,
    "sample_use_retrieve_futures": False,
    "custom_loss_server_side": False,
    "use_pyqwest_transport": False,
}


def headers_of(scope: Scope) -> dict[str, str]:
    """Headers by name in small letters."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def _body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > MAX_BODY_BYTES:
            raise RefusedError(413, {"detail": f"send at most {MAX_BODY_BYTES >> 20} MiB"})
        pieces.append(piece)
        if not message.get("more_body"):
            return b"".join(pieces)


def _promise(request_id: str, model_id: str | None = None) -> dict[str, Any]:
    told = {"request_id": request_id}
    return told if model_id is None else told | {"model_id": model_id}


def _json(body: Mapping[str, Any], status: int = 200) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(body).encode()


def _sentence(error: pydantic.ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"]) or "the body"
    return f"{place}: {problem['msg']}"
