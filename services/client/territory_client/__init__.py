"""Client for apps: asks Redis who sees which records. Needs redis-py only.

>>> from territory_client import Access
>>> Access(redis.Redis.from_url(REDIS_URL), "acme").can_see("u7", "account", "A-1")
True
"""

from territory_client.access import Access
from territory_client.answers import Explanation, Freshness, IndexedRecord, Level, ObjectType, Page, PartitionFreshness
from territory_client.async_access import AsyncAccess
from territory_client.errors import AccessUnknown, IndexBehind, IndexRefused, IndexUnavailable

__all__ = [
    "Access",
    "AccessUnknown",
    "AsyncAccess",
    "Explanation",
    "Freshness",
    "IndexBehind",
    "IndexRefused",
    "IndexUnavailable",
    "IndexedRecord",
    "Level",
    "ObjectType",
    "Page",
    "PartitionFreshness",
]
