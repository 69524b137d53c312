"""A model on a Triton server, by its address: tiles go there one by one, several at once, and come back smoothed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from ..card import KEY, Card
from ..errors import BackendMissing, EngineError, PnenError, UsageError
from ..install import pip_install
from ..plan import Sizes
from ..strength import batch_strength

PREFIX, PORTS = "triton+", {"grpc": 8001, "http": 8000}
AT_ONCE = 8  # tiles on their way; the server puts those that meet there into one batch
SECONDS = 120.0  # for one answer
AGAIN = "write the model by pnen-export --for triton"
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Address:
    """triton+grpc://HOST[:PORT]/MODEL[/VERSION], or triton+http://..."""

    protocol: str
    place: str  # host:port
    model: str
    version: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.protocol}://{self.place}/{self.model}" + (f"/{self.version}" if self.version else "")

    @classmethod
    def read(cls, text: str) -> Address:
        """UsageError where it is none."""
        protocol = text.removeprefix(PREFIX).partition("://")[0]
        try:
            parts = urlsplit(text)
            port = parts.port or PORTS[protocol]
        except (KeyError, ValueError):
            parts, port = urlsplit(""), 0
        model, _, version = parts.path.strip("/").partition("/")
        good = parts.hostname and model and not (parts.query or parts.fragment or parts.username)
        if not good or not (version.isdecimal() or not version):
            raise UsageError(f"expected the address of a model on a Triton server, triton+grpc://HOST:8001/MODEL or "
                             f"triton+http://HOST:8000/MODEL, got {text!r:.200}")  # fmt: skip
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        return cls(protocol, f"{host}:{port}", model, version)


class TritonBackend:
    """One model of a server. Each of its threads has a client of its own, which may not be shared among threads."""

    at_once = AT_ONCE

    def __init__(self, address: Address):
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else it tells on stderr of every connection that ends
        try:
            self._package = import_module(f"tritonclient.{address.protocol}")
        except (ImportError, RuntimeError) as error:  # tritonclient's own is one of the second
            raise BackendMissing(
                f"{address} needs tritonclient ({error}); install it: {pip_install('triton')}"
            ) from error
        self.name, self._address, self._mine = f"triton+{address.protocol}", address, threading.local()
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(AT_ONCE, "triton")
        try:
            self.card, self.profiles = self._pool.submit(self._opened).result()
        except BaseException:
            self.close()
            raise
        self.info = f"{self.name} at {address.place}, at most {AT_ONCE} tiles on their way (by its address)"

    def run(self, batch: np.ndarray, strength: np.ndarray | None = None) -> np.ndarray:
        pool = self._pool
        if pool is None:
            raise PnenError(f"{self._address} is closed; open it again")
        wanted = batch_strength(self.card, batch.shape, strength)
        given = {"image": batch}
        if wanted is not None:
            given["strength"] = np.broadcast_to(np.float32(wanted), (len(batch), 1, *batch.shape[2:]))
        tiles = [{name: value[at : at + 1] for name, value in given.items()} for at in range(len(batch))]
        found = list(pool.map(self._smoothed, tiles))
        return np.concatenate(found) if len(found) > 1 else found[0]

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)  # clients end with their threads

    def _client(self) -> Any:
        if not hasattr(self._mine, "client"):
            limits = {"connection_timeout": SECONDS, "network_timeout": SECONDS}
            own = limits if self._address.protocol == "http" else {}
            self._mine.client = self._package.InferenceServerClient(self._address.place, **own)
        return self._mine.client

    def _ask(self, question: Callable[..., Answer], *words: Any, **settings: Any) -> Answer:
        """BackendMissing where the server does not answer, EngineError where it refuses."""
        from tritonclient.utils import InferenceServerException

        limit = {} if self._address.protocol == "http" else {"client_timeout": SECONDS}
        try:
            return question(*words, **settings, **limit)
        except InferenceServerException as error:
            status, told = str(error.status() or ""), " ".join(str(error.message()).split())[:300]
            if status.endswith(("UNAVAILABLE", "DEADLINE_EXCEEDED")):
                raise self._silent(told) from error
            raise EngineError(f"{self._address}: the server refused: {told}") from error
        except OSError as error:  # also time-outs and names that nobody knows
            raise self._silent(str(error)) from error
        except Exception as error:  # geventhttpclient's and JSON's own: what answers is no Triton
            told = " ".join(str(error).split())[:300] or type(error).__name__
            raise self._silent(f"what answers is no Triton server over {self._address.protocol}: {told}") from error

    def _silent(self, told: str) -> BackendMissing:
        return BackendMissing(f"{self._address}: expected a Triton server at {self._address.place}, got no answer "
                              f"({told}); start it, or mend the address")  # fmt: skip

    def _opened(self) -> tuple[Card, tuple[Sizes, ...]]:
        """The card, and the sizes that the model takes, out of the configuration on the server."""
        client, address = self._client(), self._address
        try:
            ready = self._ask(client.is_model_ready, address.model, address.version)
        except EngineError:  # some servers refuse to say it of a model that they do not have
            ready = False
        if not ready:
            raise BackendMissing(f"{address}: expected a model that is ready, and the server has none so named; load "
                                 "it there, or look at the server's log")  # fmt: skip
        as_json = {"as_json": True} if address.protocol == "grpc" else {}
        found = self._ask(client.get_model_config, address.model, address.version, **as_json)
        config = found.get("config", found)
        written = {name: value.get("string_value", "") for name, value in config.get("parameters", {}).items()}
        if KEY not in written:
            raise EngineError(f"{address}: the model's parameters hold no PNEN card; {AGAIN}")
        card = Card.from_json(written[KEY], str(address))
        channels, one = [str(card.channels), "-1", "-1"], ["1", "-1", "-1"]
        wanted = [("image", "TYPE_FP32", channels), *([("strength", "TYPE_FP32", one)] if card.strength else []),
                  ("smooth", "TYPE_FP32", channels)]  # fmt: skip
        ends = [(end["name"], end["data_type"], [*map(str, end.get("dims", []))])
                for end in (*config.get("input", []), *config.get("output", []))]  # fmt: skip
        if ends != wanted or int(config.get("max_batch_size", 0)) < 1:
            raise EngineError(f"{address}: expected {_shown(wanted)} in batches, got {_shown(ends)}; {AGAIN}")
        return card, tuple(card.engine.get("profiles") or ())

    def _smoothed(self, given: dict[str, np.ndarray]) -> np.ndarray:
        package, shape = self._package, given["image"].shape
        inputs = []
        for name, value in given.items():
            inputs.append(package.InferInput(name, list(value.shape), "FP32"))
            inputs[-1].set_data_from_numpy(np.ascontiguousarray(value, np.float32))
        outputs = [package.InferRequestedOutput("smooth")]
        client, address = self._client(), self._address
        answer: Any = self._ask(client.infer, address.model, inputs, address.version, outputs)
        try:
            smooth = answer.as_numpy("smooth")
        except ValueError:  # fewer bytes than the shape that comes with them
            smooth = None
        if smooth is None or smooth.shape != shape or smooth.dtype != np.float32:
            got = "nothing" if smooth is None else f"{smooth.dtype} {smooth.shape}"
            raise EngineError(f"{address}: expected float32 {shape} back, got {got}; {AGAIN}")
        return np.asarray(smooth)


def _shown(ends: list[tuple[str, str, list[str]]]) -> str:
    return ", ".join(f"{name} {kind} [{', '.join(dims)}]" for name, kind, dims in ends)
