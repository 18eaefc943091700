/* Version 1 of Zipkin's model: what its codecs (JSON and thrift) share.
 *
 * A span of version 1 is what all parties of one call recorded under one id: annotations and binary annotations,
 * each with the endpoint that made it. The codec collects them here; sm_zipkin_v1_commit converts them by the
 * rules of zipkin2's V1SpanConverter into one span of version 2 per party and writes those as canonical spans.
 * What version 1 says by conventions (kinds by "cs", "sr", ...; shared by a missing timestamp; addresses by "sa",
 * "ca", "ma") becomes fields.
 *
 * Memory: two pooled buffers per payload, none per span. Texts that are given must live until the commit and be
 * readable for 16 bytes past their end: they lie in the payload or in the room that sm_zipkin_v1_text gives. */
#ifndef SM_ZIPKIN_V1_H
#define SM_ZIPKIN_V1_H

#include "span/codec/zipkin.h"

#define SM_ZIPKIN_V1_NOBODY        (-1) /* no endpoint */
#define SM_ZIPKIN_V1_ENDPOINTS_MAX 64   /* different ones in one span; beyond: the span is refused (too many attributes) */
#define SM_ZIPKIN_V1_PARTS_MAX     (SM_ZIPKIN_V1_ENDPOINTS_MAX + 3)

struct sm_zipkin_v1_endpoint {
    struct sm_str service; /* as it was written; empty: absent */
    struct sm_zipkin_address address;
};

struct sm_zipkin_v1_annotation {
    uint64_t timestamp_us;
    struct sm_str value;
    uint32_t order; /* as it came */
    int16_t endpoint;
    int16_t part; /* whose annotation it becomes; -1: nobody's, it says a kind or time */
};

struct sm_zipkin_v1_tag {
    struct sm_str key, value;
    uint32_t order;
    int16_t endpoint;
    int16_t part;
};

/* A span of version 2 that comes out. */
struct sm_zipkin_v1_part {
    int16_t local, remote; /* endpoints */
    bool nameless_remote;  /* without its service */
    bool shared;
    enum sm_kind kind;
    uint64_t timestamp_us, duration_us;
    const struct sm_zipkin_v1_annotation *end; /* the end of a call that did not begin here: an annotation after all */
};

/* One per call of a codec. The fields from `trace` on describe the span being read and are set by the codec between
 * sm_zipkin_v1_begin and sm_zipkin_v1_commit. */
struct sm_zipkin_v1 {
    struct sm_zipkin_in z;
    struct sm_payload *room;  /* of the two arrays */
    struct sm_payload *texts; /* NULL until one is needed */
    size_t texts_size, payload_size;
    uint32_t items_max;
    struct sm_zipkin_v1_annotation *annotations;
    struct sm_zipkin_v1_tag *tags;
    struct sm_zipkin_v1_endpoint endpoints[SM_ZIPKIN_V1_ENDPOINTS_MAX];
    struct sm_zipkin_v1_part parts[SM_ZIPKIN_V1_PARTS_MAX];
    struct sm_zipkin_v1_annotation *cs, *cr, *sr, *ss, *ms, *mr, *ws, *wr; /* NULL: absent */
    struct sm_zipkin_v1_annotation supplied_cs, supplied_sr;

    uint32_t annotations_n, tags_n, endpoints_n, parts_n;
    bool unsorted, mixed_tags; /* annotations not by time; tags of several endpoints */
    int16_t sa, ca, ma;    /* addresses */
    enum sm_reject reject; /* SM_REJECT_COUNT: none so far */
    struct sm_trace_id trace;
    uint64_t id, parent_id;
    struct sm_str name;
    uint64_t timestamp_us, duration_us; /* 0: absent */
    bool debug;
};

enum sm_rc sm_zipkin_v1_open(struct sm_zipkin_v1 *v, struct sm_decoder *d, struct sm_batch *batch,
                             size_t payload_size) SM_MUST_USE;
/* Hands the spans to the batch; `rc` other than SM_OK clears it instead. */
void sm_zipkin_v1_close(struct sm_zipkin_v1 *v, enum sm_rc rc);

void sm_zipkin_v1_begin(struct sm_zipkin_v1 *v);
/* The number of an endpoint, the same for equal ones; SM_ZIPKIN_V1_NOBODY for one that says nothing. */
int16_t sm_zipkin_v1_endpoint(struct sm_zipkin_v1 *v, const struct sm_zipkin_v1_endpoint *endpoint);
void sm_zipkin_v1_annotation(struct sm_zipkin_v1 *v, uint64_t timestamp_us, struct sm_str value, int16_t endpoint);
/* A binary annotation; with key "sa", "ca" or "ma" it is the address of the other side, whatever its value. */
void sm_zipkin_v1_tag(struct sm_zipkin_v1 *v, struct sm_str key, struct sm_str value, int16_t endpoint);
bool sm_zipkin_v1_is_address(struct sm_str key);
/* False when memory is exhausted. */
bool sm_zipkin_v1_commit(struct sm_zipkin_v1 *v) SM_MUST_USE;

/* Room for a text of this span that is not in the payload as it is; NULL when memory is exhausted. All texts of a
 * span together may take three times the payload's size. */
uint8_t *sm_zipkin_v1_text(struct sm_zipkin_v1 *v, size_t size);

/* A list of version 1's thrift structs at a cursor, which is behind it afterwards; payload_size is that of the whole, for
 * the first buffers. As a codec's decode, but for the bytes behind the list, which are not looked at. */
struct sm_thrift_reader;
struct sm_thrift_compact;
enum sm_rc sm_zipkin_v1_read_binary(struct sm_decoder *d, struct sm_thrift_reader *t, size_t payload_size,
                                    struct sm_batch *batch, struct sm_err *err) SM_MUST_USE;
enum sm_rc sm_zipkin_v1_read_compact(struct sm_decoder *d, struct sm_thrift_compact *t, size_t payload_size,
                                     struct sm_batch *batch, struct sm_err *err) SM_MUST_USE;

SM_INLINE void sm_zipkin_v1_refuse(struct sm_zipkin_v1 *v, enum sm_reject reason)
{
    if (v->reject == SM_REJECT_COUNT)
        v->reject = reason;
}

#endif
