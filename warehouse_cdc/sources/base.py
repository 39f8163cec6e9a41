"""What every source has in common: how a warehouse is reached, without the driver that does it."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from warehouse_cdc.errors import ConfigError, UnsupportedError
from warehouse_cdc.typed import MismatchError, fields_of, fit, nearest

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from typing_extensions import Self

    from warehouse_cdc.warehouses.base import Connection


def secret(default: Any = None) -> Any:
    """A field that is never shown."""
    return field(default=default, repr=False)


def is_unicode(text: str) -> bool:
    """Whether a text can be sent as UTF-8; that of an environment variable in another encoding can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """How one kind of warehouse is reached: a subclass has a field for all that its driver must know.

    Attributes:
        schemes: Schemes of its URLs, which are also the values of ``type`` in a project file.
        example: A URL.
        dialect: The SQL that is spoken there.
        driver: The module that must be installed.
        extra: The extra of this package that installs it.
        path: The fields that the parts of a URL's path stand for.
        modules: The top-level modules of the connections that ``adopt`` takes.
        engine: The SQLAlchemy dialect of the engines that ``from_engine`` takes.
    """

    schemes: ClassVar[tuple[str, ...]]
    example: ClassVar[str]
    dialect: ClassVar[str]
    driver: ClassVar[str]
    extra: ClassVar[str]
    path: ClassVar[tuple[str, ...]] = ()
    modules: ClassVar[tuple[str, ...]] = ()
    engine: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Look whether plain values are what their fields take; objects are what they are.

        Raises:
            ConfigError: One isn't (code ``source-field``).
        """
        for name, known in fields_of(type(self)).items():
            value = getattr(self, name)
            try:
                if isinstance(value, str | int | float):
                    fit(value, known.hint)
            except MismatchError as error:
                raise self._refuse(f"{name} must be {error}.") from None
            texts = value.values() if isinstance(value, Mapping) else [value]
            if any(isinstance(text, str) and not is_unicode(text) for text in texts):
                raise self._refuse(f"{name} must be text without lone surrogates.", "Was it read as UTF-8?")
        port = getattr(self, "port", None)
        if port is not None and not 0 < port < 65_536:
            raise self._refuse("port must be between 1 and 65535.")

    @classmethod
    def from_url(cls, url: str, **more: Any) -> Self:
        """Read a URL: user, password, host and port, then fields in its path, and others by name.

        Args:
            url: The URL.
            more: Fields that a URL can't hold.

        Raises:
            ConfigError: It has a part that isn't known or can't be read, or lacks one (code ``connect-url``).
        """
        known = fields_of(cls)
        given: dict[str, Any] = {}
        try:
            parts = urlsplit(url)
            found = {"user": parts.username, "password": parts.password, "host": parts.hostname}
            given = {name: unquote(text) for name, text in found.items() if text}
            if parts.port is not None:
                given["port"] = str(parts.port)
        except ValueError:
            raise cls._unreadable("The URL can't be read.") from None
        folders = [unquote(part) for part in parts.path.split("/") if part]
        if len(folders) > len(cls.path):
            raise cls._unreadable("The URL's path has too many parts.")
        given |= dict(zip(cls.path, folders, strict=False))
        given |= dict(parse_qsl(parts.query, keep_blank_values=True))
        values = {}
        for name, text in given.items():
            if name not in known:
                # It isn't shown: it may be the rest of a secret in which & wasn't encoded.
                raise cls._unreadable(f"The URL has an unknown part. {nearest(name, list(known))}")
            try:
                values[name] = fit(text, known[name].hint, from_text=True)
            except MismatchError as error:
                raise cls._unreadable(f"The URL's {name} must be {error}.") from None
        missing = [name for name, each in known.items() if each.required and name not in {**values, **more}]
        if missing:
            raise cls._unreadable(f"The URL lacks {' and '.join(missing)}.")
        return cls(**values, **more)

    @classmethod
    def _unreadable(cls, message: str) -> ConfigError:
        return ConfigError(message, code="connect-url", hint=cls.example)

    def _refuse(self, message: str, hint: str = "") -> ConfigError:
        """The error of fields that don't go together; it names fields, never their values."""
        return ConfigError(f"{type(self).__name__}: {message}", code="source-field", hint=hint)

    @classmethod
    def from_engine(cls, engine: Engine) -> Connection:
        """A connection to where a SQLAlchemy engine connects."""
        return cls.from_url(engine.url.render_as_string(hide_password=False)).open()

    @classmethod
    def adopt(cls, connection: Any) -> Connection:
        """A connection of the driver's, which stays its owner's."""
        raise UnsupportedError(
            f"A {type(connection).__name__} can't be used.", code="connect-target", hint=cls.example
        )

    def open(self) -> Connection:
        """Connect.

        Raises:
            ConfigError: The driver isn't installed (code ``missing-extra``).
            ConnectionLostError: The warehouse can't be reached or refuses the sign-in.
        """
        self.need()
        try:
            return self._open()
        except ImportError as error:
            raise ConfigError(
                f"The driver {self.driver!r} can't be imported: {error}",
                code="missing-extra",
                hint=f"pip install 'warehouse-cdc[{self.extra}]'",
            ) from None

    @abstractmethod
    def _open(self) -> Connection:
        """Connect; the driver is there."""

    @classmethod
    def need(cls) -> None:
        """Look whether the driver is installed.

        Raises:
            ConfigError: It isn't (code ``missing-extra``).
        """
        try:
            found = importlib.util.find_spec(cls.driver)
        except ModuleNotFoundError:  # not even the package that it would be in
            found = None
        if found is None:
            raise ConfigError(
                f"The driver {cls.driver!r} isn't installed.",
                code="missing-extra",
                hint=f"pip install 'warehouse-cdc[{cls.extra}]'",
            )

    def given(self) -> Mapping[str, Any]:
        """The fields that aren't None."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}
