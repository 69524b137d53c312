"""The files that the ways run, each made when it is first asked for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from pnen_export.deploy import Deployed
from pnen_export.export import onnx_name
from pnen_export.onnx_graph import export_graph
from pnen_export.profiles import Profile, Shape, check_profiles
from pnen_export.record import make_card
from pnen_runtime.card import KEY
from pnen_runtime.errors import PnenError
from pnen_train.checkpoint import Checkpoint

from .ways import Case, Way

Build = Callable[[Way, dict[str, Any]], dict[str, Any]]  # builds what the job says under the way's Python


class Files:
    """ONNX files and engines of one checkpoint.

    The comparison itself shows how far each is from PyTorch, so they are not proven here as pnen-export does it.
    """

    def __init__(self, checkpoint: Checkpoint, folder: Path, cases: list[Case], build: Build):
        self._model, self.card = checkpoint.model(), make_card(checkpoint)
        self._folder, self._cases, self._build = folder, cases, build
        self._made: dict[tuple, Path | PnenError] = {}

    def file_of(self, way: Way, case: Case) -> Path | None:
        """The ONNX file or the engine, None for PyTorch; the error of the first attempt again where it failed."""
        if way.program == "torch":
            return None
        if way.flavour is None:
            return self._once(("onnx", way.target, way.precision), lambda: self._export(way))
        card = replace(self.card, precision=way.precision, target="onnx")
        if case.setting == "whole":
            check_profiles(card, [Profile(*[Shape(*case.shape)] * 3)])
        return self._once((way.key, case.setting == "whole"), lambda: self._engine(way, case.setting == "whole"))

    def _once(self, key: tuple, make: Callable[[], Path]) -> Path:
        if key not in self._made:
            try:
                self._made[key] = make()
            except PnenError as error:
                self._made[key] = error
        made = self._made[key]
        if isinstance(made, PnenError):
            raise made
        return made

    def _export(self, way: Way) -> Path:
        network = Deployed(self._model, way.precision, equal_heads=way.target == "onnx")
        graph = export_graph(network, self.card.channels, way.target)
        own = replace(self.card, precision=way.precision, target=way.target)
        onnx.helper.set_model_props(graph, {KEY: own.to_json()})
        path = self._folder / onnx_name("model", way.target, way.precision)
        path.write_bytes(graph.SerializeToString())
        return path

    def _engine(self, way: Way, whole: bool) -> Path:
        """One engine for all batches and tiles, another one for all images that are taken whole."""
        path = self._once(("onnx", way.target, way.precision), lambda: self._export(way))
        card, profiles = replace(self.card, precision=way.precision, target="onnx"), []
        for case in self._cases:
            if (case.setting == "whole") == whole and case.setting != "tiles":
                profile = Profile(*[Shape(*case.shape)] * 3)
                try:
                    check_profiles(card, [profile])
                except PnenError:
                    continue  # `file_of` says why
                profiles.append(str(profile))
        folder = self._folder / f"{way.key}{'-whole' if whole else ''}"
        job = {"onnx": str(path), "flavour": way.flavour, "shapes": profiles, "folder": str(folder)}
        return Path(self._build(way, job | {"precision": way.precision})["path"])
