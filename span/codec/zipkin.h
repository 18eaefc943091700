/* Zipkin's span model both ways: what the codecs of its wire formats (JSON, protobuf, thrift; v1 and v2) share.
 *
 * In: a codec parses its format and says what it found; this file applies Zipkin's rules (names in lower case, 0 means
 * absent, a parent that is the span itself is none) and writes the canonical span: tags as string attributes, annotations
 * as events, an error tag as status ERROR, the local service as the resource's service.name, the remote one as attribute
 * peer.service unless a tag has that name, the rest in the private field. Text that is not UTF-8 is taken with U+FFFD in place of
 * what is wrong: proxies put bytes of strangers into tags.
 *
 * Out: canonical spans of any origin become Zipkin spans, those that came as Zipkin as they came, the others by
 * OpenTelemetry's mapping. */
#ifndef SM_ZIPKIN_H
#define SM_ZIPKIN_H

#include "base/buf.h"
#include "span/attr.h"
#include "span/codec/build.h"
#include "span/private.h"

/* Addresses and port of an endpoint on its way in. */
struct sm_zipkin_address {
    bool has_ipv4, has_ipv6;
    uint8_t ipv4[4];
    uint8_t ipv6[16];
    uint16_t port;
};

/* Reads an address of either family; IPv4 in IPv6 clothes becomes IPv4. A text that is no address is left out, as Zipkin
 * does; false then. */
bool sm_zipkin_address_parse(struct sm_zipkin_address *a, struct sm_str text);
/* 4 or 16 bytes in network order, anything else is left out. */
bool sm_zipkin_address_take(struct sm_zipkin_address *a, const uint8_t *bytes, size_t size);

/* The decoding side: one per call of a codec. The fields from `trace` on describe the span being built and are set by the
 * codec, in any order, between sm_zipkin_begin and sm_zipkin_commit. */
struct sm_zipkin_in {
    struct sm_build build;
    uint8_t service[SM_BUILD_SERVICE_MAX]; /* the last local service, as it was written, and its scope */
    size_t service_size;
    uint32_t service_scope;
    bool service_known;
    uint8_t remote_service[SM_BUILD_SERVICE_MAX]; /* in lower case */
    size_t remote_service_size;
    uint32_t scope_id;
    bool has_scope;
    uint8_t status_tag; /* enum sm_status that a tag otel.status_code gave */
    bool has_events;
    size_t name_at, name_size; /* in the arena */

    struct sm_trace_id trace;
    uint64_t id;
    uint64_t parent_id;    /* 0: none */
    enum sm_kind kind;
    uint64_t timestamp_us; /* 0: absent */
    uint64_t duration_us;  /* 0: absent */
    bool debug, shared;
    struct sm_zipkin_address local, remote;
};

enum sm_rc sm_zipkin_open(struct sm_zipkin_in *z, struct sm_decoder *d, struct sm_batch *batch, size_t size_hint) SM_MUST_USE;
void sm_zipkin_close(struct sm_zipkin_in *z);

/* Each false when memory is exhausted; limits mark the span as refused. Texts must be readable for 16 bytes past their end,
 * and may lie in the arena, far enough behind build.p that what is written does not reach them (sm_zipkin_scratch). */
bool sm_zipkin_begin(struct sm_zipkin_in *z) SM_MUST_USE;
bool sm_zipkin_name(struct sm_zipkin_in *z, struct sm_str name);
void sm_zipkin_local_service(struct sm_zipkin_in *z, struct sm_str name);
void sm_zipkin_remote_service(struct sm_zipkin_in *z, struct sm_str name);
bool sm_zipkin_tag(struct sm_zipkin_in *z, struct sm_str key, struct sm_str value);
bool sm_zipkin_annotation(struct sm_zipkin_in *z, uint64_t timestamp_us, struct sm_str value);
bool sm_zipkin_commit(struct sm_zipkin_in *z, enum sm_origin origin) SM_MUST_USE;

/* The wire format of a list of spans, told by its first bytes. */
enum sm_zipkin_form { SM_ZIPKIN_UNKNOWN, SM_ZIPKIN_JSON, SM_ZIPKIN_PROTO, SM_ZIPKIN_THRIFT };
enum sm_zipkin_form sm_zipkin_form_of(struct sm_str body);

/* Where texts of together `size` bytes can be prepared for one of the calls above; NULL when memory is exhausted. */
SM_INLINE uint8_t *sm_zipkin_scratch(struct sm_zipkin_in *z, size_t size)
{
    return sm_build_room(&z->build, 2 * size + 160) ? z->build.p + size + 96 : NULL;
}

/* Makes texts valid UTF-8, with U+FFFD for what is wrong, for one of the calls above. Too long ones stay and refuse the span. False
 * when memory is exhausted. */
bool sm_zipkin_repair(struct sm_zipkin_in *z, struct sm_str *key, struct sm_str *value) SM_COLD SM_MUST_USE;

/* The encoding side. Texts are views into the span, its resource or the model's own buffer. */
struct sm_zipkin_tag {
    struct sm_str key, value;
    uint32_t order; /* of equal keys the last wins */
};

struct sm_zipkin_annotation {
    uint64_t timestamp_us;
    struct sm_str value;
};

struct sm_zipkin_endpoint {
    struct sm_str service; /* lower case; empty: absent */
    struct sm_zipkin_address address;
};

/* A Zipkin span. Zero-initialise before the first use; reused from span to span, freed with sm_zipkin_span_fini. */
struct sm_zipkin_span {
    struct sm_trace_id trace;
    uint64_t id, parent_id;
    enum sm_kind kind;                  /* SERVER, CLIENT, PRODUCER, CONSUMER or UNSPECIFIED */
    struct sm_str name;                 /* lower case; empty: absent */
    uint64_t timestamp_us, duration_us; /* 0: absent */
    struct sm_zipkin_endpoint local, remote;
    struct sm_zipkin_annotation *annotations; /* by time, then value; no two alike */
    size_t annotation_count, annotation_capacity;
    struct sm_zipkin_tag *tags; /* by key; each key once */
    size_t tag_count, tag_capacity;
    bool debug, shared;
    struct sm_buf texts; /* what values were turned into */
};

/* False when the span's bytes are malformed or have no ids. */
bool sm_zipkin_span_from(struct sm_zipkin_span *z, const struct sm_encode_span *span);
void sm_zipkin_span_fini(struct sm_zipkin_span *z);

#endif
