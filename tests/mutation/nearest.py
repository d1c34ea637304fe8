# SPDX-License-Identifier: Apache-2.0
"""Which tests to ask first about a change of a source file."""

import collections
import pathlib
import re

LAYERS = ("kernels", "engine", "models", "apps")
FAR = 5  # the distance of a program that shares nothing but the layer with a file, or more
SOURCES = (".cpp", ".cu", ".cuh", ".h")


class Nearest:
    """Test programs in the order in which they are likely to notice."""

    def __init__(self, root):
        self.texts = {}
        for folder in LAYERS + ("tests",):
            for path in pathlib.Path(root, folder).rglob("*"):
                if path.suffix in SOURCES and "simt" not in path.parts:
                    self.texts[str(path.relative_to(root))] = path.read_text()
        self.includes = {
            path: [name for name in re.findall(r'^#include "([^"]+)"', text, re.M) if name in self.texts]
            for path, text in self.texts.items()
        }
        self.users = collections.defaultdict(list)
        for path, names in self.includes.items():
            for name in names:
                self.users[name].append(path)
        tests = [path for path in self.texts if pathlib.Path(path).name.startswith("test_")]
        self.reach = {path: self._reach(path) for path in tests}
        self.behind = {path: self._reach(path, "") for path in tests}

    def _reach(self, test, folder="tests/"):
        """A test and the headers of the tests that it includes."""
        seen, queue = {test}, [test]
        while queue:
            for name in self.includes[queue.pop()]:
                if name.startswith(folder) and name not in seen:
                    seen.add(name)
                    queue.append(name)
        return seen

    def dependants(self, header):
        """Compiled files of the libraries that a change of this file compiles again."""
        seen, queue = {header}, [header]
        while queue:
            for name in self.users[queue.pop()]:
                if name not in seen and not name.startswith(("tests/", "apps/")):
                    seen.add(name)
                    queue.append(name)
        return sorted(name for name in seen if name.endswith((".cpp", ".cu")))

    def order(self, path, function, seconds):
        """(program, distance) from near to far, of the names of `seconds`, their durations; those that do not link the
        file are left out."""
        distances = {program: self._distance(path, function, program.split()[0]) for program in seconds}
        linked = [(program, distance) for program, distance in distances.items() if distance is not None]
        return sorted(linked, key=lambda entry: (entry[1], seconds[entry[0]]))

    def _distance(self, path, function, test):
        source = next((t for t in self.reach if pathlib.Path(t).stem == test), None)
        layer = LAYERS.index(path.split("/")[0])
        if source is None or self._layer(source) < layer:
            return None
        stems, name = self._stems(path), test.removeprefix("test_")
        of_cuda = all(p.endswith((".cu", ".cuh")) for p in self.dependants(path))
        other_device = int(("cuda" in name) != of_cuda)
        for rank, stem in enumerate(stems):
            if name.removesuffix("_cuda") == stem:
                return 0.5 * other_device + (rank > 0)
        text = " ".join(self.texts[t] for t in self.reach[source])
        if len(function) > 5 and re.search(rf"\b{re.escape(function)}\b", text):
            return 2 + other_device
        headers = {f"{pathlib.Path(path).parent}/{stem}.h" for stem in stems} | {path}
        if any(header in self.includes[t] for t in self.reach[source] for header in headers):
            return 3 + other_device
        if any(name.startswith(stem.split("_")[0]) for stem in stems):
            return 4
        through = any(header in self.behind[source] for header in headers)  # headers of the libraries
        return FAR + (0 if through else 1 + self._layer(source) - layer + other_device)

    def _layer(self, source):
        """The library that a test links."""
        if "HOURGLASS_PROGRAM" in " ".join(self.texts[t] for t in self.reach[source]):
            return LAYERS.index("apps")
        named = [name.split("/")[0] for reached in self.reach[source] for name in self.includes[reached]]
        return max((LAYERS.index(folder) for folder in named if folder in LAYERS), default=0)

    def _stems(self, path):
        """The file's name and what remains of it without its last words; for a header, those of its users too."""
        stems = []
        for name in [path] + (self.dependants(path)[:12] if path.endswith((".h", ".cuh")) else []):
            words = pathlib.Path(name).stem.split("_")
            stems += ["_".join(words[:n]) for n in range(len(words), 0, -1)]
            if "ops" in pathlib.Path(name).parts:
                stems.insert(1, words[0] + "_ops")
        return list(dict.fromkeys(stems))
