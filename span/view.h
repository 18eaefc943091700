/* A sealed trace laid out flat for deciding and analysing: spans by index, duplicates taken out, parents resolved.
 *
 * A view borrows the trace and lives in scratch memory of the shard that is reused from trace to trace; nothing keeps a
 * pointer into it. Building one costs O(spans) and one small hash table in the scratch. */
#ifndef SM_VIEW_H
#define SM_VIEW_H

#include "base/base.h"
#include "span/names.h"
#include "span/scope.h"
#include "span/span.h"
#include "span/trace.h"

#define SM_VIEW_NONE UINT32_MAX

struct sm_view_span {
    const struct sm_span *span;
    const uint8_t *bytes;
    const struct sm_resource *resource;
    uint32_t parent; /* index of the parent by id (for a shared server half: its client half), SM_VIEW_NONE; never leads in a cycle */
    uint32_t next_same_id; /* index of the next span with the same span id (another half, another record), SM_VIEW_NONE */
};

struct sm_view {
    const struct sm_trace *trace;
    struct sm_view_span *spans; /* context first, then in arrival order, without duplicates */
    uint32_t count;
    uint32_t context; /* how many of them, at the front, were analysed before: late spans are linked to them. Theirs are
                         heads only (bytes is NULL, no side records); 0 but for late spans */
    uint32_t cycles;     /* parent links that were cut because they led back to the span itself */
    uint32_t duplicates; /* spans with the same key and content as an earlier one that this build found and marked */
    uint32_t duplicate_bytes;
    uint32_t root;       /* index of the first span without a parent id, else of the earliest one whose parent is absent */
    uint64_t start_ns;   /* of the trace; 0: no span has a start */
    uint64_t duration_ns; /* max end - min start */
    bool error;          /* any span failed */
};

struct sm_view_scratch;
struct sm_view_scratch *sm_view_scratch_new(const struct sm_names *names, const struct sm_scopes *scopes);
void sm_view_scratch_free(struct sm_view_scratch *s);

/* Builds the view of a settled trace; valid until the next build with the same scratch. Duplicates are marked in the trace
 * (SM_SPAN_DUPLICATE), so that nobody who walks it later sees them; the caller corrects its counts. */
const struct sm_view *sm_view_build(struct sm_view_scratch *scratch, struct sm_trace *trace);

/* The same for spans that came after their trace was decided: `context` holds the heads of `context_count` spans that went
 * before (borrowed as long as the view; they name resources, so their scopes must still be alive). Late spans whose head
 * equals one of them are duplicates. */
const struct sm_view *sm_view_build_late(struct sm_view_scratch *scratch, struct sm_trace *trace,
                                         const struct sm_span *context, uint32_t context_count);

/* First span with this id, SM_VIEW_NONE; follow next_same_id for more. */
uint32_t sm_view_find(const struct sm_view_scratch *scratch, uint64_t span_id);

/* Texts. Name of a span (also when the name table overflowed) and of its service. */
struct sm_str sm_view_name(const struct sm_view_scratch *scratch, const struct sm_view_span *s);
struct sm_str sm_view_service(const struct sm_view_scratch *scratch, const struct sm_view_span *s);

#endif
