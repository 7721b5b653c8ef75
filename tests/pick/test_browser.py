"""The page in a real browser: a person clicks, looks, tracks and leaves with the command."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest
from helpers_pick import FRAMES, SIZE, Sitting

webdriver = pytest.importorskip(
    "selenium.webdriver", reason="selenium is not installed (pip install '.[test]')"
)
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="no chromium with its chromedriver here (Debian: apt-get install chromium chromium-driver)",
)


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(DRIVER))
    made.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    yield made
    made.quit()


class Page:
    """What a person does on the page, and what there is to see."""

    def __init__(self, driver: Any, sitting: Sitting, size: tuple[int, int] = (1280, 800)) -> None:
        self.driver, self.sitting = driver, sitting
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(sitting.server.address)
        self.until(lambda: f"{FRAMES} frames" in self.text("facts"))
        self.until(lambda: self.colour(SIZE[0] / 2, SIZE[1] / 2) != [0, 0, 0, 0])

    def until(self, wanted: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 20, 0.05).until(lambda _: wanted())

    def find(self, name: str) -> Any:
        return self.driver.find_element(By.ID, name)

    def text(self, name: str) -> str:
        return str(self.find(name).get_property("textContent"))

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def place(self, x: float, y: float) -> tuple[float, float]:
        """A place of the clip from the middle of the stage, in pixels of the screen."""
        stage = self.find("picture").rect
        scale = min(stage["width"] / SIZE[0], stage["height"] / SIZE[1])
        return (x - SIZE[0] / 2) * scale, (y - SIZE[1] / 2) * scale

    def click(self, x: int, y: int, shift: bool = False) -> None:
        chain = ActionChains(self.driver, duration=0)
        if shift:
            chain.key_down(Keys.SHIFT)
        chain.move_to_element_with_offset(
            self.find("picture"), *map(round, self.place(x + 0.5, y + 0.5))
        ).click()
        if shift:
            chain.key_up(Keys.SHIFT)
        chain.perform()

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        (x0, y0), (x1, y1) = (map(round, self.place(*place)) for place in (start, end))
        chain = ActionChains(self.driver, duration=10)
        chain.move_to_element_with_offset(self.find("picture"), x0, y0).click_and_hold()
        chain.move_by_offset(x1 - x0, y1 - y0).release().perform()

    def colour(self, x: float, y: float) -> list[int]:
        """What is drawn at a place of the clip."""
        script = """
            const canvas = document.getElementById("picture");
            const scale = Math.min(canvas.width / arguments[2], canvas.height / arguments[3]);
            const x = canvas.width / 2 + (arguments[0] - arguments[2] / 2) * scale;
            const y = canvas.height / 2 + (arguments[1] - arguments[3] / 2) * scale;
            return [...canvas.getContext("2d").getImageData(x - 1, y - 1, 1, 1).data];
        """
        return list(self.driver.execute_script(script, x, y, *SIZE))

    def command(self, *parts: str) -> str:
        """The command once it has all parts."""
        return str(
            self.until(lambda: (text := self.text("command")) and all(p in text for p in parts) and text)
        )

    def errors(self) -> list[str]:
        lines = self.driver.get_log("browser")
        return [line["message"] for line in lines if line["level"] == "SEVERE"]


@pytest.fixture
def page(driver: Any, sitting: Sitting) -> Iterator[Page]:
    driver.get("about:blank")
    driver.get_log("browser")  # what a page before this one said when its sitting ended
    made = Page(driver, sitting)
    yield made
    driver.get("about:blank")  # nothing may still be asking when the sitting ends
    assert made.errors() == []


def test_a_person_points_tracks_and_leaves_with_the_command(page: Page) -> None:
    plain = page.colour(2, 6)
    page.click(4, 8)
    page.command("--click 4,8@f0")
    page.until(lambda: page.colour(2, 6) != plain)  # the square is tinted
    page.click(60, 50, shift=True)
    page.command("--not 60,50@f0")
    page.press("b")
    page.drag((2, 2), (30, 20))
    assert (
        page.command("--box-prompt")
        == "vinpaint remove clip.mkv --click 4,8@f0 --not 60,50@f0 --box-prompt 2,2,28,18@f0"
    )
    page.press("z")
    page.until(lambda: "--box-prompt" not in page.text("command"))
    page.find("track").click()
    page.until(lambda: "of 10 frames. Look there" in page.text("sure"))
    page.press("u")
    page.until(lambda: not page.text("where").startswith("0 / 9"))
    page.until(lambda: page.colour(22, 6) != page.colour(60, 40))
    page.find("copy").click()
    page.until(lambda: page.text("say") == "Copied")
    read = (
        "const done = arguments[0]; navigator.clipboard.readText().then(done, (error) => done(String(error)))"
    )
    assert page.driver.execute_async_script(read) == "vinpaint remove clip.mkv --click 4,8@f0 --not 60,50@f0"
    page.find("done").click()
    page.until(lambda: page.find("over").is_displayed())
    assert page.text("last") == "vinpaint remove clip.mkv --click 4,8@f0 --not 60,50@f0"
    assert page.sitting.bench.ended.wait(5)


def test_keys_step_play_and_choose(page: Page) -> None:
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    page.until(lambda: page.text("where").startswith("1 / 9   0:00.040"))
    page.press(Keys.END)
    page.until(lambda: page.text("where").startswith("9 / 9"))
    page.press(Keys.HOME, " ")
    page.until(lambda: page.text("where").startswith("3 / 9"))
    page.press(" ")
    assert page.find("play").get_attribute("aria-pressed") == "false"
    page.press("n")
    page.click(4, 8)
    page.until(lambda: "only “not this”" in page.text("sure"))
    page.press("z", "c", Keys.HOME)
    page.until(lambda: page.text("where").startswith("0 / 9"))
    page.click(4, 8)
    page.command("--click 4,8@f0")
    page.find("another").click()
    page.click(50, 40)
    page.command("--click 2:50,40@f0")
    assert [
        " ".join(one.text.split()) for one in page.driver.find_elements(By.CSS_SELECTOR, ".object .name")
    ] == [
        "Object 1 1 mark on 1 frame",
        "Object 2 1 mark on 1 frame",
    ]
    page.press("1", "z", "z")
    page.until(lambda: page.text("command") == "")


def test_zoomed_in_a_click_still_means_the_pixel_under_it(page: Page) -> None:
    wheel = {"deltaY": -800, "clientX": 300, "clientY": 300, "bubbles": True, "cancelable": True}
    script = "document.getElementById('picture').dispatchEvent(new WheelEvent('wheel', arguments[0]))"
    page.driver.execute_script(script, wheel)
    page.until(lambda: page.text("zoom").endswith("×"))
    place = page.driver.execute_script(
        """const box = document.getElementById("picture").getBoundingClientRect();
        const scale = Math.min(box.width / arguments[0], box.height / arguments[1]);
        return [(300 - box.left - box.width / 2) / scale + arguments[0] / 2,
                (300 - box.top - box.height / 2) / scale + arguments[1] / 2];""",
        *SIZE,
    )
    ActionChains(page.driver, duration=0).move_by_offset(0, 0).perform()
    chain = ActionChains(page.driver, duration=0)
    chain.w3c_actions.pointer_action.move_to_location(300, 300)
    chain.click().perform()
    x, y = map(int, place)
    page.command(f"--click {x},{y}@f0")
    page.press("0")
    assert page.text("zoom") == ""


def test_a_wide_pixel_is_shown_wide_and_clicked_as_one(driver: Any, sit: Callable[..., Sitting]) -> None:
    page = Page(driver, sit(aspect=Fraction(2)))
    stage = page.find("picture").rect
    scale = min(stage["width"] / (2 * SIZE[0]), stage["height"] / SIZE[1])
    right, low = round((70.5 - SIZE[0] / 2) * 2 * scale), round((50.5 - SIZE[1] / 2) * scale)
    ActionChains(driver, duration=0).move_to_element_with_offset(
        page.find("picture"), right, low
    ).click().perform()
    page.command("--click 70,50@f0")


def test_masks_are_written_and_replaced_only_when_allowed(page: Page) -> None:
    page.click(4, 8)
    page.command("--click")
    page.press("t")
    page.until(lambda: page.find("write").is_enabled())
    page.sitting.output.write_bytes(b"mine")
    page.click(60, 9, shift=True)
    page.command("--not")
    page.press("t")  # the masks are old now, and the file is seen
    page.until(lambda: page.find("write").is_enabled())
    page.find("write").click()
    page.until(lambda: page.find("replace").is_displayed())
    page.driver.find_element(By.CSS_SELECTOR, "#replace button[value=no]").click()
    page.until(lambda: not page.find("replace").is_displayed())
    assert page.sitting.output.read_bytes() == b"mine"
    page.find("write").click()
    page.driver.find_element(By.CSS_SELECTOR, "#replace button[value=yes]").click()
    assert page.command("--mask").endswith(f"--mask {page.sitting.output}")
    assert page.sitting.output.stat().st_size > 100


def test_tracking_can_be_stopped(page: Page) -> None:
    page.click(4, 8)
    page.command("--click")
    page.sitting.finder.gate.clear()
    page.find("track").click()
    page.until(lambda: page.text("stage").startswith("tracking 0 of 10"))
    page.find("stop").click()
    page.sitting.finder.gate.set()
    page.until(lambda: page.find("track").is_displayed())
    assert page.sitting.bench.describe()["tracked"] is None


def test_everything_is_within_reach_on_a_narrow_screen(driver: Any, sitting: Sitting) -> None:
    page = Page(driver, sitting, (390, 800))
    page.click(4, 8)
    page.command("--click 4,8@f0")
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    assert wide <= 390
    for name in ("undo", "play", "scrubber", "track", "copy", "write", "done"):
        rect = page.find(name).rect
        assert rect["width"] > 0, name
        assert rect["x"] >= 0, name
        assert rect["x"] + rect["width"] <= 390, name


def test_everything_has_a_name(page: Page) -> None:
    page.click(4, 8)
    page.command("--click")
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ("button", "slider", "checkbox", "radio", "image", "progressbar", "textbox")
    named = [node for node in tree if node.get("role", {}).get("value") in roles and not node.get("ignored")]
    assert len(named) > 12
    nameless = [node for node in named if not node.get("name", {}).get("value", "").strip()]
    assert [(node["role"]["value"], node["backendDOMNodeId"]) for node in nameless] == []


def test_the_page_says_when_the_program_has_ended(driver: Any, sitting: Sitting) -> None:
    page = Page(driver, sitting)
    page.click(4, 8)
    page.command("--click")
    sitting.server.close()
    page.press("z")
    page.until(lambda: page.find("over").is_displayed())
    assert "has ended" in page.text("farewell")
    assert page.text("last") == "vinpaint remove clip.mkv --click 4,8@f0"
    driver.get_log("browser")  # the lost connection is in it
