"""What two of the filters need beside numpy: the extra `filters`."""

from importlib import import_module
from typing import Any

from ..errors import BackendMissing
from ..install import pip_install


def from_extra(module: str) -> Any:
    """A module that needs the extra; BackendMissing, with the command that installs it, where it is not there."""
    try:
        return import_module(module, __package__)
    except ImportError as error:
        what = f'the filters wmf and sd need the extra "filters", which is not there ({error})'
        raise BackendMissing(f"{what}; install it: {pip_install('filters')}") from error
