/* Reading canonical span bytes: walking fields, attributes and values without building anything.
 *
 * The bytes were validated by a codec, yet every function here stays inside its bounds whatever they hold (stored files and
 * network peers reach the same readers). */
#ifndef SM_ATTR_H
#define SM_ATTR_H

#include "base/base.h"
#include "base/pb.h"
#include "span/span.h"

/* Field numbers of opentelemetry-proto trace.proto `Span`. */
enum sm_otlp_span_field {
    SM_OTLP_TRACE_ID = 1,
    SM_OTLP_SPAN_ID = 2,
    SM_OTLP_TRACE_STATE = 3,
    SM_OTLP_PARENT_SPAN_ID = 4,
    SM_OTLP_NAME = 5,
    SM_OTLP_KIND = 6,
    SM_OTLP_START = 7,
    SM_OTLP_END = 8,
    SM_OTLP_ATTRIBUTES = 9,
    SM_OTLP_DROPPED_ATTRIBUTES = 10,
    SM_OTLP_EVENTS = 11,
    SM_OTLP_DROPPED_EVENTS = 12,
    SM_OTLP_LINKS = 13,
    SM_OTLP_DROPPED_LINKS = 14,
    SM_OTLP_STATUS = 15,
    SM_OTLP_FLAGS = 16,
};

enum sm_value_type { SM_VALUE_EMPTY, SM_VALUE_STRING, SM_VALUE_BOOL, SM_VALUE_INT, SM_VALUE_DOUBLE, SM_VALUE_ARRAY, SM_VALUE_KVLIST, SM_VALUE_BYTES };

/* A decoded AnyValue; `bytes` borrows from the span and holds the string, the bytes, or the content of the ArrayValue /
 * KeyValueList message. */
struct sm_value {
    enum sm_value_type type;
    union {
        bool b;
        int64_t i;
        double d;
    };
    struct sm_str bytes;
};

#define SM_VALUE_DEPTH_MAX 32

/* Decodes the content of an AnyValue message (last member set wins, as in protobuf). False when malformed. */
bool sm_value_decode(const uint8_t *any, size_t size, struct sm_value *value);

/* The value that a side record points to. */
bool sm_value_at(const uint8_t *span_bytes, size_t span_size, uint32_t record, struct sm_value *value);

/* Decodes the content of a KeyValue message. False when malformed; a missing value is SM_VALUE_EMPTY. */
bool sm_attr_decode(const uint8_t *kv, size_t size, struct sm_str *key, struct sm_value *value);

/* Iterates the KeyValues of a message whose repeated attributes have field number `field` (span, event, link: see the
 * schema; resource: 1, scope: 3). Zero-initialise with sm_attr_iter; false at the end. */
struct sm_attr_iter {
    const uint8_t *p, *end;
    uint32_t field;
};
SM_INLINE struct sm_attr_iter sm_attr_iter(const void *message, size_t size, uint32_t field)
{
    return (struct sm_attr_iter){(const uint8_t *)message, sm_pb_end(message, size), field};
}
bool sm_attr_next(struct sm_attr_iter *it, struct sm_str *key, struct sm_value *value);

/* First attribute with this key; false when there is none. */
bool sm_attr_find(const void *message, size_t size, uint32_t field, struct sm_str key, struct sm_value *value);

/* The value of a wanted slot of a span in a batch or trace: by side record, SM_VALUE_EMPTY type and false when absent. */
bool sm_span_value(const struct sm_span *span, const uint8_t *bytes, uint32_t slot, struct sm_value *value);

/* The name of a span in a batch or trace from its bytes (for SM_NAME_OVERFLOW). */
struct sm_str sm_span_name_bytes(const struct sm_span *span, const uint8_t *bytes);

/* Appends the value as text: strings as they are, numbers in shortest form, bool true/false, bytes base64, arrays and
 * kvlists as JSON; depth capped at SM_VALUE_DEPTH_MAX. */
struct sm_buf;
void sm_value_text(const struct sm_value *value, struct sm_buf *out);
/* Appends the value as JSON: as above, but strings and bytes in quotes and an empty value as null. */
void sm_value_json(const struct sm_value *value, struct sm_buf *out);

#endif
