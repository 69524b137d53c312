import pytest

from pnen_runtime import errors


@pytest.mark.parametrize(
    ("error", "code", "also"),
    [
        (errors.PnenError, 1, Exception),
        (errors.UsageError, 2, Exception),
        (errors.ImageError, 1, ValueError),
        (errors.CheckpointError, 1, Exception),
        (errors.ParityError, 3, Exception),
        (errors.BackendMissing, 4, ImportError),
        (errors.EngineError, 5, Exception),
    ],
)
def test_every_error_has_its_exit_code_and_python_type(error, code, also):
    assert error.exit_code == code
    assert issubclass(error, errors.PnenError) and issubclass(error, also)
    assert str(error("why")) == "why"
