"""The command `pnen-train`."""

from importlib import import_module

import click

from pnen_runtime.commands import Group
from pnen_runtime.errors import BackendMissing


class Subcommands(Group):
    """Imports a subcommand when it is asked for: `filter` needs no torch, and the help of another one is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["run", "evaluate", "study", "filter"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        try:
            return import_module(f"pnen_train.commands.{cmd_name}").command
        except ModuleNotFoundError as error:
            needs = f"pnen-train {cmd_name} needs {error.name}"
            raise BackendMissing(f'{needs}; install it with: pip install "pnen[train]"') from error


@click.group(cls=Subcommands)
def main() -> None:
    """Train networks that imitate edge-preserving smoothing filters, and score them."""


if __name__ == "__main__":
    main()
