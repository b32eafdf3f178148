"""Circles and regions on the Earth."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from math import cos, pi, sin

import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import example, given
from hypothesis import strategies as st

from territory.criteria.places import KM_MAX, Circle, LatLon, Region

WELLINGTON, SALAMANCA = ("-41.32", "174.81"), ("40.96", "-5.50")


def place(lat: object, lon: object) -> LatLon:
    """Return a position from degrees."""
    return Decimal(str(lat)), Decimal(str(lon))


def circle(lat: object, lon: object, km: object) -> Circle:
    """Return a circle around a centre."""
    return Circle(*place(lat, lon), Decimal(str(km)))


def ring(*corners: tuple[object, object]) -> list[LatLon]:
    """Return a closed ring from corners as (lat, lon)."""
    return [place(*corner) for corner in (*corners, corners[0])]


def box(south: object, west: object, north: object, east: object) -> list[LatLon]:
    """Return a ring along parallels and meridians."""
    return ring((south, west), (south, east), (north, east), (north, west))


# --- circles ----------------------------------------------------------------------------------


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 360), st.floats(0.001, 19_900), st.floats(1e-7, 0.02))
@example(0, 0, 0, 1000, 0.003)  # to the north the ellipsoid is shorter than the sphere
@example(89, 0, 0, 100, 0.003)  # near the pole it is longer
@example(0, 0, 90, 1000, 0.0005)
def test_the_rim_is_that_of_the_ellipsoid(lat: float, lon: float, bearing: float, km: float, share: float) -> None:
    """A position in any direction is in a circle exactly if its geodesic distance is within the radius (C4)."""
    inside, outside = (
        Geodesic.WGS84.Direct(lat, lon, bearing, km * 1000 * factor) for factor in (1 - share, 1 + share)
    )
    around = circle(repr(lat), repr(lon), repr(km))
    assert place(repr(inside["lat2"]), repr(inside["lon2"])) in around
    shortest = Geodesic.WGS84.Inverse(lat, lon, outside["lat2"], outside["lon2"])["s12"] / 1000
    assert (place(repr(outside["lat2"]), repr(outside["lon2"])) in around) is (shortest <= km)


@pytest.mark.parametrize(
    ("centre", "other", "km", "expected"),
    [
        (WELLINGTON, SALAMANCA, "19959.6793", True),  # the example of the geodesic's author: 19 959 679.267 m
        (WELLINGTON, SALAMANCA, "19959.6792", False),
        ((0, 0), (0, 1), "111.3195", True),  # a degree of the equator is 111.319 491 km
        ((0, 0), (0, 1), "111.3194", False),
        ((0, 0), (1, 0), "110.5744", True),  # the first degree of a meridian is 110.574 389 km
        ((0, 0), (1, 0), "110.5743", False),
        ((0, 179.9), (0, -179.9), 23, True),  # across the date line
        ((10, 180), (10, -180), "0.001", True),
        ((89.9, 0), (89.9, 180), 23, True),  # across the pole
        ((90, 0), (90, 77), "0.001", True),
        ((0, 0), (0, 180), KM_MAX, True),  # nothing is further apart
        ((90, 0), (-90, 0), KM_MAX, True),
        ((0, 0), (0, 180), "20003", False),
        ((52.5, 13.4), (52.5, 13.4), "0.000001", True),
    ],
)
def test_distances(centre: tuple[object, object], other: tuple[object, object], km: object, expected: bool) -> None:
    """Distances are geodesics of the WGS 84 ellipsoid, also across the date line and the poles (C4)."""
    assert (place(*other) in circle(*centre, km)) is expected
    assert (place(*centre) in circle(*other, km)) is expected


# --- regions ----------------------------------------------------------------------------------

SQUARE_WITH_HOLE = Region([[box(0, 0, 10, 10), box(4, 4, 6, 6)]])
TRIANGLE = Region([[ring((0, 0), (0, 3), (1, 0))]])
BOW_TIE = Region([[ring((0, 0), (10, 10), (10, 0), (0, 10))]])
FIJI = Region([[box(-20, 177, -15, 180)], [box(-20, -180, -15, -178)]])
ARCTIC = Region([[box(66, -180, 90, 180)]])
WEST_OF_THE_LINE = Region([[box(-5, 170, 5, 180)]])


@pytest.mark.parametrize(
    ("region", "lat", "lon", "expected"),
    [
        (SQUARE_WITH_HOLE, 2, 2, True),
        (SQUARE_WITH_HOLE, 11, 2, False),
        (SQUARE_WITH_HOLE, 2, -1, False),
        (SQUARE_WITH_HOLE, 0, 5, True),  # on an edge
        (SQUARE_WITH_HOLE, 5, 10, True),
        (SQUARE_WITH_HOLE, 10, 10, True),  # at a corner
        (SQUARE_WITH_HOLE, 5, 5, False),  # in the hole
        (SQUARE_WITH_HOLE, 4, 5, True),  # on the hole's edge
        (SQUARE_WITH_HOLE, 6, 6, True),
        (SQUARE_WITH_HOLE, 4, 2, True),  # at the latitude of the hole's corners
        (SQUARE_WITH_HOLE, "4.000000000001", "4.000000000001", False),
        (SQUARE_WITH_HOLE, "10.000000000001", 5, False),
        (TRIANGLE, "0.5", "1.5", True),  # on the slope
        (TRIANGLE, "0.333333333333", "2.000000000001", True),  # exactly, where floats would be lost
        (TRIANGLE, "0.333333333334", "2.000000000001", False),
        (BOW_TIE, 5, 1, False),  # a ring that crosses itself: inside after an odd number of crossings
        (BOW_TIE, 1, 5, True),
        (BOW_TIE, 5, 5, True),
        (FIJI, -17, 179, True),
        (FIJI, -17, -179, True),
        (FIJI, -17, 180, True),
        (FIJI, -17, -180, True),
        (FIJI, -17, 0, False),
        (WEST_OF_THE_LINE, 0, 180, True),
        (WEST_OF_THE_LINE, 0, -180, True),  # the same meridian
        (WEST_OF_THE_LINE, 0, -179, False),
        (ARCTIC, 70, 25, True),
        (ARCTIC, 65.9, 25, False),
        (ARCTIC, 90, 25, True),
        (Region([[ring((66, 0), (66, 90), (90, 45))]]), 90, -120, True),  # a pole has no longitude
        (Region([[ring((66, 0), (66, 90), (89, 45))]]), 90, 45, False),
        (Region([[box(-90, 0, -80, 10)]]), -90, 100, True),
        (Region([[box(-90, 0, -80, 10)]]), 90, 5, False),
    ],
)
def test_regions(region: Region, lat: object, lon: object, expected: bool) -> None:
    """Edges belong to a region, also those of holes; the date line is at ±180; a pole is at any longitude (C4)."""
    assert (place(lat, lon) in region) is expected


@given(st.integers(3, 3_000), st.floats(0, 2 * pi), st.floats(0, 2))
def test_regions_of_many_corners(corners: int, angle: float, distance: float) -> None:
    """A ring with thousands of corners contains its inscribed circle and nothing beyond its circumscribed one (C4)."""
    turns = [2 * pi * index / corners for index in range(corners)]
    region = Region([[ring(*((f"{30 * sin(turn):.9f}", f"{30 * cos(turn):.9f}") for turn in turns))]])
    found = place(f"{30 * distance * sin(angle):.9f}", f"{30 * distance * cos(angle):.9f}") in region
    if distance < cos(pi / corners) - 1e-6:
        assert found
    elif distance > 1 + 1e-6:
        assert not found


@given(st.integers(3, 200))
def test_corners_and_middles_of_edges_are_within(corners: int) -> None:
    """Every corner and the exact middle of every edge are on the line, and so inside (C4)."""
    line = ring(*((2 * round(300 * sin(index)), 2 * round(300 * cos(index * index))) for index in range(corners)))
    degrees = [(lat / 10, lon / 10) for lat, lon in line]
    region = Region([[degrees]])
    for (lat, lon), (next_lat, next_lon) in pairwise(degrees):
        assert (lat, lon) in region
        assert ((lat + next_lat) / 2, (lon + next_lon) / 2) in region
