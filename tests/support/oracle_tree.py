"""The oracle's access to a model document: entries by id, ancestors, members, groups."""

from collections.abc import Mapping
from typing import Any

Model = Mapping[str, Any]
"""A model document, as an administrator writes it."""


def entries(model: Model, kind: str) -> dict[str, Mapping[str, Any]]:
    """Return one kind of a model's entries (`territories`, `users`, `roles`, `groups`) by their ids."""
    return {entry["id"]: entry for entry in model.get(kind) or []}


def ancestors_of(model: Model, kind: str, entry_id: str) -> list[str]:
    """Return the ancestors of an entry, the parent first and the root last."""
    tree = entries(model, kind)
    above = []
    parent = tree[entry_id].get("parent")
    while parent is not None:
        above.append(parent)
        parent = tree[parent].get("parent")
    return above


def path_of(model: Model, territory: str) -> list[str]:
    """Return a territory and its ancestors, the root last."""
    return [territory, *ancestors_of(model, "territories", territory)]


def members_of(model: Model, territory: str) -> set[str]:
    """Return a territory's users and its manager (glossary)."""
    entry = entries(model, "territories")[territory]
    manager = entry.get("manager")
    return set(entry.get("users") or []) | ({manager} if manager is not None else set())


def is_active(user: str, model: Model) -> bool:
    """Return whether the user is in the model and active (V7)."""
    entry = entries(model, "users").get(user)
    return entry is not None and bool(entry.get("active", True))


def members_of_group(model: Model, group: str) -> set[str]:
    """Return a group's active members: its users, and the users who have one of its roles (V10)."""
    entry = entries(model, "groups")[group]
    named, roles = entry.get("users") or [], entry.get("roles") or []
    return {
        user
        for user, person in entries(model, "users").items()
        if is_active(user, model) and (user in named or person["role"] in roles)
    }


def owners_of(model: Model, owner_id: str | None) -> set[str]:
    """Return the users who own a record of this owner: one user, or the active members of a group (V1, V10)."""
    if owner_id in entries(model, "users"):
        return {str(owner_id)}
    if owner_id in entries(model, "groups"):
        return members_of_group(model, str(owner_id))
    return set()


def effective_manager_of(model: Model, territory: str) -> str | None:
    """Return the territory's manager, else that of the nearest ancestor with one (glossary)."""
    territories = entries(model, "territories")
    for step in path_of(model, territory):
        manager: str | None = territories[step].get("manager")
        if manager is not None:
            return manager
    return None
