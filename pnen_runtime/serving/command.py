"""pnen-smooth serve."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from ..backends.options import backend_options
from ..backends.triton import PREFIX, Address
from ..card import Card
from ..commands import Command, say
from ..engine_file import SUFFIXES, read_engine
from ..errors import BackendMissing, UsageError
from ..install import pip_install
from ..models import bundled_models, find_model
from ..onnx_card import read_onnx_card
from ..smoother import MEMORY_MB, Smoother

log = logging.getLogger("pnen")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command(cls=Command, context_settings={"auto_envvar_prefix": "PNEN_SERVE"})
@click.option("-m", "--model", "models", metavar="NAME|PATH", multiple=True, help="A bundled model, a model file or "
              "the address of a model on a Triton server; repeatable. The first is the default.  [default: l0 and all "
              "other bundled ones]")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--workers", metavar="NUMBER", type=click.IntRange(1, 256), default=2, show_default=True,
              help="Pictures computed at once; they share the CPU threads.")  # fmt: skip
@click.option("--waiting", metavar="NUMBER", type=click.IntRange(0, 10_000), default=16, show_default=True,
              help="Pictures that may be here besides; who comes then is told when to come back (503).")  # fmt: skip
@click.option("--max-body", "megabytes", metavar="MB", type=click.IntRange(1, 10_000), default=64, show_default=True,
              help="Of one request.")  # fmt: skip
@click.option("--max-pixels", "megapixels", metavar="MP", type=click.IntRange(1, 178), default=50, show_default=True,
              help="Of one picture in all its frames, and of an enlarged one.")  # fmt: skip
@click.option("--timeout", "seconds", metavar="SECONDS", type=click.FloatRange(min=0.1), default=60, show_default=True,
              help="To send a picture; again until its result is there; again to take it.")  # fmt: skip
@backend_options
@click.option("--threads", metavar="THREADS", type=click.IntRange(min=1), help="CPU threads.  [default: all]")
@click.option("--memory", metavar="MB", type=click.IntRange(min=1), default=MEMORY_MB, show_default=True,
              help="That one tile may take.")  # fmt: skip
def serve(models: tuple[str, ...], host: str, port: int, workers: int, waiting: int, megabytes: int, megapixels: int,
          seconds: float, **settings: object) -> None:  # fmt: skip
    """Smooth, denoise and enlarge pictures over HTTP: POST /smooth?model=l0&strength=0.05 takes one and gives one.

    The query may say model, strength, mix, detail, format (png by default) and quality, as the options of pnen-smooth.
    GET /health, /models and /metrics say how it is. SIGTERM and Ctrl-C end it when what has begun is answered, with
    exit code 0; Ctrl-C again ends it at once.
    """
    try:
        import python_multipart  # noqa: F401

        from .application import Service
        from .connection import listen, make_server
    except ImportError as error:
        raise BackendMissing(f"pnen-smooth serve needs {error.name}; install it: {pip_install('serve')}") from error
    from .places import Places

    files = named(models or tuple(sorted(bundled_models(), key="l0".__ne__)))
    cards = {name: card_of(path) for name, path in files.items()}
    if host not in LOOPBACK:
        log.warning("%s is not this machine alone: whoever reaches it may use the service, without password and "
                    "encryption; put a proxy that knows them before it", host)  # fmt: skip
    places = Places(files, workers, waiting, megapixels * 1_000_000, **settings)
    try:
        places.model(next(iter(files)))  # what cannot run here is told now, not to every client
        with listen(host, port) as opened:
            server = make_server(Service(cards, places, megabytes * 1_000_000, seconds).application(), seconds)
            shown = f"[{host}]" if ":" in host else host
            say(f"serving {', '.join(files)} on http://{shown}:{opened.getsockname()[1]}: {workers} pictures at once, "
                f"{waiting} waiting", err=True)  # fmt: skip
            try:
                server.run([opened])
            except KeyboardInterrupt:  # the signal that ended it, raised again by uvicorn
                if server.force_exit or not server.should_exit:
                    raise
    finally:
        places.close()
    say("ended: all that had begun is answered", err=True)


def named(models: tuple[str, ...]) -> dict[str, Path | str]:
    """The files, or addresses, by the names that clients use; UsageError for two of one name, or one that is none."""
    found: dict[str, Path | str] = {}
    for model in models:
        place: Path | str = model if model.startswith(PREFIX) else find_model(model)
        if isinstance(place, str):
            name = Address.read(place).model
        else:
            name = model if place.name == f"{model}.onnx" else place.name.partition(".")[0]
        if name in found:
            raise UsageError(f"{found[name]} and {place} would both be {name!r}; rename one")
        found[name] = place
    return found


def card_of(place: Path | str) -> Card:
    """The card of an ONNX file or an engine, which is read and not opened, or of a model on a server.

    EngineError where it has none, BackendMissing where the server does not answer.
    """
    if isinstance(place, str):
        with Smoother(place) as smoother:
            return smoother.card
    return read_engine(place).card if place.suffix in SUFFIXES else read_onnx_card(place)
