"""The options `--backend` and `--provider-option` of commands that run models."""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from . import BACKENDS, check_backend
from .providers import PROVIDERS

NAMES = (*BACKENDS, *PROVIDERS)


def parse_backend(_ctx: click.Context, _option: click.Parameter, name: str) -> str:
    """`--backend`."""
    check_backend(name)
    return name


def parse_options(_ctx: click.Context, _option: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    """`--provider-option`."""
    for word in words:
        if not word.partition("=")[0] or "=" not in word:
            raise click.BadParameter(f"expected KEY=VALUE, as device_type=GPU, got {word!r}")
    return {key: value for key, _, value in (word.partition("=") for word in words)}


def complete_backend(ctx: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """For shells: names of backends."""
    return [CompletionItem(name) for name in ("auto", *NAMES) if name.startswith(begun)]


def backend_options(command: Callable[..., None]) -> Callable[..., None]:
    """Both options, as `backend` and `provider_options`."""
    command = click.option("--provider-option", "provider_options", metavar="KEY=VALUE", multiple=True,
                           callback=parse_options, help="Of a provider, in its own words: device_type=GPU; "
                           "repeatable.")(command)  # fmt: skip
    return click.option("--backend", metavar="NAME", default="auto", show_default=True, callback=parse_backend,
                        shell_complete=complete_backend, help=f"What runs the model: auto, {', '.join(NAMES)}, or any "
                        "provider of ONNX Runtime by its own name.")(command)  # fmt: skip
