"""Pictures through a Triton server (its stand-in): bit for bit what the same model gives here."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

pytest.importorskip("tritonclient.grpc")

from pnen_export.cli import main
from pnen_runtime import BackendMissing, EngineError, Smoother, Upscaler, UsageError
from pnen_runtime.cli import smooth

from .conftest import command, file_of
from .stand_in import serving, toy

MODELS = ("l0-fast", "wmf-fast", "denoise", "enlarge2")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    done = CliRunner().invoke(main, ["--for", "triton", *MODELS, str(folder), "--variants", "onnxruntime"])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module", params=["grpc", "http"])
def server(request, repository):
    with serving(repository, request.param) as (url, models, _):
        yield url, models


def noise(*shape, kind=np.uint8):
    values = np.random.default_rng(7).random(shape)
    return (values * (1 if kind is np.float32 else np.iinfo(kind).max)).astype(kind)


GIVEN = {
    "colour": noise(70, 90, 3), "grey": noise(70, 90), "16 bits": noise(40, 50, 3, kind=np.uint16),
    "floats": noise(40, 50, 3, kind=np.float32), "alpha": noise(40, 50, 4), "frames": noise(2, 30, 40, 3),
}  # fmt: skip


@pytest.mark.parametrize("settings", [{}, {"tile": 48, "step": 30}, {"tile": 32, "step": 9, "blend": "uniform"}])
@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("name", ["l0-fast", "wmf-fast"])
def test_every_kind_of_picture(server, name, given, settings):
    with Smoother(name, threads=1, **settings) as here, Smoother(f"{server[0]}/{name}", **settings) as there:
        assert there.plan(70, 90).tile == here.plan(70, 90).tile
        wanted, found = here.run(GIVEN[given]), there.run(GIVEN[given])
    assert found.dtype == wanted.dtype and np.array_equal(found, wanted)


@pytest.mark.parametrize("wanted", [
    {"strength": 0.15}, {"mix": 0.4}, {"detail": 2.0}, {"strength": np.linspace(0.002, 0.2, 6300).reshape(70, 90)},
])  # fmt: skip
def test_every_setting(server, wanted):
    settings = {"tile": 48, "step": 30}
    with Smoother("l0-fast", threads=1, **settings) as here, Smoother(f"{server[0]}/l0-fast/1", **settings) as there:
        assert np.array_equal(there.run(GIVEN["colour"], **wanted), here.run(GIVEN["colour"], **wanted))


def test_estimated_strengths_and_enlarged_pictures(server):
    with Smoother("denoise", threads=1) as here, Smoother(f"{server[0]}/denoise") as there:
        assert np.array_equal(there.run(GIVEN["colour"]), here.run(GIVEN["colour"]))
    with Upscaler("enlarge2", threads=1) as here, Upscaler(f"{server[0]}/enlarge2") as there:
        assert np.array_equal(there.run(GIVEN["alpha"]), here.run(GIVEN["alpha"]))


def test_the_command_takes_an_address(server, tmp_path):
    Image.fromarray(GIVEN["colour"]).save(tmp_path / "a.png")
    for model, out in (("l0-fast", "here.png"), (f"{server[0]}/l0-fast", "there.png")):
        words = [str(tmp_path / "a.png"), str(tmp_path / out), "--model", model, "--threads", "1"]
        done = CliRunner().invoke(smooth, words)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "there.png").read_bytes()
    assert "at 127.0.0.1:" in done.stdout


def test_tiles_are_on_their_way_together_and_threads_share_a_smoother(server):
    url, models = server
    models.most_at_once, wrong = 0, []
    with Smoother("l0-fast", threads=1, tile=32, step=20) as here:
        wanted = here.run(GIVEN["colour"])
    seen = []
    with Smoother(f"{url}/l0-fast", tile=32, step=20) as there:
        there.run(GIVEN["colour"], progress=lambda done, total: seen.append((done, total)))

        def run():
            wrong.extend(not np.array_equal(there.run(GIVEN["colour"]), wanted) for _ in range(3))

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == [False] * 12 and models.most_at_once > 1
    assert seen[-1] == (20, 20) and len(seen) == 4  # a row of tiles at once


@pytest.mark.parametrize(("change", "error", "words"), [
    (lambda config: config.parameters.clear(), EngineError, "hold no PNEN card; write the model by pnen-export"),
    (lambda config: config.input[0].dims.__setitem__(0, 4), EngineError, "expected image TYPE_FP32 [3, -1, -1], stren"),
    (lambda config: config.input.pop(), EngineError, "got image TYPE_FP32 [3, -1, -1], smooth TYPE_FP32 [3, -1, -1]"),
    (lambda config: setattr(config.output[0], "name", "out"), EngineError, "out TYPE_FP32 [3, -1, -1]; write the mod"),
    (lambda config: setattr(config.input[0], "data_type", 10), EngineError, "got image TYPE_FP16"),
    (lambda config: setattr(config, "max_batch_size", 0), EngineError, "in batches"),
    (lambda config: setattr(config.parameters["pnen"], "string_value", "{"), EngineError, "the model card is not JSON"),
])  # fmt: skip
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_model_that_is_not_ours_is_refused(repository, protocol, change, error, words):
    with serving(repository, protocol) as (url, models, _):
        change(models.models["l0-fast"][0])
        with pytest.raises(error) as told:
            Smoother(f"{url}/l0-fast")
    assert words in str(told.value) and "\n" not in str(told.value) and told.value.exit_code == 5


@pytest.mark.parametrize(("spoil", "words"), [
    (lambda smooth: smooth[:, :, :-1], "expected float32 (1, 3, 56, 66) back, got float32 (1, 3, 55, 66)"),
    (lambda smooth: smooth[0], "back, got float32 (3, 56, 66)"),
    (lambda smooth: smooth * np.nan, "gave values that are not numbers"),
])  # fmt: skip
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_wrong_answer_is_no_picture(repository, protocol, spoil, words):
    with serving(repository, protocol) as (url, models, _), Smoother(f"{url}/l0-fast") as there:
        models.spoil = spoil
        with pytest.raises(EngineError) as told:
            there.run(GIVEN["alpha"])
    assert words in str(told.value)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_server_that_is_not_there_goes_or_is_not_ready_is_one_line_with_exit_code_4(repository, tmp_path, protocol):
    Image.fromarray(GIVEN["colour"]).save(tmp_path / "a.png")

    def ask(url):
        done = CliRunner().invoke(smooth, [str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--model", url])
        assert not (tmp_path / "b.png").exists() and len(done.stderr.splitlines()) == 1
        return done.exit_code, done.stderr

    with serving(repository, protocol) as (url, models, end):
        assert ask(f"{url}/l0")[0] == 4 and "the server has none so named" in ask(f"{url}/l0")[1]
        assert ask(f"{url}/l0-fast/2")[0] == 4
        models.unready.add("l0-fast")
        assert ask(f"{url}/l0-fast")[0] == 4
        models.unready.clear()
        other = {"grpc": "http", "http": "grpc"}[protocol]
        assert ask(f"{url.replace(protocol, other)}/l0-fast")[0] == 4  # of the other protocol's port
        with Smoother(f"{url}/l0-fast") as there:
            there.run(GIVEN["colour"])
            end()
            with pytest.raises(BackendMissing, match="got no answer"):
                there.run(GIVEN["colour"])
        code, line = ask(f"{url}/l0-fast")
        assert code == 4 and f"expected a Triton server at {url.partition('//')[2]}, got no answer" in line


@pytest.mark.parametrize("address", [
    "triton+grpc://", "triton+grpc://host", "triton+grpc://host:port/l0", "triton+grpc://host/l0/one", "triton+ftp://a/b",
    "triton+grpc:host/l0", "triton+http://host/l0?a=b", "triton+http://user@host/l0", "triton+grpc://host:99999/l0",
])  # fmt: skip
def test_what_is_no_address_is_wrong_usage(address):
    with pytest.raises(
        UsageError, match=r"expected the address of a model on a Triton server, triton\+grpc://HOST:8001"
    ):
        Smoother(address)


def test_what_an_address_settles_is_not_asked_for_besides():
    with pytest.raises(UsageError, match="says itself what runs it"):
        Smoother("triton+grpc://host/l0", backend="onnxruntime-cpu")


def test_without_the_extra_it_says_what_to_install():
    code = """
import sys
sys.modules["tritonclient"] = None
from pnen_runtime import PnenError, Smoother
try:
    Smoother("triton+grpc://host/l0")
except PnenError as error:
    print(error.exit_code, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("4 ") and 'install it: pip install "tritonclient[grpc,http]"' in done.stdout


def test_sizes_that_a_model_takes_bound_its_tiles(tmp_path):
    """The variant with TensorRT says them in its card; the stand-in runs its ONNX file."""
    source = toy(tmp_path / "toy.onnx", adjustable=True)
    done = CliRunner().invoke(main, ["--for", "triton", str(source), str(tmp_path / "models")])
    assert done.exit_code == 0, done.output
    with serving(tmp_path / "models", "grpc") as (url, _, _), Smoother(f"{url}/toy_tensorrt", tile=64) as there:
        assert there.plan(100, 100).tile == 32
        with Smoother(source, threads=1, tile=32) as here:
            assert np.array_equal(there.run(GIVEN["colour"]), here.run(GIVEN["colour"]))


def test_the_service_takes_pictures_for_a_server_of_tiles(server):
    data, url = file_of(Image.fromarray(GIVEN["alpha"])), f"{server[0]}/l0-fast"
    with command("--model", "l0-fast") as (_, here), command("--model", url) as (_, there):
        right, found = (client.ask("/smooth?model=l0-fast&strength=0.1", data) for client in (here, there))
    assert right[0] == 200 and right[2] == found[2]


def test_a_service_whose_server_is_not_there_does_not_begin():
    done = CliRunner().invoke(smooth, ["serve", "--port", "0", "--model", "triton+http://127.0.0.1:1/l0"])
    assert done.exit_code == 4 and "expected a Triton server at 127.0.0.1:1, got no answer" in done.stderr
