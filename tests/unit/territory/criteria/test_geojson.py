"""GeoJSON polygons in rules."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from territory.criteria.faults import WrongOperand
from territory.criteria.geojson import region_of

from ..examples import json_values
from .examples import faults_in, regions

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]


def polygon(*rings: Any) -> dict[str, Any]:
    """Return a GeoJSON polygon."""
    return {"type": "Polygon", "coordinates": list(rings)}


@pytest.mark.parametrize(
    ("geometry", "path", "words"),
    [
        (None, "", "found nothing, expected GeoJSON"),
        ("POLYGON((0 0, 1 0, 1 1, 0 0))", "", "expected GeoJSON of type Polygon or MultiPolygon"),
        ({"type": "Polygon"}, "", "with its coordinates"),
        (polygon(SQUARE) | {"crs": "EPSG:25832"}, "", "and nothing else"),
        ({"type": "Feature", "geometry": polygon(SQUARE)}, "", "expected GeoJSON of type Polygon"),
        ({"type": "Point", "coordinates": [0, 0]}, ".type", "found text 'Point'"),
        ({"type": ["Polygon"], "coordinates": [SQUARE]}, ".type", "found list"),
        (polygon(), ".coordinates", "at least one ring"),
        ({"type": "MultiPolygon", "coordinates": []}, ".coordinates", "at least one polygon"),
        ({"type": "Polygon", "coordinates": {"a": 1}}, ".coordinates", "found mapping"),
        (polygon([]), ".coordinates[0]", "at least one position"),
        (polygon(SQUARE, "hole"), ".coordinates[1]", "found text 'hole'"),
        (polygon(SQUARE[:-1]), ".coordinates[0]", "not closed; repeat its first position"),
        (polygon(SQUARE, SQUARE[1:]), ".coordinates[1]", "not closed"),
        (polygon([[0, 0], [1, 1], [0, 0]]), ".coordinates[0]", "2 different positions, expected at least 3"),
        (polygon([[0, 0]]), ".coordinates[0]", "1 different positions"),
        (polygon([[0, 0], [1], [1, 1], [0, 0]]), ".coordinates[0][1]", "expected [longitude, latitude]"),
        (polygon([[0, 0, 0, 0]]), ".coordinates[0][0]", "expected [longitude, latitude]"),
        (polygon(["0,0"]), ".coordinates[0][0]", "found text '0,0'"),
        (polygon([[0, 0], [0, 91], [1, 1], [0, 0]]), ".coordinates[0][1][1]", "expected a latitude from -90 to 90"),
        (polygon([[0, 0], [190, 1], [1, 1], [0, 0]]), ".coordinates[0][1][0]", "the date line is a MultiPolygon"),
        (polygon([[None, 0]]), ".coordinates[0][0][0]", "found nothing, expected a longitude"),
        (polygon([[0, True]]), ".coordinates[0][0][1]", "found true"),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE], [SQUARE[:-1]]]}, ".coordinates[1][0]", "not closed"),
    ],
)
def test_malformed_regions(geometry: Any, path: str, words: str) -> None:
    """A geometry that is no polygon, or has open rings, is refused with the path of the fault (C5)."""
    ((found, message),) = faults_in({"field": "geo", "in_polygon": geometry}).items()
    assert found == f"rule.in_polygon{path}"
    assert words in message


@given(json_values | regions.map(lambda region: region | {"type": "Polygon"}))
def test_any_geometry_is_read_or_refused(geometry: Any) -> None:
    """Any JSON value as a geometry is read or refused; no other error escapes (C5)."""
    with suppress(WrongOperand):
        assert "polygon" in str(region_of(geometry))


def test_heights_and_long_decimals() -> None:
    """A position's height is ignored, and its degrees are rounded to 12 decimals (C6)."""
    corners = [["0", 0, 31.5], [10.00000000000004, 0], [10, 10], [0, 10], [0, 0]]
    region = region_of(polygon(corners))
    assert (Decimal(5), Decimal(10)) in region
    assert (Decimal(5), Decimal("10.000000000001")) not in region
