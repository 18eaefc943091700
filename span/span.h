/* The span as the pipeline sees it: a 48-byte header beside its canonical bytes.
 *
 * The canonical bytes of a span are its OTLP protobuf encoding (the content of one `Span` message, opentelemetry-proto
 * trace.proto). Spans that came in as OTLP are kept exactly as they came; others are transcoded once by their codec.
 * What OTLP cannot say (source format, shared, debug, local endpoint, ...) travels in a private field (span/private.h).
 *
 * A header is followed in memory by `n_wanted` side records, one per attribute key that somebody wants (span/wanted.h) and one for
 * the private field of a span of Zipkin's, then padding to 8 bytes. The trace id is the trace's; a span's position in its trace
 * follows from order. */
#ifndef SM_SPAN_H
#define SM_SPAN_H

#include "base/base.h"

enum sm_kind { SM_KIND_UNSPECIFIED, SM_KIND_INTERNAL, SM_KIND_SERVER, SM_KIND_CLIENT, SM_KIND_PRODUCER, SM_KIND_CONSUMER };
enum sm_status { SM_STATUS_UNSET, SM_STATUS_OK, SM_STATUS_ERROR };

/* Bits of sm_span.flags. */
enum sm_span_flag {
    SM_SPAN_SHARED = 1 << 0,         /* Zipkin/B3: the server half shares its client's id */
    SM_SPAN_DEBUG = 1 << 1,          /* Zipkin debug, Jaeger debug flag: keep whatever the rules say */
    SM_SPAN_ERROR_TAG = 1 << 2,      /* an attribute named "error" exists (Zipkin's linker counts it, whatever its value) */
    SM_SPAN_ERROR = 1 << 3,          /* failed: status ERROR, or an error tag neither "false" nor false */
    SM_SPAN_ID64 = 1 << 4,           /* the sender wrote a 64-bit trace id */
    SM_SPAN_NO_START = 1 << 5,       /* the sender gave no start time; start_ns is 0 */
    SM_SPAN_NO_DURATION = 1 << 6,    /* the sender gave no duration or end; duration_ns is 0 */
    SM_SPAN_TRACESTATE = 1 << 7,     /* field 3 present and not empty */
    SM_SPAN_LINKS = 1 << 8,          /* at least one link */
    SM_SPAN_PRIVATE = 1 << 9,        /* our private field is present */
    SM_SPAN_W3C_RANDOM = 1 << 10,    /* W3C trace flag "random": the id's low 56 bits are random */
    SM_SPAN_REMOTE_PARENT = 1 << 11, /* flags said that the parent is in another process */
    SM_SPAN_LOCAL_PARENT = 1 << 12,  /* flags said that it is in this one (neither bit: not said) */
    SM_SPAN_PRIORITY = 1 << 13,      /* attribute sampling.priority > 0 */
    SM_SPAN_EVENTS = 1 << 14,        /* at least one event */
    SM_SPAN_DUPLICATE = 1 << 15,     /* taken out: same key and content as an earlier span of the trace */
};

struct sm_span {
    uint64_t span_id;   /* the 8 bytes read big-endian; never 0 */
    uint64_t parent_id; /* 0: none */
    uint64_t start_ns;  /* Unix time */
    uint64_t duration_ns;
    uint32_t name_id;    /* span/names.h; SM_NAME_OVERFLOW: the table is full, read the name from the bytes */
    uint32_t scope_id;   /* span/scope.h; leads to the resource and the service */
    uint32_t size : 20;  /* of the canonical bytes; at most SM_SPAN_SIZE_MAX */
    uint32_t lead : 8;   /* bytes at their front that head and trace say, too (span/lead.h), */
    uint32_t lead_parts : 3; /* and what they are */
    uint32_t zipkin : 1; /* came in one of Zipkin's formats: what the private field says, here so that decisions need not look for it */
    uint16_t flags;      /* enum sm_span_flag */
    uint8_t kind_status; /* kind | status << 4 */
    uint8_t n_wanted;
};

_Static_assert(sizeof(struct sm_span) == 48, "the header is copied per span; keep it at 48 bytes");

/* Offsets in side records have 20 bits. */
#define SM_SPAN_SIZE_MAX ((UINT32_C(1) << 20) - 1)

SM_INLINE enum sm_kind sm_span_kind(const struct sm_span *s)
{
    return (enum sm_kind)(s->kind_status & 15);
}

SM_INLINE enum sm_status sm_span_status(const struct sm_span *s)
{
    return (enum sm_status)(s->kind_status >> 4);
}

SM_INLINE uint64_t sm_span_end_ns(const struct sm_span *s)
{
    return s->start_ns + s->duration_ns;
}

/* A side record: slot << 20 | offset in the canonical bytes of the attribute's AnyValue, that is of the varint length that
 * precedes the AnyValue message. Ordered by position in the span; the first occurrence of a repeated key counts. */
#define SM_WANTED_RECORD(slot, offset) ((uint32_t)(slot) << 20 | (uint32_t)(offset))
#define SM_WANTED_SLOT(record)         ((record) >> 20)
#define SM_WANTED_OFFSET(record)       ((record)&0xfffff)

/* The slot of a record that is no attribute's: spans of Zipkin's have one for their private field (span/private.h); its offset is
 * that of the varint length of the field's content. */
#define SM_SLOT_PRIVATE UINT32_C(0xfff)

/* Side records of a header that lies in a batch or a trace (not of a copied struct). */
SM_INLINE const uint32_t *sm_span_wanted(const struct sm_span *s)
{
    return (const uint32_t *)(s + 1);
}

/* Header, side records and padding. */
SM_INLINE uint32_t sm_span_head_size(const struct sm_span *s)
{
    return (uint32_t)sizeof *s + ((s->n_wanted * 4u + 7u) & ~7u);
}

struct sm_trace_id {
    uint64_t hi; /* 0: a 64-bit id */
    uint64_t lo;
};

SM_INLINE bool sm_trace_id_eq(struct sm_trace_id a, struct sm_trace_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* May mean one trace: the same id, or a 64-bit form of it. */
SM_INLINE bool sm_trace_id_meets(struct sm_trace_id a, struct sm_trace_id b)
{
    return a.lo == b.lo && (a.hi == b.hi || !a.hi || !b.hi);
}

/* Byte order of the 16-byte form. */
SM_INLINE int sm_trace_id_cmp(struct sm_trace_id a, struct sm_trace_id b)
{
    return a.hi != b.hi ? (a.hi < b.hi ? -1 : 1) : (a.lo > b.lo) - (a.lo < b.lo);
}

#define SM_TRACE_ID_HEX_SIZE 33 /* 32 digits and a NUL */
#define SM_SPAN_ID_HEX_SIZE  17

/* Lower-case hex, NUL-terminated; always 32 (16) digits. */
void sm_trace_id_hex(struct sm_trace_id id, char out[SM_TRACE_ID_HEX_SIZE]);
void sm_span_id_hex(uint64_t id, char out[SM_SPAN_ID_HEX_SIZE]);

/* 1-32 hex digits of either case, left-padded with zeros. SM_E_INVALID for anything else and for all zeros. */
enum sm_rc sm_trace_id_parse(struct sm_str text, struct sm_trace_id *id) SM_MUST_USE;
/* 1-16 hex digits. */
enum sm_rc sm_span_id_parse(struct sm_str text, uint64_t *id) SM_MUST_USE;

const char *sm_kind_name(enum sm_kind kind);       /* "unspecified", "internal", "server", ... */
const char *sm_status_name(enum sm_status status); /* "unset", "ok", "error" */

#endif
