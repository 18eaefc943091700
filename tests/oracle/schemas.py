"""Messages of zipkin.proto and Jaeger's api_v2 as classes of the official protobuf runtime, without a compiler: the descriptors are
built from the field tables below."""
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2

FIELD = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "bytes": FIELD.TYPE_BYTES, "string": FIELD.TYPE_STRING, "bool": FIELD.TYPE_BOOL, "int32": FIELD.TYPE_INT32,
    "int64": FIELD.TYPE_INT64, "uint32": FIELD.TYPE_UINT32, "uint64": FIELD.TYPE_UINT64, "fixed64": FIELD.TYPE_FIXED64,
    "double": FIELD.TYPE_DOUBLE,
}  # fmt: skip
ENUMS = {"Kind": ["NONE", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"],
         "SpanRefType": ["CHILD_OF", "FOLLOWS_FROM"],
         "ValueType": ["STRING", "BOOL", "INT64", "FLOAT64", "BINARY"]}

# name: "number type", "number * type" when repeated
ZIPKIN = {
    "Endpoint": {"service_name": "1 string", "ipv4": "2 bytes", "ipv6": "3 bytes", "port": "4 int32"},
    "Annotation": {"timestamp": "1 fixed64", "value": "2 string"},
    "Tag": {"key": "1 string", "value": "2 string"},
    # A map is a list of such entries on the wire, which lets a test repeat a key.
    "Span": {"trace_id": "1 bytes", "parent_id": "2 bytes", "id": "3 bytes", "kind": "4 Kind", "name": "5 string",
             "timestamp": "6 fixed64", "duration": "7 uint64", "local_endpoint": "8 Endpoint", "remote_endpoint": "9 Endpoint",
             "annotations": "10 * Annotation", "tags": "11 * Tag", "debug": "12 bool", "shared": "13 bool"},
    "ListOfSpans": {"spans": "1 * Span"},
}  # fmt: skip
JAEGER = {
    "KeyValue": {"key": "1 string", "v_type": "2 ValueType", "v_str": "3 string", "v_bool": "4 bool", "v_int64": "5 int64",
                 "v_float64": "6 double", "v_binary": "7 bytes"},
    "SpanRef": {"trace_id": "1 bytes", "span_id": "2 bytes", "ref_type": "3 SpanRefType"},
    "Log": {"timestamp": "1 .google.protobuf.Timestamp", "fields": "2 * KeyValue"},
    "Process": {"service_name": "1 string", "tags": "2 * KeyValue"},
    "Span": {"trace_id": "1 bytes", "span_id": "2 bytes", "operation_name": "3 string", "references": "4 * SpanRef",
             "flags": "5 uint32", "start_time": "6 .google.protobuf.Timestamp", "duration": "7 .google.protobuf.Duration",
             "tags": "8 * KeyValue", "logs": "9 * Log", "process": "10 Process", "process_id": "11 string",
             "warnings": "12 * string"},
    "Batch": {"spans": "1 * Span", "process": "2 Process"},
    "PostSpansRequest": {"batch": "1 Batch"},
}  # fmt: skip


def _classes(package, messages):
    file = descriptor_pb2.FileDescriptorProto(name=package + ".proto", package=package, syntax="proto3")
    for imported in (timestamp_pb2, duration_pb2):
        file.dependency.append(imported.DESCRIPTOR.name)
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=name.upper() + "_" + value, number=number)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, spec in fields.items():
            number, *repeated, kind = spec.split()
            added = message.field.add(name=field, number=int(number))
            added.label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
            if kind in SCALARS:
                added.type = SCALARS[kind]
            else:
                added.type = FIELD.TYPE_ENUM if kind in ENUMS else FIELD.TYPE_MESSAGE
                added.type_name = kind if kind.startswith(".") else ".%s.%s" % (package, kind)
    pool = descriptor_pool.DescriptorPool()
    for imported in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(imported.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(package + "." + name)) for name in messages}


zipkin = _classes("zipkin.proto3", ZIPKIN)
jaeger = _classes("jaeger.api_v2", JAEGER)
