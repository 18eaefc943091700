/* Spans as a scenario describes them, and the wire formats they can be sent in. */
#ifndef SM_SCENARIO_SPANS_H
#define SM_SCENARIO_SPANS_H

#include "base/buf.h"
#include "script.h"
#include "span/codec/codec.h"
#include "span/span.h"

enum { SPAN_ATTRS_MAX = 32, SPAN_ID_BYTES_MAX = 32 };

struct span_attr {
    char *key;
    char *value;
    bool is_int; /* else a string; written `-int k=v` */
};

struct span_attrs {
    struct span_attr items[SPAN_ATTRS_MAX];
    unsigned count;
};

/* Ids are bytes, so that wrong lengths can be sent too. */
struct span_id {
    uint8_t bytes[SPAN_ID_BYTES_MAX];
    size_t size; /* 0: absent */
};

struct span_desc {
    struct span_id trace, id, parent;
    bool trace64; /* written with 16 digits or fewer */
    char *service, *name, *remote; /* NULL: absent */
    enum sm_kind kind;
    enum sm_status status;
    char *message;
    int64_t start_ns, duration_ns; /* Unix time; -1: absent */
    bool shared, debug;
    char *tracestate;
    uint32_t flags;
    struct span_attrs attrs, resource;
    struct span_id link_trace, link_id;
    size_t repeat; /* so many spans, ids counted up, %d in texts replaced by 0, 1, ...; 1 */
    bool spread;   /* trace ids are counted up instead */
    size_t pad;    /* bytes of an attribute `pad` */
};

struct span_list {
    struct span_desc *items;
    size_t count;
};

/* Appends the span (or spans, -repeat) that `words` describe; words[0] is "span". service and now_ns are defaults. False
 * after filling `why`. */
bool span_list_add(struct span_list *list, const struct script_words *words, const char *service, int64_t start_ns,
                   int64_t now_ns, char why[128]);
void span_list_fini(struct span_list *list);

/* A wire format: how spans become bytes, and the product's codec for them. */
struct span_format {
    const char *name;
    const struct sm_codec *codec;
    void (*encode)(const struct span_desc *spans, size_t count, struct sm_buf *out);
};

/* NULL: no such format. The first one is the default. */
const struct span_format *span_format_find(const char *name);

void span_encode_otlp(const struct span_desc *spans, size_t count, struct sm_buf *out);
void span_encode_otlp_json(const struct span_desc *spans, size_t count, struct sm_buf *out);
void span_encode_zipkin_v2_json(const struct span_desc *spans, size_t count, struct sm_buf *out);
void span_encode_zipkin_proto(const struct span_desc *spans, size_t count, struct sm_buf *out);
void span_encode_zipkin_v1_json(const struct span_desc *spans, size_t count, struct sm_buf *out);
void span_encode_jaeger(const struct span_desc *spans, size_t count, struct sm_buf *out);

/* How many spans from the first one on have its service and resource attributes. */
size_t span_resource_run(const struct span_desc *spans, size_t count);
/* Lower-case hex. */
void span_put_hex(struct sm_buf *out, const struct span_id *id);

#endif
