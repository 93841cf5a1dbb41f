"""The types: what `tidegate types --lang python` prints makes a wrong publish an error of mypy. And the package as it is published."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from conftest import BINARY, CHANNELS, HERE


def test_mypy_takes_publishes_of_the_channels_types_and_nothing_else(tmp_path: Path) -> None:
    shutil.copytree(CHANNELS, tmp_path / "channels_of_the_server")
    (tmp_path / "config.yaml").write_text("channels: channels_of_the_server\n")
    types = [BINARY, "types", "--lang", "python", "--out", "channels.py", "--config", "config.yaml"]
    subprocess.run(types, cwd=tmp_path, check=True, capture_output=True)
    shutil.copy(HERE / "typed.py", tmp_path / "typed.py")
    command = [sys.executable, "-m", "mypy", "--strict", "typed.py", str(HERE.parent / "src/tidegate_publisher")]
    judged = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout


def test_the_package_is_built_with_its_types_and_needs_httpx_alone(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=HERE.parent, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        assert {"tidegate_publisher/__init__.py", "tidegate_publisher/py.typed"} <= set(packed.namelist())
        metadata = packed.read("tidegate_publisher-0.1.0.dist-info/METADATA").decode()
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert needed == ["Requires-Dist: httpx<1,>=0.27"]
