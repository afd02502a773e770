"""Where this user's own things are: configuration, and what was fetched once."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path:
    """The folder for what Antiphon keeps per user, such as model files; `ANTIPHON_HOME` when that is set."""
    moved = os.environ.get("ANTIPHON_HOME")
    if moved:
        return Path(moved).expanduser()
    from platformdirs import user_data_path

    return user_data_path("antiphon", appauthor=False)


def config_file() -> Path:
    """The user's configuration, which has the shape of a project's antiphon.yaml. It need not exist."""
    if os.environ.get("ANTIPHON_HOME"):
        return home_folder() / "config.yaml"
    from platformdirs import user_config_path

    return user_config_path("antiphon", appauthor=False) / "config.yaml"
