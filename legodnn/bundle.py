"""A bundle: a workload in one folder with its stores and profiles, as an app carries it.

    workload.json                  what is asked, as JSON; places are relative to this file
    stores/faces/                  each store once, however many models are of it
    profiles/faces.profile.json    one for each model

Android's library reads it (`org.legodnn.Workload`), and so does `legodnn.workload.load_workload`: by profiles that the
app has measured, what is planned on the workstation is what is planned in the app. Profiles of the Python package may
say more than Android's library uses: what options share of their memory, and what they take in compact models.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from legodnn.errors import StoreError, WriteError
from legodnn.files import new_folder, safe_file_names, write_atomic
from legodnn.manifest import MANIFEST
from legodnn.profile import Profile
from legodnn.store import Store
from legodnn.workload import WORKLOAD_VERSION, Workload, load_workload

WORKLOAD_FILE = "workload.json"
_log = logging.getLogger(__name__)


def write_bundle(workload: Workload, out: Path) -> Workload:
    """Copy a workload with its stores and profiles into one folder, which appears whole or not at all.

    Args:
        workload: the models; each needs a profile.
        out: the new folder, which must not exist.

    Returns:
        The workload of the bundle, as `load_workload` reads it of `out / "workload.json"`.

    Raises:
        StoreError: a store is damaged.
        ProfileError: a profile is missing, damaged, or of another store.
        WriteError: there is something at `out`, or it cannot be written.
    """
    if out.exists():
        raise WriteError(f"{out} exists; name another folder, or remove it")
    opened = []
    for model in workload.models:
        store, profile = Store(model.store), Profile.load(model.profile_path)
        profile.check_store(store)
        opened.append((store, profile))
    places: dict[str, str] = {}
    models = []
    try:
        with new_folder(out) as folder:
            names = safe_file_names([model.name for model in workload.models])
            for model, name, (store, profile) in zip(workload.models, names, opened, strict=True):
                if store.id not in places:
                    places[store.id] = f"stores/{name}"
                    _copy(store, folder / places[store.id])
                where = f"profiles/{name}.profile.json"
                profile.save(folder / where)
                models.append(model.model_copy(update={"store": places[store.id], "profile": where}))
            write_atomic(folder / WORKLOAD_FILE, workload_text(workload.model_copy(update={"models": tuple(models)})))
    except FileExistsError as e:
        raise WriteError(f"{e}; name another folder, or remove it") from None
    if streamed := [model.name for model in workload.models if model.streaming]:
        _log.warning("%s may be streamed, so Android's library refuses this workload", ", ".join(streamed))
    if compact := [model.name for model, (_, profile) in zip(workload.models, opened, strict=True) if profile.compact]:
        _log.warning(
            "%s may be planned compact here, but not by Android's library: its plans take more memory; "
            "profile without --compact to see them",
            ", ".join(compact),
        )
    return load_workload(out / WORKLOAD_FILE)


def workload_text(workload: Workload) -> str:
    """Return the JSON text of a workload: the fields of its TOML file, and the defaults that it leaves out."""
    document = {"schema": WORKLOAD_VERSION, **workload.model_dump(mode="json", exclude_none=True)}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _copy(store: Store, folder: Path) -> None:
    """Copy a store, without whatever else lies in its folder.

    Raises:
        StoreError: it was altered meanwhile.
        WriteError: the disk is full.
    """
    for file in (MANIFEST, *(option.file for segment in store.manifest.segments for option in segment.options)):
        try:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(store.path / file, folder / file)
        except OSError as e:
            raise WriteError(f"cannot copy {store.path / file} to {folder}: {e.strerror or e}") from None
    if Store(folder).id != store.id:
        raise StoreError(f"{store.path} was altered while it was copied; try it again")
