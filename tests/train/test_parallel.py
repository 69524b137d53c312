"""Work on all usable cores: in order, and on no more of them."""

import time

from pnen_train import parallel
from pnen_train.parallel import in_parallel


def test_results_come_in_order_from_no_more_threads_than_usable_cores(monkeypatch):
    monkeypatch.setattr(parallel, "usable_cores", lambda: 3)
    running, most = [], []

    def work(item):
        running.append(item)
        most.append(len(running))
        time.sleep(0.01)
        running.remove(item)
        return -item

    assert list(in_parallel(work, range(12))) == [-item for item in range(12)]
    assert max(most) <= 3
