/* The lead of a span: the fields at the front of its canonical bytes that its head and its trace say as well, as far as they
 * stand there in the order of their numbers and in the usual form:
 *
 *   0a 10 <trace id>  12 08 <span id>  [22 08 <parent id>]  [2a <n> <name>]  [[30 <kind>] 39 <start> 41 <end>]
 *
 * SDKs and our own transcoders write it so. A trace stores spans without their lead, which is a sixth of a typical span, and
 * whoever writes whole spans puts the same bytes back. Pointers to canonical bytes still mean where the whole would begin, so
 * that offsets and sizes hold; the first `lead` bytes there are not to be read: walk sm_lead_rest, copy by sm_lead_restore. */
#ifndef SM_LEAD_H
#define SM_LEAD_H

#include "base/base.h"
#include "span/names.h"
#include "span/span.h"

/* Parts behind trace id and span id, which every lead has: bits of sm_span.lead_parts. */
enum sm_lead_part { SM_LEAD_PARENT = 1, SM_LEAD_NAME = 2, SM_LEAD_TIMES = 4 };

#define SM_LEAD_SIZE_MAX 192 /* names in a lead have fewer than 128 bytes */

/* Finds the lead of whole bytes and notes it in the head, which is complete otherwise. `name`: where the name lies in `bytes`; empty:
 * not in front. A 64-bit trace id is in no lead, because it may become another one when the trace is joined. */
void sm_lead_mark(struct sm_span *s, struct sm_trace_id id, struct sm_str name, const uint8_t *bytes);

/* The fields behind the lead. */
SM_INLINE struct sm_str sm_lead_rest(const struct sm_span *s, const uint8_t *bytes)
{
    return sm_str((const char *)bytes + s->lead, s->size - s->lead);
}

/* True when the leads of two spans of one trace and span id are the same bytes. */
bool sm_lead_eq(const struct sm_span *a, const struct sm_span *b);

/* Writes the lead, s->lead bytes; returns its end. */
uint8_t *sm_lead_put(uint8_t *p, struct sm_trace_id id, const struct sm_span *s, const struct sm_names *names);

/* Writes the whole span, s->size bytes; returns its end. */
uint8_t *sm_lead_restore(uint8_t *p, struct sm_trace_id id, const struct sm_span *s, const uint8_t *bytes,
                         const struct sm_names *names);

#endif
