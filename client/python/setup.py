"""Makes the messages' classes from the contract while the package is built; all else is in pyproject.toml."""

import importlib.metadata
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
PROTOS = ("value", "error", "config", "connector")


def contract():
    """The folder with engine/db/v1: beside this file in a source distribution, else the checkout's."""
    for folder in (HERE / "proto", HERE.parent.parent / "proto"):
        if (folder / "engine/db/v1/connector.proto").exists():
            return folder
    sys.exit("the contract (proto/engine/db/v1) is neither in this folder nor in a checkout around it")


def compilers():
    """Commands that may be a good protoc: grpcio-tools of the field's time, then protoc. Debian's grpcio-tools are of 2018."""
    try:
        version = importlib.metadata.version("grpcio-tools")
        if tuple(map(int, version.split(".")[:2])) >= (1, 49):
            yield [sys.executable, "-m", "grpc_tools.protoc"]
    except (importlib.metadata.PackageNotFoundError, ValueError):
        pass
    protoc = os.environ.get("PROTOC") or shutil.which("protoc")
    if protoc:
        yield [protoc]


def write(path, text):
    """Leaves a file alone that says so already: tests that run at the same time may be importing it."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def generate(target):
    """Writes the modules and their type stubs into `target`, as one package: nothing else is named engine.db."""
    protos = contract()
    with tempfile.TemporaryDirectory() as made:
        arguments = [f"-I{protos}", f"--python_out={made}", f"--pyi_out={made}",
                     *(f"engine/db/v1/{name}.proto" for name in PROTOS)]
        said = ""
        for compiler in compilers():
            done = subprocess.run(compiler + arguments, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True)
            if done.returncode == 0:
                break
            said += done.stdout
        else:
            sys.exit("needs grpcio-tools 1.49 or later, or protoc 3.20 or later (Debian: protobuf-compiler)\n" + said)
        target.mkdir(parents=True, exist_ok=True)
        write(target / "__init__.py", '"""The contract\'s messages, generated."""\n')
        for source in pathlib.Path(made, "engine/db/v1").iterdir():
            text = source.read_text()
            text = re.sub(r"^from engine\.db\.v1 import", "from engine_db_postgres._proto import", text, flags=re.MULTILINE)
            write(target / source.name, text)


class BuildWithStubs(build_py):
    def run(self):
        super().run()
        in_place = getattr(self, "editable_mode", False)
        generate((HERE if in_place else pathlib.Path(self.build_lib)) / "engine_db_postgres" / "_proto")


class SdistWithContract(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for name in PROTOS:
            path = pathlib.Path("engine/db/v1") / f"{name}.proto"
            target = pathlib.Path(base_dir) / "proto" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(contract() / path, target)


setup(cmdclass={"build_py": BuildWithStubs, "sdist": SdistWithContract})
