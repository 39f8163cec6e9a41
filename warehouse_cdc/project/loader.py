"""From a project file to a :class:`~warehouse_cdc.project.Project`: every problem of the file at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from warehouse_cdc.errors import CdcError, ConfigError
from warehouse_cdc.model import Model
from warehouse_cdc.project.destinations import (
    GROUP,
    OWN_TYPES,
    destination_class,
    destination_types,
    load_function,
)
from warehouse_cdc.project.document import Document, KeyPath, Problem, ProjectError, dotted, read_document
from warehouse_cdc.project.environment import Resolved
from warehouse_cdc.project.project import DeclaredSource, Project
from warehouse_cdc.sources import SOURCES, Database, source_of
from warehouse_cdc.sync import Sync
from warehouse_cdc.typed import Field, MismatchError, fields_of, fit, nearest

FILE_NAMES = ("warehouse_cdc.yaml", "warehouse_cdc.yml", "warehouse_cdc.toml")
_SECTIONS = ("sources", "models", "destinations", "syncs")
_DATABASE_FILE = re.compile(
    r"(?P<scheme>duckdb|sqlite)(?P<driver>\+\w+)?:///(?P<path>[^/:?][^?]*)(?P<rest>\?.*)?"
)
T = TypeVar("T")


def find_project(start: str | Path | None = None) -> Path:
    """The project file: the given one, or the one in the given (or the current) folder.

    Raises:
        ConfigError: There is none, or several.
    """
    path = Path(start) if start is not None else Path()
    if start is not None and not path.is_dir():
        return path
    found = [path / name for name in FILE_NAMES if (path / name).is_file()]
    where = "the current folder" if start is None else str(path)
    if not found:
        raise ConfigError(
            f"There is no project file in {where}.",
            code="project-file",
            hint="'warehouse-cdc init' writes one; -p names one elsewhere.",
        )
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise ConfigError(
            f"There are several project files in {where}: {names}.",
            code="project-file",
            hint="Keep one, or use -p.",
        )
    return found[0]


def load_project(path: str | Path | None = None, *, environ: Mapping[str, str] | None = None) -> Project:
    """Read, check and build a project.

    Args:
        path: The project file or its folder; the current folder by default.
        environ: Where ``${NAME}`` references are looked up; the process's environment by default.

    Returns:
        The project. Nothing is connected yet; the functions of ``python`` destinations are imported.

    Raises:
        ProjectError: The file can't be read or holds problems; it lists all of them with their lines.
        ConfigError: No project file was found.
    """
    file = find_project(path)
    document = read_document(file)
    resolved = Resolved(document, os.environ if environ is None else environ)
    loader = _Loader(document, resolved, Path(os.path.abspath(file)).parent)
    project = loader.build(file)
    if loader.problems:
        raise ProjectError(document.name, loader.problems) from loader.cause
    return project


class _Loader:
    """Builds the objects of one file and collects what is wrong."""

    def __init__(self, document: Document, resolved: Resolved, folder: Path) -> None:
        self.document = document
        self.resolved = resolved
        self.folder = folder
        self.problems = [*document.problems, *resolved.problems]
        self.cause: BaseException | None = None  # why a user's module can't be imported

    def build(self, file: Path) -> Project:
        """Everything that could be built; what could not is among the problems."""
        for key in self.resolved.data:
            if key not in _SECTIONS:
                self.report(
                    (key,), f"Unknown section {key!r}.", code="unknown-key", hint=nearest(key, _SECTIONS)
                )
        sources = self.section("sources", self.source)
        model_sources: dict[str, str] = {}
        models = self.section("models", lambda name, raw: self.model(name, raw, model_sources))
        destinations = self.section("destinations", self.destination)
        syncs = self.section("syncs", lambda name, raw: self.sync(name, raw, models, destinations))
        return Project(
            path=file,
            sources=sources,
            models=models,
            model_sources=model_sources,
            destinations=destinations,
            syncs=syncs,
        )

    def section(self, section: str, build: Callable[[str, dict[str, Any]], T | None]) -> dict[str, T]:
        """The objects of a section, by name."""
        content = self.resolved.data.get(section)
        if content is None:
            return {}
        if not isinstance(content, dict):
            self.report((section,), f"{section} must be a mapping of names to settings.", value=True)
            return {}
        built: dict[str, T] = {}
        for name, raw in content.items():
            if not isinstance(raw, dict):
                self.report((section, name), f"{section}.{name} must be a mapping of settings.", value=True)
            elif (made := build(name, raw)) is not None:
                built[name] = made
        return built

    def source(self, name: str, raw: dict[str, Any]) -> DeclaredSource | None:
        """One entry of ``sources``."""
        path = ("sources", name)
        settings = fields_of(DeclaredSource, without=["name", "target"])
        if "type" not in raw:
            values = self.checked(path, raw, {**settings, "url": Field(str, required=True)})
            if values is None:
                return None
            url = self.rooted_url(values.pop("url"))
            read_only = "state" in values and url.partition("://")[0].partition("+")[0] not in SOURCES
            target = self.attempt(
                path, raw, lambda: Database(url=url) if read_only else source_of(url), fallback="url"
            )
        else:
            kind = self.kind(path, raw, list(SOURCES))
            if kind is None:
                return None
            fields = fields_of(SOURCES[kind])
            # Athena has a state of its own, and isn't pulled from.
            settings = {name: each for name, each in settings.items() if name not in fields}
            own = self.checked(path, raw, {**settings, **fields, "type": Field(str)})
            if own is None:
                return None
            values = {key: value for key, value in own.items() if key in settings}
            own = {key: self.file(value, fields[key].hint) for key, value in own.items() if key in fields}
            target = self.attempt(path, raw, lambda: SOURCES[kind](**own))
        if target is None:
            return None
        if "state" in values:
            values["state"] = self.file(values["state"], settings["state"].hint)
        return self.attempt(path, raw, lambda: DeclaredSource(name=name, target=target, **values))

    def file(self, value: Any, hint: Any) -> Any:
        """A setting's value; a path is relative to the project file."""
        choices = get_args(hint)
        takes_paths = any(choice is PathLike or get_origin(choice) is PathLike for choice in choices)
        return self.rooted(value) if takes_paths and isinstance(value, str) else value

    def kind(self, path: KeyPath, raw: dict[str, Any], known: Sequence[str], others: str = "") -> str | None:
        """What an entry gives as its ``type``, if that is known; a hint says where ``others`` come from."""
        at, kind = (*path, "type"), raw.get("type")
        if at in self.resolved.failed:
            return None
        if not isinstance(kind, str):
            message = f"{dotted(at)} must be one of {', '.join(known)}."
            self.report(
                at, message, value="type" in raw, code="missing-key" if kind is None else "project-type"
            )
            return None
        if kind not in known:
            section = str(path[0])[:-1]
            message = f"{dotted(path)} has an unknown type{self.shown(at, kind)}."
            hint = f"{nearest(kind, known)} {others}".strip()
            self.report(at, message, value=True, code=f"{section}-type", hint=hint)
            return None
        return kind

    def model(self, name: str, raw: dict[str, Any], model_sources: dict[str, str]) -> Model | None:
        """One entry of ``models``; notes the model's source."""
        path = ("models", name)
        declared = self.names("sources")
        fields = fields_of(Model, without=["name"])
        fields["primary_key"] = Field(str | Sequence[str], required=True)
        fields["source"] = Field(str, required=len(declared) != 1)
        values = self.checked(path, raw, fields)
        if values is None:
            return None
        source = values.pop("source", None) or next(iter(declared), "")
        known = self.known(path, "source", source, declared)
        if values.get("file"):
            values["file"] = self.rooted(values["file"])
        made = self.attempt(path, raw, lambda: Model(name, **values))
        if made is None or not known:
            return None
        model_sources[name] = source
        return made

    def destination(self, name: str, raw: dict[str, Any]) -> Any:
        """One entry of ``destinations``."""
        path = ("destinations", name)
        given = raw.get("type")
        known = OWN_TYPES if given in OWN_TYPES else destination_types()  # which looks at every package
        others = f"A package with other types (entry points {GROUP}) must be installed in this environment."
        kind = self.kind(path, raw, known, others)
        if kind is None:
            return None
        options = {key: value for key, value in raw.items() if key != "type"}
        if kind == "python":
            reference = self.checked(path, options, {"function": Field(str, required=True)})
            if reference is None:
                return None
            function = reference["function"]
            return self.attempt(
                path,
                raw,
                lambda: self.imported(lambda: load_function(function, self.folder)),
                fallback="function",
            )
        made = self.attempt(
            path, raw, lambda: self.imported(lambda: destination_class(kind)), fallback="type"
        )
        if made is None:
            return None
        fields = fields_of(made)
        somewhere = kind == "sql_table"
        if somewhere:  # a URL, an engine or a connection, of which a file can only hold the first
            del fields["where"]
            fields["url"] = Field(str, required=True)
        values = self.checked(path, options, fields)
        if values is None:
            return None
        values = {key: self.file(value, fields[key].hint) for key, value in values.items()}
        if somewhere:
            values["where"] = self.rooted_url(values.pop("url"))

        def build() -> Any:
            try:
                return made(**values)
            except CdcError:
                raise
            except Exception as error:  # whatever a package's class does; what it says may hold a secret
                raise ConfigError(
                    f"The type {kind!r} refuses its arguments ({type(error).__name__}).",
                    code="destination-plugin",
                    hint="Make one in Python to see why.",
                ) from None

        return self.attempt(path, options, lambda: self.imported(build), fallback="url")

    def imported(self, load: Callable[[], T]) -> T:
        """What a module of the user's or of another package gives; notes why it can't."""
        try:
            return load()
        except ConfigError as error:
            self.cause = error.__cause__ or self.cause
            raise

    def sync(
        self, name: str, raw: dict[str, Any], models: Mapping[str, Model], destinations: Mapping[str, Any]
    ) -> Sync | None:
        """One entry of ``syncs``."""
        path = ("syncs", name)
        fields = fields_of(Sync, without=["id"])
        fields["model"] = fields["destination"] = Field(str, required=True)
        values = self.checked(path, raw, fields)
        if values is None:
            return None
        known = [
            self.known(path, key, values[key], self.names(f"{key}s")) for key in ("model", "destination")
        ]
        model, destination = models.get(values["model"]), destinations.get(values["destination"])
        if not all(known) or model is None or destination is None:
            return None  # what is wrong with the model or destination was reported there
        values = {key: self.file(value, fields[key].hint) for key, value in values.items()}
        values.update(model=model, destination=destination)
        return self.attempt(path, raw, lambda: Sync(id=name, **values))

    def checked(
        self, path: KeyPath, raw: dict[str, Any], fields: Mapping[str, Field]
    ) -> dict[str, Any] | None:
        """The values of an entry if its keys are known, none is missing and all are of the right type."""
        values: dict[str, Any] = {}
        before = len(self.problems)
        for key, value in raw.items():
            at = (*path, key)
            if key not in fields:
                hint = nearest(key, list(fields))
                self.report(at, f"Unknown key {key!r} in {dotted(path)}.", code="unknown-key", hint=hint)
                continue
            try:
                values[key] = fit(value, fields[key].hint, from_text=at in self.resolved.referring)
            except MismatchError as error:
                if at not in self.resolved.failed:
                    self.report(at, f"{dotted(at)} must be {error}.", value=True, code="project-type")
        for key, field in fields.items():
            if field.required and key not in raw:
                self.report(path, f"{dotted(path)} needs {key!r}.", code="missing-key")
        incomplete = any(failed[: len(path)] == path for failed in self.resolved.failed)
        return None if len(self.problems) > before or incomplete else values

    def attempt(
        self, path: KeyPath, raw: Mapping[str, Any], build: Callable[[], T], *, fallback: str = ""
    ) -> T | None:
        """Build an object; what its class refuses is reported at the key that the message names."""
        try:
            return build()
        except CdcError as error:
            key = _blamed(error.message, raw) or (fallback if fallback in raw else "")
            self.report(
                (*path, key) if key else path,
                self.resolved.hide(error.message),
                value=bool(key),
                code=error.code,
                hint=self.resolved.hide(error.hint),
            )
            return None

    def known(self, path: KeyPath, key: str, name: str, declared: Sequence[str]) -> bool:
        """Whether a reference to another section names something there."""
        if name in declared:
            return True
        at = (*path, key)
        message = f"{dotted(at)} names an unknown {key}{self.shown(at, name)}."
        hint = nearest(name, declared) or f"Declare it under {key}s."
        self.report(at, message, value=True, code=f"unknown-{key}", hint=hint)
        return False

    def names(self, section: str) -> list[str]:
        """The names that a section declares, whether or not they could be built."""
        content = self.resolved.data.get(section)
        return list(content) if isinstance(content, dict) else []

    def shown(self, path: KeyPath, value: str) -> str:
        """A value for a message, unless it came from the environment."""
        return "" if path in self.resolved.referring else f" {value!r}"

    def rooted(self, path: str) -> str:
        """A path relative to the project file as an absolute one."""
        return str(self.folder / Path(path).expanduser())

    def rooted_url(self, url: str) -> str:
        """The URL of a database file, relative to the project file, with an absolute path."""
        found = _DATABASE_FILE.fullmatch(url)
        if found is None or found["path"].startswith("md:") or Path(found["path"]).is_absolute():
            return url
        rooted = Path(self.rooted(found["path"])).as_posix()
        return f"{found['scheme']}{found['driver'] or ''}:///{rooted}{found['rest'] or ''}"

    def report(
        self, path: KeyPath, message: str, *, value: bool = False, code: str = "project-type", hint: str = ""
    ) -> None:
        """Note a problem at a key, or at its value."""
        line, column = self.document.at_value(path) if value else self.document.at_key(path)
        self.problems.append(Problem(message, line, column, code, hint))


def _blamed(message: str, raw: Mapping[str, Any]) -> str:
    """The key of an entry that a message is about: the first one that it mentions after the entry's name."""
    text = re.sub(r"^\w+ '.*?':? ", "", message)
    found = {key: re.search(rf"\b{re.escape(key).replace('_', '[_ ]')}\b", text, re.I) for key in raw}
    return (
        min((match.start(), key) for key, match in found.items() if match)[1] if any(found.values()) else ""
    )
