"""Reads the GeoJSON polygons (RFC 7946) of rules into regions (C4, C5)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from territory.criteria.faults import WrongOperand, found
from territory.criteria.places import LatLon, Region
from territory.criteria.values import LAT_MAX, LON_MAX, measure_of

RING_POSITIONS_MIN = 3

_EXPECTED = "expected GeoJSON of type Polygon or MultiPolygon with its coordinates, and nothing else"


def region_of(geometry: object) -> Region:
    """Return the region of a GeoJSON Polygon or MultiPolygon. Raises: WrongOperand."""
    if not isinstance(geometry, Mapping) or set(geometry) != {"type", "coordinates"}:
        raise WrongOperand(f"found {found(geometry)}, {_EXPECTED}")
    where = ".coordinates"
    if geometry["type"] == "Polygon":
        return Region([_rings(geometry["coordinates"], where)])
    if geometry["type"] == "MultiPolygon":
        return Region([_rings(item, path) for item, path in _items(geometry["coordinates"], where, "polygon")])
    raise WrongOperand(f"found {found(geometry['type'])}, {_EXPECTED}", ".type")


def latitude(raw: object, where: str) -> Decimal:
    """Return a latitude in degrees. Raises: WrongOperand."""
    degrees = measure_of(raw, LAT_MAX)
    if degrees is None:
        raise WrongOperand(f"found {found(raw)}, expected a latitude from -{LAT_MAX} to {LAT_MAX}", where)
    return degrees


def longitude(raw: object, where: str) -> Decimal:
    """Return a longitude in degrees. Raises: WrongOperand."""
    degrees = measure_of(raw, LON_MAX)
    if degrees is None:
        raise WrongOperand(
            f"found {found(raw)}, expected a longitude from -{LON_MAX} to {LON_MAX}; "
            "what crosses the date line is a MultiPolygon of its two sides",
            where,
        )
    return degrees


def _rings(coordinates: object, where: str) -> list[list[LatLon]]:
    return [_ring(item, path) for item, path in _items(coordinates, where, "ring")]


def _ring(coordinates: object, where: str) -> list[LatLon]:
    ring = [_position(item, path) for item, path in _items(coordinates, where, "position")]
    if ring[0] != ring[-1]:
        raise WrongOperand("the ring is not closed; repeat its first position at its end", where)
    if len(set(ring)) < RING_POSITIONS_MIN:
        raise WrongOperand(
            f"found a ring of {len(set(ring))} different positions, expected at least {RING_POSITIONS_MIN}", where
        )
    return ring


def _position(coordinates: object, where: str) -> LatLon:
    if not isinstance(coordinates, list) or len(coordinates) not in (2, 3):
        raise WrongOperand(f"found {found(coordinates)}, expected [longitude, latitude]", where)
    lon, lat = coordinates[:2]  # the optional height is ignored
    return latitude(lat, f"{where}[1]"), longitude(lon, f"{where}[0]")


def _items(coordinates: object, where: str, noun: str) -> list[tuple[object, str]]:
    if not isinstance(coordinates, list) or not coordinates:
        raise WrongOperand(f"found {found(coordinates)}, expected a list with at least one {noun}", where)
    return [(item, f"{where}[{index}]") for index, item in enumerate(coordinates)]
