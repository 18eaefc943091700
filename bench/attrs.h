/* What a generated span says: name, kind, status, attributes, events, in terms of OpenTelemetry's semantic conventions.
 * Everything follows from the span's seed, so that all encodings of a span say the same. */
#ifndef BENCH_ATTRS_H
#define BENCH_ATTRS_H

#include "bench/gen.h"
#include "bench/topology.h"

enum bench_attr_type { BENCH_ATTR_STRING, BENCH_ATTR_INT, BENCH_ATTR_BOOL, BENCH_ATTR_DOUBLE };

struct bench_attr {
    const char *key;
    enum bench_attr_type type;
    const char *string;
    int64_t integer; /* and bool */
    double real;
};

enum { BENCH_ATTRS_MAX = 20, BENCH_ATTRS_TEXT_MAX = 4096 };

/* A list of attributes and the memory of their strings. Self-contained, but must not be copied (it points into itself).
 */
struct bench_attrs {
    struct bench_attr at[BENCH_ATTRS_MAX];
    uint32_t n;
    char text[BENCH_ATTRS_TEXT_MAX];
    size_t text_n;
};

struct bench_event {
    const char *name; /* NULL: none */
    int64_t time_ns;  /* virtual */
    struct bench_attrs attrs;
};

/* Kinds as OTLP numbers them. */
enum { BENCH_KIND_INTERNAL = 1, BENCH_KIND_SERVER, BENCH_KIND_CLIENT, BENCH_KIND_PRODUCER, BENCH_KIND_CONSUMER };

struct bench_words {
    char name[96];
    uint32_t kind;
    uint32_t flags;             /* OTLP's Span.flags */
    const char *status_message; /* of an error; may be "" */
    const char *remote_service; /* NULL when not a call */
    struct bench_attrs attrs;
    struct bench_event event;
};

/* Instrumentation scopes: spans of a request are grouped by them. */
enum { BENCH_SCOPES = 3 };
struct bench_scope {
    const char *name;
    const char *version;
};
extern const struct bench_scope bench_attrs_scopes[BENCH_SCOPES];
uint32_t bench_attrs_scope_of(const struct bench_span *span);

void bench_attrs_describe(const struct bench_span *span, struct bench_words *words);
/* The resource of one instance of a service. */
void bench_attrs_resource(uint32_t service, uint32_t instance, struct bench_attrs *attrs);

#endif
