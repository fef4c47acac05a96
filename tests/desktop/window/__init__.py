import pytest

pytest.importorskip("PySide6.QtWidgets", reason="the extra desktop (PySide6) is not installed")
