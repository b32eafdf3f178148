"""Circles and polygons on the Earth, and whether they contain a position (C4).

Units: degrees of latitude and longitude on WGS 84, kilometres.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from math import asin, cos, radians, sin, sqrt

from territory.criteria.values import DECIMALS_MAX, LAT_MAX, LON_MAX

LatLon = tuple[Decimal, Decimal]
"""Latitude and longitude."""

KM_MAX = 20_004
"""Half of a meridian: no two positions are further apart."""

_EARTH_RADIUS_KM = 6371.0088
# The radii of curvature of the WGS 84 ellipsoid lie between 6335.439 km (north to south, at the equator)
# and 6399.594 km (at the poles). So a path on it is 0.99441 to 1.00449 times as long as the same path on
# a sphere of the mean radius. The same bounds hold for the shortest paths.
_LEAST_RATIO, _GREATEST_RATIO = 0.9944, 1.0045

_SCALE = 10**DECIMALS_MAX
_POLE, _DATE_LINE = LAT_MAX * _SCALE, LON_MAX * _SCALE

EDGES_PER_BAND = 4
BANDS_MAX = 4_096

Edge = tuple[int, int, int, int]
"""The x and y of two neighbouring positions in a ring, in units of the last decimal of a degree."""


class Circle:
    """All positions within a geodesic distance of a centre on the WGS 84 ellipsoid, including the rim.

    The distance on a sphere decides for positions that are clearly inside or outside. Only for those
    near the rim the exact distance is computed.
    """

    __slots__ = ("_cos", "_km", "_lon", "_rad", "km", "lat", "lon")

    def __init__(self, lat: Decimal, lon: Decimal, km: Decimal) -> None:
        self.lat, self.lon, self.km = lat, lon, km
        self._km = float(km)
        self._rad, self._lon = radians(lat), radians(lon)
        self._cos = cos(self._rad)

    def __contains__(self, position: LatLon) -> bool:
        lat = radians(position[0])
        north = lat - self._rad
        if abs(north) * _EARTH_RADIUS_KM * _LEAST_RATIO > self._km:
            return False
        chord = sin(north / 2) ** 2 + self._cos * cos(lat) * sin((radians(position[1]) - self._lon) / 2) ** 2
        about = 2 * _EARTH_RADIUS_KM * asin(min(1.0, sqrt(chord)))
        if about * _GREATEST_RATIO <= self._km:
            return True
        return about * _LEAST_RATIO <= self._km and self._geodesic(position) <= self._km

    def _geodesic(self, position: LatLon) -> float:
        """Return the exact distance in km; it costs a hundred times as much as the distance on a sphere."""
        from geographiclib.geodesic import Geodesic  # noqa: PLC0415 -- models without circles don't load it

        ends = map(float, (self.lat, self.lon, *position))
        return float(Geodesic.WGS84.Inverse(*ends, Geodesic.DISTANCE)["s12"]) / 1000

    def __str__(self) -> str:
        return f"{{lat: {self.lat}, lon: {self.lon}, km: {self.km}}}"


class Region:
    """All positions within some polygons, including all edges, those of holes as well.

    Edges are straight lines in longitude and latitude (RFC 7946). Coordinates are integers in units of
    the last decimal of a degree, so the answer is exact. A position on the date line is at both 180 and
    -180 degrees. A pole has no longitude: it is in every polygon that touches its latitude.
    """

    __slots__ = ("_corners", "_polygons")

    def __init__(self, polygons: Sequence[Sequence[Sequence[LatLon]]]) -> None:
        self._polygons = [_Polygon([_Ring(ring) for ring in rings]) for rings in polygons]
        self._corners = sum(len(ring) - 1 for rings in polygons for ring in rings)

    def __contains__(self, position: LatLon) -> bool:
        y, x = map(_scaled, position)
        if abs(y) == _POLE:
            return any(polygon.outer.touches_latitude(y) for polygon in self._polygons)
        for polygon in self._polygons:
            if polygon.covers(x, y) or (abs(x) == _DATE_LINE and polygon.covers(-x, y)):
                return True
        return False

    def __str__(self) -> str:
        count = len(self._polygons)
        return f"{count} polygon{'s' if count > 1 else ''} of {self._corners} corners"


class _Polygon:
    """An outer ring and its holes."""

    __slots__ = ("_holes", "outer")

    def __init__(self, rings: list[_Ring]) -> None:
        self.outer, *self._holes = rings

    def covers(self, x: int, y: int) -> bool:
        """Whether a point is in the outer ring and not strictly inside a hole."""
        side = self.outer.side(x, y)
        return side >= 0 and not (side > 0 and any(hole.side(x, y) > 0 for hole in self._holes))


class _Ring:
    """A closed line. Its edges are indexed by bands of latitude, so that a point is compared with few of them."""

    __slots__ = ("_bands", "_east", "_height", "_north", "_south", "_west")

    def __init__(self, positions: Sequence[LatLon]) -> None:
        points = [(_scaled(lon), _scaled(lat)) for lat, lon in positions]
        self._west, self._east = min(x for x, _ in points), max(x for x, _ in points)
        self._south, self._north = min(y for _, y in points), max(y for _, y in points)
        count = min(len(points) // EDGES_PER_BAND + 1, BANDS_MAX)
        self._height = (self._north - self._south) // count + 1
        self._bands: list[list[Edge]] = [[] for _ in range(count)]
        for (x1, y1), (x2, y2) in pairwise(points):
            for band in range(self._band(min(y1, y2)), self._band(max(y1, y2)) + 1):
                self._bands[band].append((x1, y1, x2, y2))

    def _band(self, y: int) -> int:
        return (y - self._south) // self._height

    def touches_latitude(self, y: int) -> bool:
        """Whether the line reaches a latitude."""
        return self._south <= y <= self._north

    def side(self, x: int, y: int) -> int:
        """Return 1 for a point inside, 0 for one on the line, -1 for one outside.

        A point is inside if a ray to the east crosses an odd number of edges.
        """
        if not (self._west <= x <= self._east and self._south <= y <= self._north):
            return -1
        side = -1
        for x1, y1, x2, y2 in self._bands[self._band(y)]:
            # Positive if the point is to the left of the edge.
            side_of_edge = (x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)
            if side_of_edge == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
                return 0
            if (y1 > y) != (y2 > y) and (side_of_edge > 0) == (y2 > y1):
                side = -side
        return side


def _scaled(degrees: Decimal) -> int:
    return int(degrees.scaleb(DECIMALS_MAX))
