"""The command `pnen-train`."""

from importlib import import_module

import click

from pnen_runtime.commands import Group
from pnen_runtime.errors import BackendMissing
from pnen_runtime.install import pip_install
from pnen_runtime.photo import take_any_size
from pnen_runtime.signals import importing

HELP = {
    "new": "Write a recipe to begin with.",
    "run": "Train the network of a recipe on a folder of pictures.",
    "evaluate": "Score a checkpoint beside doing nothing.",
    "study": "Find the tile to recommend for a checkpoint.",
    "pictures": "Make training pictures of photographs.",
    "filter": "Apply a classical filter to images.",
    "models": "List the networks with their parameters, multiplications and depth.",
}


class Subcommands(Group):
    """Imports a subcommand when it is called: `filter` and the list of subcommands need no torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(HELP)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in HELP:
            return None
        take_any_size()
        try:
            with importing():
                return import_module(f"pnen_train.commands.{cmd_name}").command
        except ModuleNotFoundError as error:
            needs = f"pnen-train {cmd_name} needs {error.name}"
            raise BackendMissing(f"{needs}; install it with: {pip_install('train')}") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(HELP.items()))


@click.group(cls=Subcommands)
def main() -> None:
    """Train networks that smooth like a filter, take noise away or sharpen enlarged pictures, and score them."""


if __name__ == "__main__":
    main()
