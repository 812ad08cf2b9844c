from __future__ import annotations

from tests.api.conftest import w as w
