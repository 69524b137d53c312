"""The errors of all three packages, and the exit code a command ends with.

PnenError                        1  something failed
├── UsageError                   2  an argument, recipe or setting is wrong
├── ImageError (ValueError)      1  an image cannot be taken
│   └── TooLarge                 1  it has more pixels than were allowed
├── CheckpointError              1  a checkpoint cannot be read
├── ParityError                  3  two backends disagree, or the precision asked for was not met
├── BackendMissing (ImportError) 4  a package or a device is not there
└── EngineError                  5  a model file is truncated, foreign or made for another machine
    ├── Misfit                   5  an engine was made for another GPU or version
    └── NotFinite                5  a network gave values that are not numbers
"""


class PnenError(Exception):
    """Any failure that this project explains in one line."""

    exit_code = 1


class UsageError(PnenError):
    """An argument, a recipe or a setting is wrong."""

    exit_code = 2


class ImageError(PnenError, ValueError):
    """An image cannot be taken: its kind, size or values do not fit."""


class TooLarge(ImageError):
    """An image has more pixels than were allowed."""


class CheckpointError(PnenError):
    """A checkpoint cannot be read."""


class ParityError(PnenError):
    """Two backends disagree by more than the tolerance, or the precision asked for was not met."""

    exit_code = 3


class BackendMissing(PnenError, ImportError):
    """A package or a device that this backend needs is not there."""

    exit_code = 4


class EngineError(PnenError):
    """A model file is truncated, foreign, or made for another machine."""

    exit_code = 5


class Misfit(EngineError):
    """An engine was made for another GPU or another version than what is here."""


class NotFinite(EngineError):
    """A network gave values that are not numbers."""
