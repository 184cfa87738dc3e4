"""Keep compiled templates for all processes of the tests: compiling them takes most of a server's start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any, ClassVar

from flask.sansio.app import App
from jinja2 import BaseLoader, Environment, FileSystemBytecodeCache
from jinja2.bccache import Bucket

from dashboard.web.http.templating import TemplateEnvironment

FOLDER = Path(__file__).parent.parent / "var" / "templates"


class _CompiledTemplates(FileSystemBytecodeCache):
    """A cache in files, which a change of a template makes invalid, and in this process's memory."""

    def __init__(self) -> None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        super().__init__(str(FOLDER))
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))
        if bucket.code is None:
            super().load_bytecode(bucket)
            self._keep(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        super().dump_bytecode(bucket)
        self._keep(bucket)

    def _keep(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._codes[bucket.key, bucket.checksum] = bucket.code


class _KeptSources(BaseLoader):
    """The sources of templates in this process's memory, until their files change."""

    sources: ClassVar[dict[str, tuple[str, str | None, Callable[[], bool] | None]]] = {}

    def __init__(self, loader: BaseLoader) -> None:
        self._loader = loader

    def get_source(self, environment: Environment, template: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        kept = self.sources.get(template)
        if kept is None or kept[2] is None or not kept[2]():
            kept = self.sources[template] = self._loader.get_source(environment, template)
        return kept

    def list_templates(self) -> list[str]:
        return self._loader.list_templates()


def install() -> None:
    """Have every application that this process makes use the compiled templates."""
    make = TemplateEnvironment.__init__
    compiled = _CompiledTemplates()

    def make_with_compiled(self: TemplateEnvironment, app: App, **options: Any) -> None:
        make(self, app, bytecode_cache=compiled, **options)
        assert self.loader is not None
        self.loader = _KeptSources(self.loader)

    TemplateEnvironment.__init__ = make_with_compiled  # type: ignore[method-assign]
