"""The oracle's visibility: the users who see a record, by which paths, at which level (V1 to V4, V6, V7, V10, V11)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .oracle_criteria import criteria_holds, setting_of
from .oracle_forecast import compared_fields
from .oracle_records import Record
from .oracle_tree import (
    Model,
    ancestors_of,
    effective_manager_of,
    entries,
    is_active,
    members_of,
    members_of_group,
    owners_of,
    path_of,
)

Level = Literal["read", "edit"]
Path = tuple[str, Level]


def viewers_of(record: Record, territories: Sequence[str], model: Model) -> dict[str, Level]:
    """Return everyone who sees a live record, administrators included, with the level (V1, V3).

    `territories` are those that hold the record. Of several paths the highest level counts.
    """
    levels: dict[str, Level] = {}
    for user in entries(model, "users"):
        by_path = {level for _path, level in paths_of(user, record, territories, model)}
        if by_path:
            levels[user] = "edit" if "edit" in by_path else "read"
    return levels


def admins_of(model: Model) -> set[str]:
    """Return the active administrators, who see and edit everything (V1, V7)."""
    return {user for user in entries(model, "users") if is_admin(user, model)}


def is_admin(user: str, model: Model) -> bool:
    """Return whether the user is an active administrator (V1, V7)."""
    return is_active(user, model) and bool(entries(model, "users")[user].get("admin", False))


def paths_of(user: str, record: Record, territories: Sequence[str], model: Model) -> set[Path]:
    """Return every path by which a user sees a record, each with its level (V1, V3, V4, V6, V10, V11).

    A path is named `owner`, `group:<owning group>`, `role`, `admin`, `manager:<holding territory>`,
    `member:<holding territory>`, `above:<member>:<holding territory>` or `sharing:<rule>`.
    """
    if not is_active(user, model):
        return set()
    paths: set[Path] = set()
    if user == record.owner_id:
        paths.add(("owner", "edit"))
    owners = owners_of(model, record.owner_id)
    if user in owners and user != record.owner_id:
        paths.add((f"group:{record.owner_id}", "edit"))
    if any(_is_role_superior(user, owner, model) for owner in owners):
        paths.add(("role", "edit"))
    if is_admin(user, model):
        paths.add(("admin", "edit"))
    for holding in territories:
        paths |= _paths_by_territory(user, record.object, holding, model)
        paths |= _paths_rolled_up(user, record.object, holding, model)
    for rule in model.get("sharing") or []:
        if user in _audience_of(rule["to"], model) and _is_shared(record, rule, model):
            paths.add((f"sharing:{rule['id']}", rule.get("level", "read")))
    return paths


def _is_role_superior(user: str, owner: str, model: Model) -> bool:
    """Return whether the user's role is strictly above the role of an owner or member (V1, V2)."""
    users = entries(model, "users")
    return users[user]["role"] in ancestors_of(model, "roles", users[owner]["role"])


def _paths_by_territory(user: str, kind: str, holding: str, model: Model) -> set[Path]:
    """Return a user's paths through a territory that holds the record, and through its ancestors (V1).

    Effective managers edit. A member has the level that the holding territory gives, also a member
    of a territory above it (V3). The level may differ by object (V11).
    """
    paths: set[Path] = set()
    permission = entries(model, "territories")[holding].get("permission", "read_only")
    if isinstance(permission, Mapping):
        permission = permission.get(kind, "read_only")
    for territory in path_of(model, holding):
        if user == effective_manager_of(model, territory):
            paths.add((f"manager:{holding}", "edit"))
        if user in members_of(model, territory):
            level: Level = "edit" if permission == "read_write_delete" else "read"
            paths.add((f"member:{holding}", level))
    return paths


def _paths_rolled_up(user: str, kind: str, holding: str, model: Model) -> set[Path]:
    """Return the paths that roll up to a user from members with roles below, if the setting is on (V4).

    A deactivated member sees nothing (V7), so nothing rolls up from one.
    """
    if not (model.get("settings") or {}).get("territory_access_rolls_up_roles", False):
        return set()
    return {
        (f"above:{member}:{holding}", level)
        for member in entries(model, "users")
        if is_active(member, model) and _is_role_superior(user, member, model)
        for _, level in _paths_by_territory(member, kind, holding, model)
    }


def _is_shared(record: Record, rule: Mapping[str, Any], model: Model) -> bool:
    """Return whether a sharing rule's criteria hold for a record (V6)."""
    if rule["object"] != record.object:
        return False
    field_types = (model.get("fields") or {}).get(record.object) or {}
    return criteria_holds(rule["criteria"], compared_fields(record, field_types, model), field_types, setting_of(model))


def _audience_of(to: Mapping[str, str], model: Model) -> set[str]:
    """Return the users in a sharing rule's audience (V6)."""
    ((kind, target),) = to.items()
    match kind:
        case "user":
            return {target}
        case "group":
            return members_of_group(model, target)
        case "role":
            return _users_of({target}, model)
        case "role_and_below":
            return _users_of(_with_those_below(target, "roles", model), model)
        case "territory":
            return members_of(model, target)
        case "territory_and_below":
            below = _with_those_below(target, "territories", model)
            return {member for territory in below for member in members_of(model, territory)}
    raise ValueError(f"target {kind!r}: expected a user, a group, a role or a territory")


def _users_of(roles: set[str], model: Model) -> set[str]:
    return {user for user, entry in entries(model, "users").items() if entry["role"] in roles}


def _with_those_below(top: str, kind: str, model: Model) -> set[str]:
    return {each for each in entries(model, kind) if each == top or top in ancestors_of(model, kind, each)}
