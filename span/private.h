/* The private field of canonical span bytes: what the sender's format said and OTLP cannot.
 *
 * One length-delimited field of the Span message, number SM_PRIVATE_FIELD, written by our transcoding codecs as the last
 * field of a span. It lets Zipkin and Jaeger spans leave as they came, through journal, store, replay and hops between
 * spanmill processes. docs/formats/private-field.md describes it byte by byte. Other OTLP receivers skip unknown fields;
 * what they should see of it is written as plain attributes by sm_private_plain.
 *
 * Content from outside is checked like everything else: a malformed private field reads as absent. */
#ifndef SM_PRIVATE_H
#define SM_PRIVATE_H

#include "base/base.h"
#include "span/span.h"

#define SM_PRIVATE_FIELD 1973

/* The format that a span came in. Stored: values never change. */
enum sm_origin {
    SM_ORIGIN_OTLP = 0,
    SM_ORIGIN_ZIPKIN_V2 = 1, /* JSON or protobuf */
    SM_ORIGIN_ZIPKIN_V1 = 2, /* JSON or thrift */
    SM_ORIGIN_JAEGER = 3,
};

/* Bits of sm_private.flags. Stored: values never change. */
enum sm_private_flag {
    SM_PRIVATE_SHARED = 1 << 0,         /* SM_SPAN_SHARED */
    SM_PRIVATE_DEBUG = 1 << 1,          /* SM_SPAN_DEBUG */
    SM_PRIVATE_ID64 = 1 << 2,           /* SM_SPAN_ID64 */
    SM_PRIVATE_STATUS_DERIVED = 1 << 3, /* the status field was made from tags, which are still there as attributes */
    SM_PRIVATE_PEER_ADDED = 1 << 4,     /* the last attribute peer.service is the remote endpoint's service, not a tag */
    SM_PRIVATE_PARENT_FOLLOWS = 1 << 5, /* Jaeger: the reference that named the parent is a FOLLOWS_FROM */
};

/* Network address and, for the remote side, service of an endpoint; parts that are absent are NULL, empty or 0. */
struct sm_private_endpoint {
    struct sm_str service;
    const uint8_t *ipv4; /* 4 bytes, network order */
    const uint8_t *ipv6; /* 16 bytes */
    uint16_t port;
};

/* Views point into what was decoded or what the writer was given. */
struct sm_private {
    enum sm_origin origin;
    uint32_t flags;                     /* enum sm_private_flag */
    struct sm_private_endpoint local;   /* its service is the resource's service.name; `service` is not written */
    struct sm_private_endpoint remote;  /* service only when peer.service was a tag that said something else */
    uint64_t duration_ns;               /* of a span without a start time, which has no place for it */
    uint32_t jaeger_flags;              /* Span.flags as sent */
    uint32_t parent_reference;          /* Jaeger: 1 + index of the reference that gave the parent; 0: parentSpanId did */
};

/* Decodes the field's content; false when it is malformed. Unknown members are skipped. */
bool sm_private_decode(const uint8_t *content, size_t size, struct sm_private *priv);

/* Finds and decodes the field in a span's bytes; false (and all zeros, which is what an OTLP span has) without one. */
bool sm_private_find(const uint8_t *span, size_t size, struct sm_private *priv);

/* The same of a span in a batch or trace that came in one of Zipkin's formats, by its side record; false for others, and for heads
 * without side records, whose bytes are gone (NULL). */
bool sm_private_read(const struct sm_span *span, const uint8_t *bytes, struct sm_private *priv);

/* Writes the whole field, tag included, and returns the position behind it. Room: sm_private_size_max. */
uint8_t *sm_private_put(uint8_t *p, const struct sm_private *priv);

SM_INLINE size_t sm_private_size_max(const struct sm_private *priv)
{
    return 128 + priv->remote.service.len;
}

/* The header bits (enum sm_span_flag) that the field stands for, SM_SPAN_PRIVATE included. */
uint16_t sm_private_span_flags(const struct sm_private *priv);

/* Marks the header of a span that has the field: with these flags, and as one of Zipkin's. Those get a side record, too (SM_SLOT_PRIVATE),
 * from who knows where the field stands. */
void sm_private_mark(const struct sm_private *priv, struct sm_span *span);

/* Appends a span as any OTLP receiver should see it: the private field is taken out and what it says is written as plain
 * attributes (network.local.*, network.peer.*, zipkin.shared, sampling.priority, otel.zipkin.absentField.startTime) where
 * the span does not have them already; the tag error=true that became a status goes, and so do Jaeger's tags that repeat a key.
 * Spans without the field are copied. */
struct sm_buf;
void sm_private_plain(struct sm_str span, struct sm_buf *out);

#endif
