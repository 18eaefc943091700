/* Codecs: one file per wire format, decode and encode side by side. Pure functions over bytes.
 *
 * Decode is one validating walk: no tree, no allocation per span (the batch's arrays and arena are recycled and grow
 * seldom). Spans that break a limit are refused one by one (sm_batch_reject) and the good ones beside them go on; a payload
 * whose framing is broken is refused whole. */
#ifndef SM_CODEC_H
#define SM_CODEC_H

#include "base/base.h"
#include "base/payload.h"
#include "span/batch.h"
#include "span/scope.h"
#include "span/wanted.h"

/* Limits on what comes in; see docs for the defaults' reasons. */
struct sm_codec_limits {
    uint32_t attributes_max;  /* per span, event, link, resource: 1,024 */
    uint32_t value_bytes_max; /* 65,536; 128 at least: shorter values are not compared with it */
    uint32_t span_bytes_max;  /* 1 MiB - 1 = SM_SPAN_SIZE_MAX at most */
    uint32_t depth_max;       /* 32 */
    uint32_t spans_max;       /* per payload: 1,000,000 */
    bool repair_ids;          /* put right the ids that Envoy writes with their bytes reversed (Zipkin protobuf) */
};

extern const struct sm_codec_limits sm_codec_limits_default;

/* What decoding needs beside the bytes; one per worker. */
struct sm_decoder {
    struct sm_names *names;
    struct sm_names_cache *names_cache;
    struct sm_scopes_cache *scopes;
    const struct sm_wanted *wanted;
    struct sm_codec_limits limits;
    struct sm_payload_pool *pool; /* arena of transcoding codecs */
};

/* The stored traces and spans that an encoder writes: canonical bytes with their resource and scope. */
struct sm_encode_span {
    struct sm_str resource, resource_schema_url; /* contents of the messages */
    struct sm_str scope, scope_schema_url;
    struct sm_str bytes; /* canonical span */
};

struct sm_buf;

struct sm_codec {
    const char *name; /* "otlp_proto", "zipkin_json", ... */

    /* Decodes `payload` (borrowed; take a reference to keep its bytes) into the cleared batch. batch->payload is set by the
     * codec: either the payload itself (one more reference) or an arena from decoder->pool. SM_OK also when some or all
     * spans were rejected. SM_E_INVALID, SM_E_TRUNCATED, SM_E_LIMIT, SM_E_UNSUPPORTED: the payload is refused whole, err says why in words
     * meant for the client, and the batch holds nothing. */
    enum sm_rc (*decode)(struct sm_decoder *d, struct sm_payload *payload, struct sm_batch *batch, struct sm_err *err);

    /* Appends the format's encoding of these spans (NULL: decode only). For list formats a whole document. */
    void (*encode)(const struct sm_encode_span *spans, size_t count, struct sm_buf *out);
};

extern const struct sm_codec sm_codec_otlp_proto;
extern const struct sm_codec sm_codec_otlp_json;
extern const struct sm_codec sm_codec_zipkin_json;
extern const struct sm_codec sm_codec_zipkin_proto;
extern const struct sm_codec sm_codec_zipkin_v1_json;
extern const struct sm_codec sm_codec_zipkin_v1_thrift;
/* Lists of Zipkin spans in whatever format their bytes are in; JSON is of either version, or of the one that is named. */
extern const struct sm_codec sm_codec_zipkin_any;
extern const struct sm_codec sm_codec_zipkin_any_v1;
extern const struct sm_codec sm_codec_zipkin_any_v2;
extern const struct sm_codec sm_codec_jaeger_compact; /* thrift messages emitBatch and emitZipkinBatch, compact protocol */
extern const struct sm_codec sm_codec_jaeger_binary;  /* the same, binary protocol */
extern const struct sm_codec sm_codec_jaeger_batch;   /* thrift struct Batch, binary protocol */
extern const struct sm_codec sm_codec_jaeger_proto;   /* PostSpansRequest of api_v2 */
extern const struct sm_codec sm_codec_jaeger_span;    /* one Span of api_v2, protobuf */
extern const struct sm_codec sm_codec_jaeger_json;    /* one Span of api_v2, JSON */
extern const struct sm_codec sm_codec_jaeger_ui_json; /* traces as the query API gives them */
/* What Kafka producers write, in whatever of these formats the bytes are: OTLP, lists of Zipkin spans, Jaeger's spans. */
extern const struct sm_codec sm_codec_any;
extern const struct sm_codec sm_codec_msgpack;        /* batches of the agent protocol */

#endif
