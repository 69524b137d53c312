"""The subcommands of `pnen-train`, one module each."""
