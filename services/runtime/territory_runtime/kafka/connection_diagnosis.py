"""Why Kafka refuses our connections, in one line that names the setting. Clients only report that no broker answers."""

from __future__ import annotations

import ssl

from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from territory_runtime.kafka.aiokafka_internals import connect_to_broker, hosts_of
from territory_runtime.kafka.clients import connection
from territory_runtime.settings import Settings

TIMEOUT_MS = 5_000


async def diagnose_connection(settings: Settings) -> str | None:
    """Return why the first broker that can be reached refuses us; None: none can be reached, or it does not."""
    options = connection(settings)
    for host, port in hosts_of(options.pop("bootstrap_servers")):
        broker = f"the Kafka broker at {host}:{port}"
        try:
            accepted = await connect_to_broker(host, port, request_timeout_ms=TIMEOUT_MS, **options)
        except ssl.SSLCertVerificationError as fault:
            return (
                f"the certificate of {broker} is not trusted ({fault.verify_message}); "
                "set TERRITORY_KAFKA_SSL_CAFILE to the authority's certificate in PEM"
            )
        except (ssl.SSLError, KafkaConnectionError) as fault:
            return (
                f"{broker} closes the connection ({type(fault).__name__}); TERRITORY_KAFKA_SECURITY_PROTOCOL is "
                f"{settings.kafka_security_protocol}: set the protocol of that listener"
            )
        except (SaslAuthenticationFailed, AuthenticationFailedError):
            return (
                f"{broker} rejects the credentials of {settings.kafka_sasl_username!r}; "
                "correct TERRITORY_KAFKA_SASL_USERNAME and TERRITORY_KAFKA_SASL_PASSWORD"
            )
        except (UnsupportedSaslMechanismError, IllegalSaslStateError):
            return (
                f"{broker} does not support {settings.kafka_sasl_mechanism} over "
                f"{settings.kafka_security_protocol}; set TERRITORY_KAFKA_SASL_MECHANISM or "
                "TERRITORY_KAFKA_SECURITY_PROTOCOL to what that listener supports"
            )
        except (KafkaError, OSError, TimeoutError):
            continue
        accepted.close()
        return None
    return None
