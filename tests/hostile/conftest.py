"""The hostile servers, once for all tests here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hostile.matrix import Servers, servers

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("hostile")) as running:
        yield running
