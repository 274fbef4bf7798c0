# SPDX-License-Identifier: GPL-2.0-or-later
"""The pages of hgweb in a real browser.

One Chromium loads them in every style, in a wide and in a narrow window, under a
strict Content-Security-Policy. Nothing may be wider than the window, the browser
may report no error, and every picture has to be visible.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from conftest import PATIENCE, ROOT, accepts, free_port, wait_for

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = pytest.mark.needs('chromium')

STYLES = ('paper', 'coal', 'gitweb', 'monoblue', 'spartan')
WIDTHS = (1100, 400)

# What of each page has to be seen, and how many pictures it has at least.
PAGES = {
    'assets/storage': ('Biggest paths', 4),
    'assets/lfs': ('models/car.bin', 2),
    'storage': ('All repositories', 0),
}

HGRC = """\
[extensions]
lfs =
lfsserver =
sqlitestore =
wireprotov2 =
[storage]
new-repo-backend = sqlite
[lfs]
track = size(">1KB")
usercache = {folder}/cache
[lfsserver]
quota = 1MB
[ui]
username = test
[web]
allow-push = *
push_ssl = no
csp = default-src 'none'; script-src 'self'; img-src 'self'; style-src 'self' 'nonce-%nonce%'
"""

# What makes pages wide: long names without a place to break them.
LONG = 'source/' + 'a_very_long_name' * 8 + '.py'

PROFILE = (
    'disable-background-networking',
    'disable-component-update',
    'disable-gpu',
    'disable-quic',
    'disable-sync',
    'headless',
    'no-first-run',
)


@dataclass(frozen=True)
class Served:
    """A server of the repository "assets", at ``url``."""

    url: str
    repository: pathlib.Path
    environment: dict[str, str]

    def hg(self, *words: str) -> None:
        hg = str(pathlib.Path(sys.executable).with_name('hg'))
        command = [hg, '-R', str(self.repository), *words]
        subprocess.check_call(command, env=self.environment)


def fill(served: Served) -> None:
    """Commit files with history of some years, and large ones."""
    for path, text in (
        (LONG, 'line\n' * 9),
        ('<script>alert(1).html', 'x'),
        ('models/car.bin', 'm' * 9000),
        ('models/bus.bin', 'b' * 99000),
        ('sound.bin', 's' * 5000),
    ):
        file = served.repository / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    served.hg('commit', '-qAm', '0', '-d', '1500000000 0')
    (served.repository / LONG).write_text('line\n' * 99)
    served.hg('commit', '-qm', '1', '-d', '1700000000 0')
    served.hg('phase', '--public', 'tip')
    served.hg('admin::sqlite-repack', '-q')


@pytest.fixture(scope='module')
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp('pages')
    hgrc, repository = folder / 'hgrc', folder / 'assets'
    hgrc.write_text(HGRC.format(folder=folder))
    (folder / 'web.conf').write_text(f'[paths]\nassets = {repository}\n')
    environment = dict(
        os.environ, HGRCPATH=str(hgrc), PYTHONPATH=str(ROOT), HGPLAIN='1'
    )
    port = free_port()
    served = Served(f'http://localhost:{port}/', repository, environment)
    hg = str(pathlib.Path(sys.executable).with_name('hg'))
    subprocess.check_call([hg, 'init', str(repository)], env=environment)
    fill(served)
    command = [hg, 'serve', '-p', str(port), '--web-conf', 'web.conf']
    process = subprocess.Popen(
        [*command, '-A', 'access.log'], cwd=folder, env=environment
    )
    try:
        wait_for(lambda: accepts(port), 'hg serve', process)
        yield served
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope='module')
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which('chromium'))
    for name in PROFILE:
        options.add_argument(f'--{name}')
    if os.getuid() == 0:
        options.add_argument('--no-sandbox')
    profile = tmp_path_factory.mktemp('chromium')
    options.add_argument(f'--user-data-dir={profile}')
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    driver = webdriver.Chrome(options, Service(shutil.which('chromedriver')))
    driver.set_page_load_timeout(PATIENCE)
    try:
        yield driver
    finally:
        driver.quit()


def resize(browser: WebDriver, width: int) -> None:
    """Give the window a width; headless ones may be narrower than others."""
    browser.execute_cdp_cmd(
        'Emulation.setDeviceMetricsOverride',
        {
            'width': width,
            'height': 800,
            'deviceScaleFactor': 1,
            'mobile': False,
        },
    )


def messages(browser: WebDriver) -> list[dict[str, Any]]:
    """Return what the browser reported since the last call."""
    log: Any = browser
    found: list[dict[str, Any]] = log.get_log('browser')
    return found


MEASURE = """
    return {
        width: document.documentElement.scrollWidth,
        window: window.innerWidth,
        radius: getComputedStyle(
            document.querySelector('.am-fact')).borderTopLeftRadius,
        charts: Array.from(
            document.querySelectorAll('.am-chart > svg'),
            chart => chart.getBoundingClientRect().width > 200
                && chart.getBoundingClientRect().height > 30
                && chart.checkVisibility()
                && chart.querySelectorAll('rect, path').length > 1),
        text: document.body.innerText,
        scripts: document.querySelectorAll('.amalgam script').length,
    };
"""


@pytest.mark.parametrize('page', PAGES)
@pytest.mark.parametrize('style', STYLES)
def test_a_page_fits_into_wide_and_narrow_windows(
    served: Served, browser: WebDriver, page: str, style: str
) -> None:
    text, charts = PAGES[page]
    if page == 'assets/lfs':
        lock(served, 'models/car.bin')
    browser.get(f'{served.url}{page}?style={style}')
    for width in WIDTHS:
        resize(browser, width)
        found: dict[str, Any] = browser.execute_script(MEASURE)
        assert found['window'] == width
        assert found['width'] <= width
        # The styles of the page are applied.
        assert found['radius'] == '4px'
        assert text in found['text']
        assert len(found['charts']) >= charts
        assert all(found['charts'])
        assert not found['scripts']
    assert messages(browser) == []


@pytest.mark.parametrize('style', STYLES)
def test_the_navigation_of_other_pages_leads_to_the_pages(
    served: Served, browser: WebDriver, style: str
) -> None:
    from selenium.webdriver.common.by import By

    browser.get(f'{served.url}assets/tags?style={style}')
    for label, address in (('storage', 'storage'), ('large files', 'lfs')):
        link = browser.find_element(By.LINK_TEXT, label)
        assert link.is_displayed()
        assert link.get_attribute('href') == (
            f'{served.url}assets/{address}?style={style}'
        )
    # Mercurial's own pages may break the policy.
    messages(browser)


def test_the_button_unlocks_a_file(served: Served, browser: WebDriver) -> None:
    from selenium.webdriver.common.by import By

    clear(served)
    for path in ('one.bin', 'two.bin'):
        lock(served, path)
    browser.get(f'{served.url}assets/lfs')
    buttons = browser.find_elements(
        By.CSS_SELECTOR, '.am-form input[type=submit]'
    )
    assert [button.get_attribute('value') for button in buttons] == (
        ['unlock', 'unlock']
    )
    buttons[0].click()
    assert browser.current_url == f'{served.url}assets/lfs'
    text = browser.find_element(By.TAG_NAME, 'body').text
    assert 'one.bin' not in text
    assert 'two.bin' in text
    assert locked(served) == ['two.bin']
    assert messages(browser) == []


def test_the_page_of_another_site_cannot_unlock_even_with_a_token(
    served: Served, browser: WebDriver, tmp_path: pathlib.Path
) -> None:
    from selenium.webdriver.common.by import By

    clear(served)
    lock(served, 'one.bin')
    browser.get(f'{served.url}assets/lfs')
    fields = [
        f'<input name="{field.get_attribute("name")}"'
        f' value="{field.get_attribute("value")}">'
        for field in browser.find_elements(By.CSS_SELECTOR, '.am-form input')
        if field.get_attribute('type') == 'hidden'
    ]
    assert len(fields) == 2
    attack = tmp_path / 'attack.html'
    attack.write_text(
        f'<form method="post" action="{served.url}assets/lfs">'
        + ''.join(fields)
        + '<input type="submit" id="go"></form>'
    )
    browser.get(attack.as_uri())
    browser.find_element(By.ID, 'go').click()
    assert 'another site has made this request' in browser.page_source
    assert locked(served) == ['one.bin']


def store(served: Served) -> Any:
    from hgext3rd.lfsserver.stores.locks import LockStore

    folder = served.repository / '.hg/store/lfs'
    folder.mkdir(exist_ok=True)
    return LockStore(str(folder / 'locks.sqlite'))


def lock(served: Served, path: str) -> None:
    if path not in locked(served):
        store(served).create(path, None, 'alice', 1.7e9)


def locked(served: Served) -> list[str]:
    return [lock.path for lock in store(served).page().locks]


def clear(served: Served) -> None:
    for found in store(served).page().locks:
        store(served).delete(found.id, found.owner, force=True)
