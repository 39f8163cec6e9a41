"""The project file: sources, models, destinations and syncs declared in YAML or TOML.

``load_project`` reads ``warehouse_cdc.yaml`` (or ``.yml``, ``.toml``) and makes the same objects of it that
Python code would make. Relative paths in it are relative to the file.
"""

from __future__ import annotations

from warehouse_cdc.project.document import Problem, ProjectError
from warehouse_cdc.project.loader import find_project, load_project
from warehouse_cdc.project.project import DeclaredSource, Project

__all__ = ["DeclaredSource", "Problem", "Project", "ProjectError", "find_project", "load_project"]
