"""What NVIDIA's own files and programs say, as they were recorded or as its documents give their form."""

from pathlib import Path

import pytest

from codi_export import doctor
from codi_export.doctor import GIB, Nvidia

NVPMODEL = """\
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
< PM_CONFIG DEFAULT=1 >
"""
FILES = {
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64",
    "etc/nvpmodel.conf": NVPMODEL,
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    "proc/meminfo": "MemTotal:   7802864 kB\nMemFree: 1 kB\nMemAvailable:  2402864 kB\nSwapTotal:  3901424 kB\n",
    "usr/local/cuda/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.6.68"}}',
    "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/max_freq": "1020000000\n",
}
PROGRAMS = {
    "nvpmodel": "NV Power Mode: 15W\n0\n",
    "dpkg-query": "10.3.0.30-1+cuda12.5",
    "nvidia-smi": "NVIDIA GeForce RTX 4090, 8.9, 550.54.14, 24564, 24000\n",
    "nvcc": "Cuda compilation tools, release 13.0, V13.0.88\n",
}


def ask(*command: str) -> str:
    return PROGRAMS.get(command[0], "")


def silent(*command: str) -> str:
    return ""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a Jetson Orin Nano with JetPack 6.2."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions of Python packages."""
    versions: dict[str, str] = {}
    monkeypatch.setattr(doctor.machine, "version", lambda name: versions.get(name))
    return versions


def test_a_jetson_is_known_by_its_files(root: Path, installed: dict[str, str]) -> None:
    found = doctor.examine(root, ask)
    assert found == Nvidia(
        "jetson",
        device="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
        sm=87,
        l4t="36.4.3",
        jetpack="6.2",
        cuda="12.6.68",
        tensorrt="10.3.0.30",
        power_mode="15W",
        clocks="floating",
        memory_bytes=7802864 * 1024,
        free_bytes=2402864 * 1024,
        swap_bytes=3901424 * 1024,
    )


def test_each_of_its_problems_comes_with_a_command(root: Path, installed: dict[str, str]) -> None:
    found = {problem.what: problem.command for problem in doctor.problems(doctor.examine(root, ask), root)}
    assert found == {
        "this Python does not see JetPack's TensorRT": "python3 -m venv --system-site-packages .venv",
        "power mode 15W, not MAXN_SUPER": "sudo nvpmodel -m 2",
        "clocks follow the load, so latency varies": "sudo jetson_clocks",
        "3.7 GiB of swap: building an engine may need more": doctor.SWAP,
        "2.3 of 7.4 GiB of memory are free; a desktop takes 1 to 2": "sudo systemctl isolate multi-user.target",
        "CUDA's bindings are missing: engines cannot run": "pip install cuda-bindings",
    }


def test_one_that_is_well_set_up_has_none(root: Path, installed: dict[str, str]) -> None:
    installed.update({"tensorrt": "10.3.0", "cuda-bindings": "12.6.2"})
    well = Nvidia(
        "jetson", jetpack="6.2", tensorrt="10.3.0", power_mode="MAXN_SUPER", clocks="fixed",
        memory_bytes=7 * GIB, free_bytes=6 * GIB, swap_bytes=8 * GIB,
    )  # fmt: skip
    assert list(doctor.problems(well, root)) == []


def test_an_old_jetpack_and_an_absent_tensorrt(root: Path, installed: dict[str, str]) -> None:
    old = Nvidia("jetson", jetpack="5", memory_bytes=32 * GIB, free_bytes=30 * GIB)
    commands = [problem.command for problem in doctor.problems(old, root)]
    assert commands[:2] == ["sdkmanager --cli # flash 6.2", "sudo apt-get install nvidia-jetpack"]


def test_a_card_is_asked_through_nvidia_smi(tmp_path: Path, installed: dict[str, str]) -> None:
    found = doctor.examine(tmp_path, ask)
    assert (found.kind, found.device, found.sm, found.driver) == ("gpu", "NVIDIA GeForce RTX 4090", 89, "550.54.14")
    assert (found.cuda, found.memory_bytes) == ("13.0", 24564 * 2**20)
    commands = [problem.command for problem in doctor.problems(found, tmp_path)]
    assert "sudo apt-get install nvidia-driver-580" in commands


def test_without_a_gpu_there_are_no_problems(tmp_path: Path, installed: dict[str, str]) -> None:
    found = doctor.examine(tmp_path, silent)
    assert found == Nvidia("none")
    assert list(doctor.problems(found, tmp_path)) == []


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [("36.4.0", "6.1"), ("36.4.3", "6.2"), ("35.6.0", "5"), ("38.2.1", "7.0"), ("99.1", ""), ("", "")],
)
def test_releases(l4t: str, jetpack: str) -> None:
    assert doctor.jetpack(l4t) == jetpack


@pytest.mark.parametrize(
    "text", ["", "No devices were found\n", "NVIDIA-SMI has failed because it couldn't communicate"]
)
def test_what_nvidia_smi_says_without_a_gpu(text: str) -> None:
    assert doctor.smi(text) is None


def test_a_program_that_is_absent_says_nothing() -> None:
    assert doctor.ask("no-such-program-of-nvidia") == ""
    assert doctor.ask("false") == ""
