/* The lead of a span: the fields at the front of its canonical bytes that its head and its trace say as well, which are the
 * trace id, the span id and the parent id where they stand there in this order and form:
 *
 *   0a 10 <16 bytes>  12 08 <8 bytes>  [22 08 <8 bytes>]
 *
 * SDKs and our own transcoders write it so. A trace stores spans without their lead, which is a twelfth of a typical span, and
 * whoever writes whole spans puts the same bytes back. Pointers to canonical bytes still mean where the whole would begin, so that
 * offsets and sizes hold; the first `lead` bytes there are not to be read: walk sm_lead_rest, copy by sm_lead_restore. */
#ifndef SM_LEAD_H
#define SM_LEAD_H

#include "base/base.h"
#include "span/span.h"

enum { SM_LEAD_IDS = 28, SM_LEAD_PARENT = 10, SM_LEAD_SIZE_MAX = SM_LEAD_IDS + SM_LEAD_PARENT };

/* Of whole bytes: SM_LEAD_SIZE_MAX, SM_LEAD_IDS without a parent id that could be left out, or 0. A 64-bit trace id is part of no
 * lead, because it may become another one when the trace is joined. */
SM_INLINE uint32_t sm_lead_of(struct sm_trace_id id, const struct sm_span *s, const uint8_t *bytes)
{
    static const uint8_t trace_tag[2] = {0x0a, 16}, span_tag[2] = {0x12, 8}, parent_tag[2] = {0x22, 8};
    if (s->size < SM_LEAD_IDS || id.hi == 0 || memcmp(bytes, trace_tag, 2) != 0 || memcmp(bytes + 18, span_tag, 2) != 0 ||
        sm_load_be64(bytes + 2) != id.hi || sm_load_be64(bytes + 10) != id.lo || sm_load_be64(bytes + 20) != s->span_id)
        return 0;
    bool parent = s->size >= SM_LEAD_SIZE_MAX && s->parent_id && memcmp(bytes + SM_LEAD_IDS, parent_tag, 2) == 0 &&
                  sm_load_be64(bytes + SM_LEAD_IDS + 2) == s->parent_id;
    return parent ? SM_LEAD_SIZE_MAX : SM_LEAD_IDS;
}

/* The fields behind the lead. */
SM_INLINE struct sm_str sm_lead_rest(const struct sm_span *s, const uint8_t *bytes)
{
    return sm_str((const char *)bytes + s->lead, s->size - s->lead);
}

/* Writes the lead, s->lead bytes; returns its end. */
SM_INLINE uint8_t *sm_lead_put(uint8_t *p, struct sm_trace_id id, const struct sm_span *s)
{
    if (s->lead == 0)
        return p;
    p[0] = 0x0a;
    p[1] = 16;
    sm_store_be64(p + 2, id.hi);
    sm_store_be64(p + 10, id.lo);
    p[18] = 0x12;
    p[19] = 8;
    sm_store_be64(p + 20, s->span_id);
    if (s->lead == SM_LEAD_IDS)
        return p + SM_LEAD_IDS;
    p[28] = 0x22;
    p[29] = 8;
    sm_store_be64(p + 30, s->parent_id);
    return p + SM_LEAD_SIZE_MAX;
}

/* Writes the whole span, s->size bytes; returns its end. */
SM_INLINE uint8_t *sm_lead_restore(uint8_t *p, struct sm_trace_id id, const struct sm_span *s, const uint8_t *bytes)
{
    struct sm_str rest = sm_lead_rest(s, bytes);
    p = sm_lead_put(p, id, s);
    memcpy(p, rest.ptr, rest.len);
    return p + rest.len;
}

#endif
