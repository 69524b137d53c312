"""Smooth a folder of folders on a Ray cluster: python smooth_folders.py photos/ smoothed/ PROCESSES"""

import os
import sys
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
import ray

from pnen_runtime import ImageError, Smoother, write_image


class Smooth:
    """One process of the cluster, with the network on one thread; all of them see the same folders."""

    def __init__(self, source, target):
        self.source, self.target, self.smoother = source, target, Smoother("l0-fast", threads=1)

    def __call__(self, row):
        path = self.target / Path(row["path"]).relative_to(self.source)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_image(path, self.smoother.run(row["bytes"]))
        except ImageError as error:
            return {"path": row["path"], "error": str(error)}
        return {"path": row["path"], "error": ""}


if __name__ == "__main__":
    folders = [Path(word).resolve() for word in sys.argv[1:3]]
    pictures = ray.data.read_binary_files(str(folders[0]), include_paths=True)
    done = pictures.map(Smooth, fn_constructor_args=folders, concurrency=int(sys.argv[3])).take_all()
    failed = [row for row in done if row["error"]]
    print(f"{len(done) - len(failed)} of {len(done)} pictures smoothed")
    for row in failed:
        print(f"{row['path']}: {row['error']}")
    sys.exit(bool(failed))
