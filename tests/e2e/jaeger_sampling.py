"""The messages of Jaeger's sampling.proto (api_v2), for which the registry has no package: built from their field numbers."""
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DOUBLE, INT32, STRING, MESSAGE, ENUM = 1, 5, 9, 11, 14
PACKAGE = "jaeger.api_v2"
METHOD = f"/{PACKAGE}.SamplingManager/GetSamplingStrategy"
MESSAGES = {
    "ProbabilisticSamplingStrategy": [("samplingRate", 1, DOUBLE, None)],
    "RateLimitingSamplingStrategy": [("maxTracesPerSecond", 1, INT32, None)],
    "OperationSamplingStrategy": [("operation", 1, STRING, None), ("probabilisticSampling", 2, MESSAGE, "ProbabilisticSamplingStrategy")],
    "PerOperationSamplingStrategies": [
        ("defaultSamplingProbability", 1, DOUBLE, None),
        ("defaultLowerBoundTracesPerSecond", 2, DOUBLE, None),
        ("perOperationStrategies", 3, MESSAGE, "OperationSamplingStrategy"),
        ("defaultUpperBoundTracesPerSecond", 4, DOUBLE, None),
    ],
    "SamplingStrategyResponse": [
        ("strategyType", 1, ENUM, "SamplingStrategyType"),
        ("probabilisticSampling", 2, MESSAGE, "ProbabilisticSamplingStrategy"),
        ("rateLimitingSampling", 3, MESSAGE, "RateLimitingSamplingStrategy"),
        ("operationSampling", 4, MESSAGE, "PerOperationSamplingStrategies"),
    ],
    "SamplingStrategyParameters": [("serviceName", 1, STRING, None)],
}


def _file():
    file = descriptor_pb2.FileDescriptorProto(name="sampling.proto", package=PACKAGE, syntax="proto3")
    types = file.enum_type.add(name="SamplingStrategyType")
    types.value.add(name="PROBABILISTIC", number=0)
    types.value.add(name="RATE_LIMITING", number=1)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            label = 3 if field == "perOperationStrategies" else 1
            message.field.add(name=field, number=number, type=kind, label=label, type_name=f".{PACKAGE}.{of}" if of else None)
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())
Parameters, Response = (
    message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))
    for name in ("SamplingStrategyParameters", "SamplingStrategyResponse")
)


def ask(channel, service, **options):
    """The strategy of a service."""
    call = channel.unary_unary(METHOD, request_serializer=Parameters.SerializeToString, response_deserializer=Response.FromString)
    return call(Parameters(serviceName=service), timeout=10, **options)
