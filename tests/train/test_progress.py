"""A bar on a terminal, plain lines in a log; devices by name; work in parallel."""

import errno
import io
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

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


def logged(monkeypatch, seconds, figures="", **values):
    """The lines of 10 steps, each so many seconds long, without a terminal."""
    text, now = io.StringIO(), [0.0]
    monkeypatch.setattr(progress, "console", Console(file=text, width=80))
    with bar("targets", 10, figures, clock=lambda: now[0]) as advance:
        for step in range(1, 11):
            now[0] += seconds
            advance(step, **{key: value * step for key, value in values.items()})
    return text.getvalue().splitlines()


def test_without_a_terminal_there_is_a_line_a_minute_with_means_rate_and_time_left(monkeypatch):
    assert logged(monkeypatch, 5.9) == []
    assert logged(monkeypatch, 20, "loss {loss:.1f}", loss=2) == [
        "targets: 3 of 10, loss 4.0, 0.05 it/s, 0:02:20 left",
        "targets: 6 of 10, loss 10.0, 0.05 it/s, 0:01:20 left",
        "targets: 9 of 10, loss 16.0, 0.05 it/s, 0:00:20 left",
    ]
    assert logged(monkeypatch, 30)[-1] == "targets: 10 of 10, 0.0333 it/s, 0:00:00 left"


def test_a_total_that_becomes_known_later_counts_from_then_on(monkeypatch):
    text, now = io.StringIO(), [0.0]
    monkeypatch.setattr(progress, "console", Console(file=text))
    with bar("run", 400_000, clock=lambda: now[0]) as advance:
        advance(0, 100)
        now[0] = 60.0
        advance(30)
    assert text.getvalue() == "run: 30 of 100, 0.5 it/s, 0:02:20 left\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_a_minute_before_the_first_figures_has_none_to_show(monkeypatch, terminal):
    text, now = io.StringIO(), [0.0]
    monkeypatch.setattr(progress, "console", Console(file=text, force_terminal=terminal, width=100))
    with bar("run", 400_000, "loss {loss:.1f}", clock=lambda: now[0]) as advance:
        now[0] = 61.0
        advance(0, 100)
        now[0] += 60
        advance(30, loss=2)
    if not terminal:
        assert text.getvalue() == "run: 0 of 100\nrun: 30 of 100, loss 2.0, 0.5 it/s, 0:02:20 left\n"


@pytest.mark.parametrize("title", ["a", "pnen-l0-small-wmf_8-0.001-of-many-settings"])
@pytest.mark.parametrize("total", [600, 400_000])
def test_all_figures_of_a_training_fit_80_columns(monkeypatch, title, total):
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, force_terminal=True, width=80))
    with bar(title, total, "loss {loss:.5f}  PSNR {psnr:.2f}", done=total - 3) as advance:
        for step in (2, 1):
            advance(total - step, loss=0.01234, psnr=31.234)
            time.sleep(0.01)  # the bar has a clock of its own
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()).rstrip().splitlines()[-1]
    assert f"{total - 1}/{total}" in last and "loss 0.01234  PSNR 31.23" in last
    assert re.search(r"[\d.e+]+ it/s left \d:\d\d:\d\d", last) and "…" not in last.removeprefix(title[:9] + "…")


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


@pytest.mark.parametrize(("number", "raised"), [(errno.EIO, False), (errno.ENOSPC, True)])
def test_a_terminal_that_was_closed_does_not_end_a_run_and_a_full_disk_does(monkeypatch, number, raised):
    def refuse(*_, **__):
        raise OSError(number, "no")

    monkeypatch.setattr(progress.console, "print", refuse)
    with pytest.raises(OSError, match="no") if raised else nullcontext():
        progress.say("step 3")
