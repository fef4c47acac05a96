"""What the window offers while there is no backend."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QRegularExpressionValidator
from PySide6.QtWidgets import (
    QFormLayout,
    QFrame,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from opencode_sync import IpcConfig, IpcConfigError
from opencode_sync.config import MAX_PORT, MIN_PORT
from opencode_sync.desktop.actions import make_action
from opencode_sync.desktop.local_gateway import GatewayKind
from opencode_sync.desktop.plain import plain_label, wrapped_label

__all__ = ["FirstRun"]

_WIDTH = 560
_DIGITS = f"[0-9]{{0,{len(str(MAX_PORT))}}}"
_COMMAND = "opencode-sync gateway"


class FirstRun(QWidget):
    """Start a gateway here, or say where one is."""

    gateway_wanted = Signal(object)
    """A ``GatewayKind``."""

    address_wanted = Signal(object)
    """An ``IpcConfig``."""

    look_wanted = Signal()
    """Look again for a gateway that runs."""

    back_wanted = Signal()
    """Go back to the backend that is in use."""

    invalid = Signal()
    """An address was entered that is none; the page says why."""

    def __init__(
        self,
        port: int = 0,
        preferred: GatewayKind | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """Make the page.

        Args:
            port: What the address field begins with; 0 for nothing.
            preferred: The gateway that is offered first; None for OpenCode.
            parent: The Qt parent.
        """
        super().__init__(parent)
        self.setAccessibleName(self.tr("Choose a backend"))
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setAccessibleName(self.tr("Choose a backend"))
        self.heading = plain_label(self.tr("Choose a backend"))
        font = self.heading.font()
        font.setPointSizeF(font.pointSizeF() * 1.6)
        font.setBold(True)
        self.heading.setFont(font)
        self.reason = wrapped_label()
        self.opencode = QPushButton(self.tr("Start with OpenCode"))
        self.embedded = QPushButton(self.tr("Start without a model"))
        self.look = QPushButton(self.tr("Look again"))
        self.back = QPushButton(self.tr("Back"))
        self.port = QLineEdit()
        self.token = QLineEdit()
        self.connect_button = QPushButton(self.tr("Connect"))
        self.problem = wrapped_label()
        self.bar = QProgressBar()
        self._preferred = self.opencode
        self._moved: tuple[QWidget | None, QWidget | None] | None = None
        self._is_busy = self._has_back = False
        self.back_action = make_action(self, self.back.text(), self.back_wanted.emit, "Esc")
        self.look_action = make_action(self, self.look.text(), self.look_wanted.emit, "F5")
        self._prepare_fields(port)
        self.prefer(GatewayKind.OPENCODE if preferred is None else preferred)
        self._connect_buttons()
        self._lay_out()
        self.offer_back(False)
        self.set_busy(False)

    def _prepare_fields(self, port: int) -> None:
        # That it is complete is not for the validator to say: Enter would do nothing, unexplained.
        self.port.setValidator(QRegularExpressionValidator(_DIGITS, self.port))
        self.port.setInputMethodHints(Qt.InputMethodHint.ImhDigitsOnly)
        self.port.setPlaceholderText(self.tr("{0} to {1}").format(MIN_PORT, MAX_PORT))
        self.port.setText(str(port) if port else "")
        self.port.setAccessibleName(self.tr("Port"))
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setAccessibleName(self.tr("Token"))
        # It is nobody's to remember or to guess: no history, no dictionary, no automatic capital.
        self.token.setInputMethodHints(
            Qt.InputMethodHint.ImhHiddenText
            | Qt.InputMethodHint.ImhSensitiveData
            | Qt.InputMethodHint.ImhNoPredictiveText
            | Qt.InputMethodHint.ImhNoAutoUppercase
        )
        self.problem.hide()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(4)
        self.bar.setAccessibleName(self.tr("Connecting"))
        kept = self.bar.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(kept)
        self.opencode.setAccessibleDescription(
            self.tr("Uses the OpenCode server that runs, or starts one.")
        )
        self.embedded.setAccessibleDescription(
            self.tr("Keeps sessions in a file of this program; there is nobody to answer.")
        )

    @property
    def _buttons(self) -> tuple[QPushButton, ...]:
        """Those that begin something."""
        return (self.opencode, self.embedded, self.look, self.connect_button)

    def _connect_buttons(self) -> None:
        for button in (*self._buttons, self.back):
            button.setAutoDefault(True)  # so that Enter presses the one that has the keyboard
        self.opencode.clicked.connect(lambda: self.gateway_wanted.emit(GatewayKind.OPENCODE))
        self.embedded.clicked.connect(lambda: self.gateway_wanted.emit(GatewayKind.EMBEDDED))
        self.look.clicked.connect(self.look_wanted)
        self.back.clicked.connect(self.back_wanted)
        self.connect_button.clicked.connect(self._use_address)
        self.port.returnPressed.connect(self._use_address)
        self.token.returnPressed.connect(self._use_address)

    def _lay_out(self) -> None:
        body = QWidget()
        body.setMaximumWidth(_WIDTH)
        column = QVBoxLayout(body)
        column.setSpacing(12)
        column.addWidget(self.heading)
        column.addWidget(self.reason)
        column.addWidget(self.bar)
        start = QGroupBox(self.tr("Start a gateway that ends with this window"))
        choices = QVBoxLayout(start)
        for button, text in (
            (self.opencode, self.tr("Uses the OpenCode server that runs, or starts one.")),
            (
                self.embedded,
                self.tr("Keeps sessions in a file of this program; there is nobody to answer."),
            ),
        ):
            choices.addLayout(_choice(button, text))
        column.addWidget(start)
        address = QGroupBox(self.tr("Connect to a gateway on this machine"))
        form = QFormLayout(address)
        for name, field in ((self.tr("Port"), self.port), (self.tr("Token"), self.token)):
            label = plain_label(name)
            label.setBuddy(field)
            form.addRow(label, field)
        form.addRow(self.problem)
        form.addRow(plain_label(), _left(self.connect_button))
        column.addWidget(address)
        running = QGroupBox(self.tr("Or start one in a terminal"))
        column.addWidget(running)
        terminal = QVBoxLayout(running)
        terminal.addLayout(
            _choice(self.look, self.tr("Run this, then look again: {0}").format(_COMMAND))
        )
        column.addStretch()
        self.area.setWidget(_in_the_middle(body))
        foot = QWidget()
        foot.setMaximumWidth(_WIDTH)
        below = _left(self.back)
        foot.setLayout(below)
        margins = below.contentsMargins()
        margins.setTop(0)
        below.setContentsMargins(margins)
        page = QVBoxLayout(self)
        page.setContentsMargins(0, 0, 0, 0)
        page.setSpacing(0)
        page.addWidget(self.area, 1)
        page.addWidget(_in_the_middle(foot))  # where it is seen in a low window, too
        width = max(button.sizeHint().width() for button in self._buttons)
        for button in self._buttons:
            button.setMinimumWidth(width)

    def show_reason(self, text: str) -> None:
        """Say why this page is shown."""
        self.reason.setText(text)
        self.reason.setVisible(bool(text))

    def offer_back(self, offered: bool) -> None:
        """Offer the way back to the backend in use, if there is one, and else to look again by F5.

        Who has a backend may mean its list by F5, and not that another one be looked for.
        """
        self._has_back = offered
        self.back.setVisible(offered)
        self._update_actions()

    def _update_actions(self) -> None:
        self.back_action.setEnabled(self._has_back)
        self.look_action.setEnabled(not (self._has_back or self._is_busy))

    def prefer(self, kind: GatewayKind) -> None:
        """Offer one kind of gateway before the other: the one that was chosen last."""
        chosen = kind is GatewayKind.EMBEDDED
        self._preferred = self.embedded if chosen else self.opencode
        self.embedded.setDefault(chosen)
        self.opencode.setDefault(not chosen)

    def focus_first(self) -> None:
        """Give the keyboard to what is offered first."""
        self._preferred.setFocus()

    def set_busy(self, busy: bool) -> None:
        """Show that a wish is being fulfilled, or that it is not any more.

        Then the button that was pressed has the keyboard again: Qt gives it to the next widget when
        a button is disabled.
        """
        self._is_busy = busy
        self._update_actions()
        self.bar.setVisible(busy)
        pressed = self.focusWidget()
        for button in self._buttons:
            button.setEnabled(not busy)
        if busy:
            moved = self.focusWidget()
            self._moved = None if pressed is moved else (pressed, moved)
        elif self._moved is not None:
            before, after = self._moved
            self._moved = None
            if before is not None and self.focusWidget() is after:
                before.setFocus()

    def forget_token(self) -> None:
        """Empty the token's field."""
        self.token.clear()

    def _use_address(self) -> None:
        digits = self.port.text()
        if not digits:
            self._complain(self.tr("Enter the port that the gateway listens on."), self.port)
            return
        try:
            config = IpcConfig(int(digits), self.token.text())
        except IpcConfigError as error:
            wrong = self.port if error.field == "port" else self.token
            # The error has a parameter's name where the form has a label.
            text = error.message.replace(error.field or "", wrong.accessibleName(), 1)
            self._complain(text, wrong)
            return
        self.problem.hide()
        self.address_wanted.emit(config)

    def _complain(self, text: str, field: QLineEdit) -> None:
        self.problem.setText(text)
        self.problem.show()
        field.setFocus()
        self.invalid.emit()


def _in_the_middle(body: QWidget) -> QWidget:
    """Return a body with what it leaves of the width on both its sides."""
    outer = QWidget()
    row = QHBoxLayout(outer)
    row.setContentsMargins(9, 0, 9, 0)
    row.addStretch(1)
    row.addWidget(body, 100)
    row.addStretch(1)
    return outer


def _left(widget: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.addWidget(widget)
    row.addStretch()
    return row


def _choice(button: QPushButton, text: str) -> QHBoxLayout:
    label = wrapped_label(text)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    row = QHBoxLayout()
    row.addWidget(button)
    row.addWidget(label, 1)
    return row
