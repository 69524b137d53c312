"""A bar on a terminal, plain lines in a log; devices by name; work in parallel."""

import io
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from rich.console import Console

from pnen_runtime.errors import BackendMissing, UsageError
from pnen_train import parallel, progress
from pnen_train.device import pick_device, put
from pnen_train.parallel import in_parallel
from pnen_train.progress import bar, say


def shown(monkeypatch, terminal):
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, force_terminal=terminal, width=100))
    with bar("train[1]", 10, "loss {loss:.3f}", done=4) as advance:
        for step in range(5, 11):
            advance(step, loss=step / 10)
            if step == 7:
                say("step 7: [bold]PSNR[/bold] 30 dB, " + "x" * 120)
    return text.getvalue()


def test_a_log_file_has_only_the_lines_that_were_said(monkeypatch):
    assert shown(monkeypatch, False) == "step 7: [bold]PSNR[/bold] 30 dB, " + "x" * 120 + "\n"


def test_a_terminal_has_the_bar_with_its_figures(monkeypatch):
    text = shown(monkeypatch, True)
    assert "train[1]" in text and "10/10" in text and "loss 1.000" in text and "it/s" in text and "left" in text


def test_auto_takes_what_is_there():
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu").type == "cpu"


@pytest.mark.parametrize("wish", ["gpu0", "", "cuda:x"])
def test_a_name_that_means_nothing_is_wrong_usage(wish):
    with pytest.raises(UsageError, match="expected a device such as auto, cpu, cuda"):
        pick_device(wish)


@pytest.mark.parametrize("wish", ["cuda:99", "meta"])
def test_a_device_that_is_not_there_is_missing(wish):
    with pytest.raises(BackendMissing, match=f"no device {wish} on this machine") as error:
        pick_device(wish)
    assert "\n" not in str(error.value)


def test_weights_are_put_channels_last():
    convolution = put(torch.nn.Conv2d(4, 4, 3), torch.device("cpu"))
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)


def test_parallel_results_keep_their_order_and_a_failure_ends_them(monkeypatch):
    assert list(in_parallel(lambda x: x * x, range(50))) == [x * x for x in range(50)]
    assert list(in_parallel(abs, [])) == []
    done, cancelled = [], threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, **options):
            super().shutdown(wait=False, **options)
            cancelled.set()
            super().shutdown()

    def work(item):
        if item == 3:
            raise KeyError(item)
        if item > 3:
            cancelled.wait()
        done.append(item)

    monkeypatch.setattr(parallel, "ThreadPoolExecutor", Pool)

    with pytest.raises(KeyError):
        list(in_parallel(work, range(2_000)))
    assert len(done) <= 3 + parallel.usable_cores()
