"""The page in a real browser: it opens without a fault, asks no network, sorts, filters, says what is not reported."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codi_export.profile.page import page, write
from codi_export.profile.result import Node, Result
from tests.profile import browser
from tests.profile.results import a_result

NODES = (
    Node("decode/vae.conv/conv2d_1", "Conv", "decode/vae", (1, 3, 256, 256), 9.0, 10**9, 10**6, 4.5, 0.5),
    Node("step1/unet.attn/softmax", "Softmax", "step1", (1, 4, 64, 64), 2.0, 0, 10**5, 0.2, 0.1),
    Node("step1/unet.proj/matmul", "MatMul", "step1", (1, 64, 32), 4.0, 10**7, 10**5, 3.6, 0.9),
    Node("ReorderInput", "ReorderInput", "unattributed", (1, 8, 64, 64), 1.0, None, None, None, None),
)
ROWS = "[...document.querySelectorAll('#nodes tbody tr')].map((row) => row.cells[3].textContent)"
PRESS = "const press = (key) => document.querySelector(`#nodes th[data-key=${key}] button`).click();"


@pytest.fixture
def result() -> Result:
    breakdown = a_result().breakdown
    assert breakdown is not None
    inside = dataclasses.replace(breakdown, nodes=NODES, peak_flops_per_s=2e11, peak_bytes_per_s=1e10)
    return a_result(times=tuple(12 + k % 5 for k in range(40)), breakdown=inside)


def test_it_opens_without_a_fault_and_sorts(result: Result, tmp_path: Path) -> None:
    script = f"""{PRESS} const rows = () => {ROWS}; const orders = {{ start: rows() }};
    for (const key of ["name", "ms", "flops", "roofline_share", "shape"]) {{ press(key); orders[key] = rows(); }}
    press("ms"); press("ms"); orders.again = rows();
    const sorted = document.querySelector("#nodes th[aria-sort]");
    return {{ orders, sorted: [sorted.dataset.key, sorted.getAttribute("aria-sort")] }};"""
    told = browser.found(page([result]), script, tmp_path)
    assert told["faults"] == []
    conv, softmax, matmul, reorder = (node.name for node in NODES)
    orders = told["orders"]
    assert orders["start"] == [conv, matmul, softmax, reorder] == orders["ms"]
    assert orders["name"] == [conv, reorder, softmax, matmul]  # as words are sorted: decode, Reorder, step
    assert orders["flops"] == [conv, matmul, softmax, reorder], "what is not reported comes last"
    assert orders["roofline_share"] == [matmul, conv, softmax, reorder]
    assert orders["shape"][0] == conv and orders["again"] == [reorder, softmax, matmul, conv]
    assert told["sorted"] == ["ms", "ascending"]


def test_it_filters_by_words_and_by_stage(result: Result, tmp_path: Path) -> None:
    script = f"""const rows = () => {ROWS}, filter = document.getElementById("filter");
    const type = (text) => {{ filter.value = text; filter.dispatchEvent(new Event("input")); return rows(); }};
    const found = {{ word: type("UNET"), two: type("unet matmul"), shape: type("256x256"), none: type("gemm") }};
    found.all = type("");
    const pick = document.querySelector("select");
    pick.value = "step1"; pick.dispatchEvent(new Event("change"));
    return {{ ...found, stage: rows(), status: document.querySelector("[role=status]").textContent }};"""
    told = browser.found(page([result]), script, tmp_path)
    conv, softmax, matmul, _ = (node.name for node in NODES)
    assert told["faults"] == []
    assert (told["word"], told["two"], told["shape"]) == ([matmul, softmax], [matmul], [conv])
    assert told["none"] == [] and len(told["all"]) == 4
    assert told["stage"] == [matmul, softmax] and told["status"].startswith("2 of 4 nodes, 6.00 ms")


def test_every_section_is_there_and_reached_by_keyboard(result: Result, tmp_path: Path) -> None:
    script = """const names = [...document.querySelectorAll("section")].map((one) => one.getAttribute("aria-label"));
    const controls = [...document.querySelectorAll("button, input, select, [tabindex]")];
    const reached = controls.length > 10 && controls.every((one) => one.tabIndex >= 0);
    const images = [...document.querySelectorAll("svg[role=img]")].every((one) => one.getAttribute("aria-label"));
    const wide = document.documentElement.scrollWidth - innerWidth;
    return { names, reached, images, wide, text: document.body.innerText };"""
    told = browser.found(page([result]), script, tmp_path, "--window-size=500,900")
    assert told["faults"] == [] and told["reached"] and told["images"]
    assert told["wide"] <= 0, "the page itself never scrolls sideways"
    parts = {"Latency", "Over time", "Stages", "Timeline of one call", "Nodes", "Roofline", "Memory over time"}
    assert parts <= set(told["names"])
    assert "unattributed" in told["text"] and "not reported" in told["text"]
    assert "1 of 10 frames missed" in told["text"]


def test_results_are_compared_and_chosen(result: Result, tmp_path: Path) -> None:
    slower = dataclasses.replace(
        a_result(times=tuple(24.0 + k % 5 for k in range(40))), marks=("partial: stopped before all was measured",)
    )
    script = """const table = document.querySelector("section[aria-label=Comparison] table").innerText;
    const before = document.querySelector(".marks");
    document.querySelectorAll("nav button")[1].click();
    return { table, before: before && before.innerText, after: document.querySelector(".marks .bad").innerText,
      pressed: [...document.querySelectorAll("nav button")].map((one) => one.getAttribute("aria-pressed")) };"""
    told = browser.found(page([result, slower]), script, tmp_path)
    assert told["faults"] == [] and told["pressed"] == ["false", "true"]
    assert "+85.7 %" in told["table"] and told["before"] is None and told["after"].startswith("partial")


def test_a_result_with_nothing_in_it_still_opens(tmp_path: Path) -> None:
    nothing = {
        "runs": (), "readings": (), "breakdown": None, "stream": None, "energy": None, "drift": None, "histogram": None,
        "end_to_end_ms": None, "engine_ms": None, "images_per_s": None, "cold_load_ms": None, "first_ms": None,
        "peak_rss_bytes": None,
    }  # fmt: skip
    told = browser.found(page([a_result(**nothing)]), "return { text: document.body.innerText };", tmp_path)
    assert told["faults"] == [] and "Not one iteration was timed" in told["text"]


def test_names_cannot_leave_the_data(tmp_path: Path) -> None:
    name = "</script><script>faults.push('ran')</script><b>"
    hostile = dataclasses.replace(a_result().subject, name=name, graph="<i>")
    told = browser.found(page([a_result(subject=hostile)]), "return { title: document.title };", tmp_path)
    assert told["faults"] == [] and told["title"] == "<i> profile"


def test_a_fault_would_be_noticed(tmp_path: Path) -> None:
    asking = "new Image().src = 'https://example.org/x.png'; console.error('oh'); return {};"
    assert browser.found(page([a_result()]), asking, tmp_path)["faults"] == ["oh", "request: https://example.org/x.png"]


def test_it_names_no_other_place(result: Result) -> None:
    text = page([result]).replace("http://www.w3.org/2000/svg", "")  # the name of a language, never fetched
    assert "://" not in text and "@import" not in text and "url(" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark(dark: bool, result: Result, tmp_path: Path) -> None:
    flags = ["--blink-settings=preferredColorScheme=0"] if dark else []
    browser.screenshot(page([result]), tmp_path / "shot.png", 600, 400, *flags)
    with Image.open(tmp_path / "shot.png") as picture:
        ground = np.asarray(picture.convert("L"))[:20].mean()
    assert ground < 60 if dark else ground > 220


def test_it_is_written_whole(result: Result, tmp_path: Path) -> None:
    write([result], tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == page([result])
