"""A stand-in for a Triton server: its two protocols, a model repository, and ONNX Runtime; and toys to serve."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import onnx
from google.protobuf import json_format, text_format
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from pnen_runtime.backends.ort import OrtBackend
from pnen_runtime.card import KEY, Card
from pnen_runtime.engine_file import sidecar

RANGE = {"least": 0.002, "most": 0.2, "default": 0.02, "unit": "a share", "scale": "log"}


def toy(path, *, adjustable=False, **changes):
    """An ONNX file that gives the picture back, or times its strength."""
    card = Card(**{"network": "toy", "task": {"filter": "none"}, "tile": 32, "tile_step": 20, "target": "onnx",
                   "strength": RANGE if adjustable else {}} | changes)  # fmt: skip
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", channels, "H", "W"])
            for name, channels in (("image", card.channels), ("strength", 1), ("smooth", card.channels))]  # fmt: skip
    kind, given = ("Mul", ["image", "strength"]) if adjustable else ("Identity", ["image"])
    graph = helper.make_graph([helper.make_node(kind, given, ["smooth"])], "toy", ends[: len(given)], ends[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {KEY: card.to_json()})
    onnx.save(model, path)
    return path


def toy_engine(path, flavour="tensorrt", **changes):
    """A file that looks like a plan, with its card in it and beside it."""
    sizes = [[[1, 16, 16], [4, 32, 32], [8, 48, 48]], [[1, 16, 16], [1, 24, 24], [1, 24, 24]]]
    engine = {"flavour": flavour, "version": "10.9.0.34", "profiles": sizes, "key_limit": 65504, "build": "1" * 32,
              "gpu": {"name": "NVIDIA L4", "compute_capability": "8.9"}}  # fmt: skip
    card = Card(**{"network": "toy", "task": {"filter": "none"}, "tile": 32, "tile_step": 20, "precision": "fp16",
                   "engine": engine} | changes)  # fmt: skip
    rest = bytes(100) + card.to_json().encode() + b"\0{" + bytes(200)
    if flavour == "rtx":
        rest = bytes(4) + (2).to_bytes(8, "little") + (len(rest) + 24).to_bytes(8, "little") + rest
    path.write_bytes((b"vtrt" if flavour == "rtx" else b"ptrt") + rest)
    built = {"plan_bytes": path.stat().st_size, "plan_sha256": sha256(path.read_bytes()).hexdigest(), "seconds": 1.5}
    beside = json.loads(card.to_json())
    beside["engine"]["built"] = built
    sidecar(path).write_text(json.dumps(beside))
    return path


class Repository:
    """The models of a folder, each on one thread; `spoil` changes a result, `unready` are loaded and do not answer."""

    def __init__(self, folder):
        self.models, self.unready, self.spoil = {}, set(), lambda smooth: smooth
        self.now, self.most_at_once, self._lock = 0, 0, threading.Lock()
        for path in sorted(folder.glob("*/config.pbtxt")):
            config = text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
            assert config.name == path.parent.name
            self.models[config.name] = config, OrtBackend(path.parent / "1" / "model.onnx", threads=1)

    def ready(self, name, version):
        return name in self.models and name not in self.unready and version in ("", "1")

    def infer(self, name, given):
        """Checks names and shapes as the server does; what is refused is a ValueError."""
        config, backend = self.models[name]
        with self._lock:
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        try:
            for end in config.input:
                shape = given[end.name].shape
                fits = all(wanted in (-1, side) for wanted, side in zip(end.dims, shape[1:], strict=True))
                if not fits or not 1 <= shape[0] <= config.max_batch_size:
                    raise ValueError(f"unexpected shape for input '{end.name}'")
            if len(given) != len(config.input):
                raise ValueError("another number of inputs")
            return self.spoil(backend.run(given["image"], given.get("strength")))
        finally:
            with self._lock:
                self.now -= 1


class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, repository):
        self.repository = repository

    def ModelReady(self, request, context):
        return service_pb2.ModelReadyResponse(ready=self.repository.ready(request.name, request.version))

    def ModelConfig(self, request, context):
        return service_pb2.ModelConfigResponse(config=self.repository.models[request.name][0])

    def ModelInfer(self, request, context):
        given = {}
        for end, data in zip(request.inputs, request.raw_input_contents, strict=True):
            assert end.datatype == "FP32"
            given[end.name] = np.frombuffer(data, np.float32).reshape(*end.shape)
        try:
            smooth = self.repository.infer(request.model_name, given)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = service_pb2.ModelInferResponse(model_name=request.model_name, raw_output_contents=[smooth.tobytes()])
        answer.outputs.add(name="smooth", datatype="FP32", shape=smooth.shape)
        return answer


class Handler(BaseHTTPRequestHandler):
    """The version 2 protocol with its extensions for binary tensors and configurations."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.connections.append(self.connection)

    def log_message(self, *_):
        pass

    def answer(self, status, head, data=b"", more=()):
        body = head if isinstance(head, bytes) else json.dumps(head).encode()
        self.send_response(status)
        for name, value in more:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + len(data)))
        self.end_headers()
        self.wfile.write(body + data)

    def words(self):
        """The name, the version and what is asked, of v2/models/NAME[/versions/VERSION]/WHAT."""
        parts = self.path.strip("/").split("/")
        return parts[2], parts[4] if parts[3] == "versions" else "", parts[-1]

    def do_GET(self):
        name, version, what = self.words()
        repository = self.server.repository
        if what == "ready":
            return self.answer(200 if repository.ready(name, version) else 400, b"")
        config = json_format.MessageToDict(repository.models[name][0], preserving_proto_field_name=True)
        return self.answer(200, config)

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        length = int(self.headers["Inference-Header-Content-Length"])
        head, at, given = json.loads(data[:length]), length, {}
        for end in head["inputs"]:
            size = end["parameters"]["binary_data_size"]
            given[end["name"]] = np.frombuffer(data[at : at + size], np.float32).reshape(end["shape"])
            at += size
        try:
            smooth = self.server.repository.infer(self.words()[0], given)
        except ValueError as error:
            return self.answer(400, {"error": str(error)})
        output = {"name": "smooth", "datatype": "FP32", "shape": list(smooth.shape),
                  "parameters": {"binary_data_size": smooth.nbytes}}  # fmt: skip
        body = json.dumps({"model_name": self.words()[0], "outputs": [output]}).encode()
        return self.answer(200, body, smooth.tobytes(), [("Inference-Header-Content-Length", str(len(body)))])


@contextmanager
def serving(folder, protocol):
    """A stand-in for a server of this repository: where it is, the repository, and what ends it."""
    repository = Repository(folder)
    if protocol == "grpc":
        server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(repository), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()

        def end():
            server.stop(None).wait()
    else:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.repository, server.daemon_threads, port = repository, True, server.server_address[1]
        server.connections = []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def end():
            server.shutdown()
            server.server_close()
            thread.join()
            for connection in server.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    try:
        yield f"triton+{protocol}://127.0.0.1:{port}", repository, end
    finally:
        end()
