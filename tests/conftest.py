"""Fixtures that several test modules share."""

import os
from pathlib import Path

import pytest
import small_site


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the public data files; tests that need it are skipped where it is absent."""
    named = os.environ.get("BRAINALIGN_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("BRAINALIGN_DATA does not name a folder with the public data files")
    return Path(named)


@pytest.fixture(scope="session")
def small_website(tmp_path_factory) -> Path:
    """Folder of a small built website, see `small_site`."""
    folder = small_site.make_project(tmp_path_factory.mktemp("website"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("BRAINALIGN_CACHE", str(folder / ".cache"))
        return small_site.build()


@pytest.fixture(autouse=True)
def no_data_unasked(request, monkeypatch, tmp_path_factory):
    """Hide data files that happen to be on this machine from tests that do not ask for them."""
    if "real_data" not in request.fixturenames:
        monkeypatch.delenv("BRAINALIGN_DATA", raising=False)
        monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path_factory.getbasetemp() / "none")
