/* Jaeger's span model on its way in: what the codecs of its wire formats (thrift compact and binary, api_v2 protobuf) share.
 *
 * A codec parses its format and says what it found; this file writes the canonical span: tags as attributes in their order,
 * duplicates included; the tag span.kind as kind; the tags error, otel.status_code and http.status_code as status (they stay
 * attributes); logs as events, their first text field `event` as the name; the reference that names the parent as the parent, the
 * others as links with the attribute opentracing.ref_type; the process as the resource, its tags as they are. What remains
 * (flags, which reference named the parent) goes into the private field, so that query/jaeger_json.c writes what was read.
 *
 * Thrift's strings are bytes: text that is not UTF-8 is taken with U+FFFD in place of what is wrong. */
#ifndef SM_JAEGER_H
#define SM_JAEGER_H

#include "span/codec/build.h"
#include "span/private.h"

enum sm_jaeger_type { SM_JAEGER_STRING, SM_JAEGER_BOOL, SM_JAEGER_INT, SM_JAEGER_DOUBLE, SM_JAEGER_BINARY };

/* Texts lie in the payload. */
struct sm_jaeger_tag {
    struct sm_str key;
    enum sm_jaeger_type type;
    struct sm_str text; /* string or binary */
    union {
        bool b;
        int64_t i;
        double d;
    };
};

enum sm_jaeger_ref { SM_JAEGER_CHILD_OF, SM_JAEGER_FOLLOWS_FROM };

struct sm_jaeger_reference {
    enum sm_jaeger_ref type; /* anything else that a sender says reads as FOLLOWS_FROM */
    struct sm_trace_id trace;
    uint64_t id;
};

/* A text in the arena; size 0: none. */
struct sm_jaeger_place {
    size_t at, size;
};

/* One per call of a codec. The fields from `trace` on describe the span being built; the codec sets ids, times and flags in
 * any order before sm_jaeger_refer. */
struct sm_jaeger_in {
    struct sm_build build;
    uint32_t scope_id;              /* of the process that spans belong to */
    enum sm_reject process_reject;  /* why that process cannot be taken, nor its spans; SM_REJECT_COUNT: it can */
    size_t process_at; /* while one is being built: where, and what belongs to the span around it */
    enum sm_reject span_reject;
    uint32_t span_attributes;
    struct sm_jaeger_place name, description, http_message;
    uint32_t fields;           /* of the log being built */
    uint32_t http_status;      /* 0: not told */
    uint32_t parent_reference; /* 1 + index; 0: none */
    uint32_t references;       /* seen so far */
    uint8_t status_tag;        /* enum sm_status that otel.status_code gave */
    bool event_named;          /* the log being built has its name */
    bool parent_follows;       /* the parent's reference is a FOLLOWS_FROM */
    bool refers_to_itself;
    bool own_parent;           /* parentSpanId is the span's own id */

    struct sm_trace_id trace;
    uint64_t id, parent_id; /* parent_id 0: none */
    uint64_t start_ns, duration_ns;
    uint32_t flags;
    enum sm_kind kind;
};

enum sm_rc sm_jaeger_open(struct sm_jaeger_in *j, struct sm_decoder *d, struct sm_batch *batch, size_t size_hint) SM_MUST_USE;
void sm_jaeger_close(struct sm_jaeger_in *j);

/* All of these are false when memory is exhausted; limits mark the span as refused. */

/* A process, before its spans or within one: begins with its service, then its tags, then ends; scope_id is set. */
bool sm_jaeger_process_begin(struct sm_jaeger_in *j, struct sm_str service) SM_MUST_USE;
bool sm_jaeger_process_tag(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag) SM_MUST_USE;
void sm_jaeger_process_end(struct sm_jaeger_in *j);

bool sm_jaeger_begin(struct sm_jaeger_in *j) SM_MUST_USE;
bool sm_jaeger_name(struct sm_jaeger_in *j, struct sm_str name) SM_MUST_USE;
bool sm_jaeger_tag(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag) SM_MUST_USE;
/* A log: *at is for its end. */
bool sm_jaeger_log_begin(struct sm_jaeger_in *j, size_t *at) SM_MUST_USE;
bool sm_jaeger_log_field(struct sm_jaeger_in *j, const struct sm_jaeger_tag *tag) SM_MUST_USE;
bool sm_jaeger_log_end(struct sm_jaeger_in *j, size_t at, uint64_t time_ns) SM_MUST_USE;

/* References come last, twice: all of them to _refer, which finds the parent, then all of them to _link. */
void sm_jaeger_refer(struct sm_jaeger_in *j, const struct sm_jaeger_reference *r);
bool sm_jaeger_link(struct sm_jaeger_in *j, const struct sm_jaeger_reference *r) SM_MUST_USE;
/* Between the two. */
bool sm_jaeger_referred(struct sm_jaeger_in *j) SM_MUST_USE;

bool sm_jaeger_commit(struct sm_jaeger_in *j) SM_MUST_USE;

/* Times in microseconds as thrift has them. What cannot be nanoseconds marks the span as refused. */
uint64_t sm_jaeger_time_ns(struct sm_jaeger_in *j, int64_t us);
/* A negative duration, which clients with jumping clocks send, reads as 0. */
uint64_t sm_jaeger_duration_ns(struct sm_jaeger_in *j, int64_t us);

#endif
