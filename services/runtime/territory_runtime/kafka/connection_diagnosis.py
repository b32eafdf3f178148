"""Why no broker lets us in, in a line that names the setting: clients say of all reasons that nobody answers."""

from __future__ import annotations

import ssl

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from territory_runtime.kafka.clients import connection
from territory_runtime.settings import Settings

PATIENCE_MS = 5_000


async def diagnose_connection(settings: Settings) -> str | None:
    """Return what the first broker that takes a connection has against us; None: none takes one, or it has nothing."""
    options = connection(settings)
    for host, port, _ in collect_hosts(options.pop("bootstrap_servers")):
        place = f"the Kafka broker at {host}:{port}"
        try:
            taken = await create_conn(host, port, request_timeout_ms=PATIENCE_MS, **options)
        except ssl.SSLCertVerificationError as fault:
            return (
                f"the certificate of {place} is not trusted ({fault.verify_message}); "
                "set TERRITORY_KAFKA_SSL_CAFILE to the authority's certificate in PEM"
            )
        except (ssl.SSLError, KafkaConnectionError) as fault:
            return (
                f"{place} ends the connection ({type(fault).__name__}); TERRITORY_KAFKA_SECURITY_PROTOCOL is "
                f"{settings.kafka_security_protocol}: set what that listener speaks"
            )
        except (SaslAuthenticationFailed, AuthenticationFailedError):
            return (
                f"{place} does not let {settings.kafka_sasl_username!r} in; "
                "correct TERRITORY_KAFKA_SASL_USERNAME and TERRITORY_KAFKA_SASL_PASSWORD"
            )
        except (UnsupportedSaslMechanismError, IllegalSaslStateError):
            return (
                f"{place} does not take {settings.kafka_sasl_mechanism} as "
                f"{settings.kafka_security_protocol}; set TERRITORY_KAFKA_SASL_MECHANISM or "
                "TERRITORY_KAFKA_SECURITY_PROTOCOL to what that listener takes"
            )
        except (KafkaError, OSError, TimeoutError):
            continue
        taken.close()
        return None
    return None
