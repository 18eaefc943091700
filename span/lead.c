/* Fields of the lead have fixed places, so each is one comparison. */
#include "span/lead.h"

#include "base/pb.h"

/* Field numbers of `Span` (opentelemetry-proto trace.proto) as tags: shifted by three, with their wire types. */
enum { TRACE_ID = 0x0a, SPAN_ID = 0x12, PARENT_ID = 0x22, NAME = 0x2a, KIND = 0x30, START = 0x39, END = 0x41 };

enum { IDS_SIZE = 28, PARENT_SIZE = 10, TIMES_SIZE = 18, NAME_SIZE_MAX = 127 };

_Static_assert(IDS_SIZE + PARENT_SIZE + 2 + NAME_SIZE_MAX + 2 + TIMES_SIZE <= SM_LEAD_SIZE_MAX, "every lead fits");
_Static_assert(SM_LEAD_SIZE_MAX < 256, "its size fits into the head");

static bool has_ids(const struct sm_span *s, struct sm_trace_id id, const uint8_t *p)
{
    return s->size >= IDS_SIZE && id.hi && p[0] == TRACE_ID && p[1] == 16 && sm_load_be64(p + 2) == id.hi &&
           sm_load_be64(p + 10) == id.lo && p[18] == SPAN_ID && p[19] == 8 && sm_load_be64(p + 20) == s->span_id;
}

static bool has_parent(const struct sm_span *s, const uint8_t *p, uint32_t left)
{
    return left >= PARENT_SIZE && s->parent_id && p[0] == PARENT_ID && p[1] == 8 && sm_load_be64(p + 2) == s->parent_id;
}

static bool has_name(const struct sm_span *s, struct sm_str name, const uint8_t *p, uint32_t left)
{
    return name.len && name.len <= NAME_SIZE_MAX && left >= 2 + name.len && p[0] == NAME && p[1] == name.len &&
           (const uint8_t *)name.ptr == p + 2 && s->name_id != SM_NAME_OVERFLOW;
}

/* Size of kind and times; 0: they are not there. A kind of 0 is not written. */
static uint32_t times_size(const struct sm_span *s, const uint8_t *p, uint32_t left)
{
    uint32_t kind = sm_span_kind(s) ? 2 : 0;
    if (left < kind + TIMES_SIZE || (kind && (p[0] != KIND || p[1] != (uint8_t)sm_span_kind(s))))
        return 0;
    p += kind;
    bool times = p[0] == START && sm_load_le64(p + 1) == s->start_ns && p[9] == END && sm_load_le64(p + 10) == sm_span_end_ns(s);
    return times ? kind + TIMES_SIZE : 0;
}

void sm_lead_mark(struct sm_span *s, struct sm_trace_id id, struct sm_str name, const uint8_t *bytes)
{
    uint32_t at = IDS_SIZE, size = s->size;
    unsigned parts = 0;
    s->lead = 0;
    s->lead_parts = 0;
    if (SM_UNLIKELY(!has_ids(s, id, bytes)))
        return;
    if (has_parent(s, bytes + at, size - at)) {
        parts |= SM_LEAD_PARENT;
        at += PARENT_SIZE;
    }
    if (has_name(s, name, bytes + at, size - at)) {
        parts |= SM_LEAD_NAME;
        at += 2 + (uint32_t)name.len;
    }
    uint32_t times = times_size(s, bytes + at, size - at);
    if (times)
        parts |= SM_LEAD_TIMES;
    s->lead = (at + times) & 255;
    s->lead_parts = parts & 7;
}

bool sm_lead_eq(const struct sm_span *a, const struct sm_span *b)
{
    unsigned parts = a->lead_parts;
    return a->lead == b->lead && parts == b->lead_parts && (!(parts & SM_LEAD_PARENT) || a->parent_id == b->parent_id) &&
           (!(parts & SM_LEAD_NAME) || a->name_id == b->name_id) &&
           (!(parts & SM_LEAD_TIMES) || (a->start_ns == b->start_ns && a->duration_ns == b->duration_ns &&
                                         sm_span_kind(a) == sm_span_kind(b)));
}

static uint8_t *put_id(uint8_t *p, uint8_t tag, uint64_t id)
{
    p[0] = tag;
    p[1] = 8;
    sm_store_be64(p + 2, id);
    return p + 10;
}

static uint8_t *put_time(uint8_t *p, uint8_t tag, uint64_t ns)
{
    p[0] = tag;
    sm_store_le64(p + 1, ns);
    return p + 9;
}

static uint8_t *put_name(uint8_t *p, struct sm_str name)
{
    p[0] = NAME;
    p[1] = (uint8_t)name.len;
    memcpy(p + 2, name.ptr, name.len);
    return p + 2 + name.len;
}

static uint8_t *put_times(uint8_t *p, const struct sm_span *s)
{
    if (sm_span_kind(s)) {
        *p++ = KIND;
        *p++ = (uint8_t)sm_span_kind(s);
    }
    p = put_time(p, START, s->start_ns);
    return put_time(p, END, sm_span_end_ns(s));
}

uint8_t *sm_lead_put(uint8_t *p, struct sm_trace_id id, const struct sm_span *s, const struct sm_names *names)
{
    if (s->lead == 0)
        return p;
    p[0] = TRACE_ID;
    p[1] = 16;
    sm_store_be64(p + 2, id.hi);
    sm_store_be64(p + 10, id.lo);
    p = put_id(p + 18, SPAN_ID, s->span_id);
    if (s->lead_parts & SM_LEAD_PARENT)
        p = put_id(p, PARENT_ID, s->parent_id);
    if (s->lead_parts & SM_LEAD_NAME)
        p = put_name(p, sm_names_get(names, s->name_id));
    return s->lead_parts & SM_LEAD_TIMES ? put_times(p, s) : p;
}

uint8_t *sm_lead_restore(uint8_t *p, struct sm_trace_id id, const struct sm_span *s, const uint8_t *bytes,
                         const struct sm_names *names)
{
    struct sm_str rest = sm_lead_rest(s, bytes);
    p = sm_lead_put(p, id, s, names);
    memcpy(p, rest.ptr, rest.len);
    return p + rest.len;
}
