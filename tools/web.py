"""The page that runs in a browser, put together in build/web and served on this machine.

    python tools/web.py [--port 8000] [--build]

It fetches the pinned onnxruntime-web by npm into build/npm once, and copies docs/web, the bundled models and what the
page needs of the library into build/web, a folder that any static host serves. Exit codes: 1 a copy or the port failed,
2 wrong usage, 4 npm is missing or cannot fetch the package, 5 the package is not the pinned one.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import subprocess
import sys
import tarfile
from functools import partial
from hashlib import sha512
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parent.parent
NPM, WEB = ROOT / "build" / "npm", ROOT / "build" / "web"
PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # sha512
LIBRARY = (
    "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm",
)  # fmt: skip
# The two that isolate the page give it threads; hosts that do not send them run it on one.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


class Failed(Exception):
    """One line and an exit code."""


def fetch(folder: Path = NPM) -> Path:
    """The package's archive, fetched where it is not there; Failed where it is not the pinned one."""
    archive = folder / f"{PACKAGE}-{VERSION}.tgz"
    if not archive.is_file():
        npm = shutil.which("npm")
        if npm is None:
            raise Failed("expected npm, which fetches onnxruntime-web, found none; install Node.js, or put "
                         f"{archive.name} into {folder}", 4)  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        print(f"fetching {PACKAGE} {VERSION} by npm (33 MB)")
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent", "--pack-destination", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not archive.is_file():
            said = " ".join(done.stderr.split())[:200] or f"exit code {done.returncode}"
            raise Failed(f"npm could not fetch {PACKAGE} {VERSION}: {said}", 4)
    found = base64.b64encode(sha512(archive.read_bytes()).digest()).decode()
    if found != INTEGRITY:
        raise Failed(f"{archive} is not the pinned {PACKAGE} {VERSION}: expected sha512 {INTEGRITY[:12]}..., got "
                     f"{found[:12]}...; delete it and try again", 5)  # fmt: skip
    return archive


def assemble(folder: Path = WEB) -> None:
    """Page, models and library in a folder that needs nothing else."""
    archive = fetch()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "web", folder)
    (folder / "models").mkdir()
    for model in (ROOT / "pnen_runtime" / "bundled").glob("*.onnx"):
        shutil.copy(model, folder / "models")
    (folder / "ort").mkdir()
    with tarfile.open(archive, "r|gz") as packed:  # unpacked once, from its beginning to its end
        for member in packed:
            name = member.name.removeprefix("package/dist/")
            if name in LIBRARY and (source := packed.extractfile(member)):
                (folder / "ort" / name).write_bytes(source.read())


class Handler(SimpleHTTPRequestHandler):
    """Files with the headers that give a page threads, and types that browsers insist on."""

    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript", ".mjs": "text/javascript",
        ".wasm": "application/wasm", ".onnx": "application/octet-stream", ".svg": "image/svg+xml",
    }  # fmt: skip
    headers_sent = HEADERS

    def end_headers(self) -> None:
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *values: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000, help="0: a free one")
    parser.add_argument("--build", action="store_true", help="only put the folder together")
    wanted = parser.parse_args()
    try:
        assemble()
        if wanted.build:
            print(f"{WEB}: copy this folder to any static host")
            return
        with ThreadingHTTPServer(("127.0.0.1", wanted.port), partial(Handler, directory=str(WEB))) as server:
            print(f"http://127.0.0.1:{server.server_port} (Ctrl-C ends it)", flush=True)
            server.serve_forever()
    except Failed as failed:
        print(failed.args[0], file=sys.stderr)
        sys.exit(failed.args[1])
    except (OSError, OverflowError) as error:
        print(f"{error}; --port takes another port", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
