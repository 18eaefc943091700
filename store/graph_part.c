/* Rows of the dependency graph: one per edge. */
#include "store/graph_part.h"

#include "base/pb.h"

enum { COUNTS = 32 * SM_HIST_SUB }; /* as many pages as a histogram has bits for */

static void put_varint(struct sm_buf *b, uint64_t v)
{
    sm_buf_reserve(b, SM_PB_VARINT_SIZE_MAX);
    b->size = (size_t)(sm_pb_put_varint(b->data + b->size, v) - b->data);
}

static void put_name(struct sm_buf *b, struct sm_str name, unsigned more)
{
    name.len = SM_MIN(name.len, (size_t)SM_GRAPH_PART_NAME_MAX);
    put_varint(b, name.len + more);
    sm_buf_put_str(b, name);
}

static void put_latency(struct sm_buf *b, const struct sm_hist *h)
{
    uint64_t counts[SM_HIST_BUCKETS] = {0};
    unsigned buckets = 0;
    sm_hist_add_counts(h, counts);
    for (unsigned i = 0; i < SM_HIST_BUCKETS; i++)
        buckets += counts[i] != 0;
    put_varint(b, h->count);
    put_varint(b, h->sum_ns);
    put_varint(b, buckets);
    for (unsigned i = 0; i < SM_HIST_BUCKETS; i++) {
        if (!counts[i])
            continue;
        sm_buf_putc(b, (char)i);
        put_varint(b, counts[i]);
    }
}

bool sm_graph_part_put(struct sm_graph_part *part, const struct sm_graph_edge *edge)
{
    struct sm_buf *b = &part->rows;
    size_t before = b->size;
    if (part->edges && sm_str_eq(part->parent, edge->parent))
        put_varint(b, 0);
    else
        put_name(b, edge->parent, 1);
    put_name(b, edge->child, 0);
    put_varint(b, edge->types);
    put_varint(b, edge->calls);
    put_varint(b, edge->errors);
    put_latency(b, &edge->latency);
    if (b->size > SM_GRAPH_PART_ROWS_MAX) {
        b->size = before;
        return false;
    }
    part->parent = edge->parent;
    part->edges++;
    return true;
}

static const uint8_t *get_name(const uint8_t *p, const uint8_t *end, uint64_t len, struct sm_str *name)
{
    if (!p || len > SM_GRAPH_PART_NAME_MAX || len > (uint64_t)(end - p))
        return NULL;
    *name = sm_str(p, len);
    return p + len;
}

/* Fills *h, whose pages are `counts`, room for every bucket: buckets come in order, so pages can be laid out as they come. */
static const uint8_t *get_latency(const uint8_t *p, const uint8_t *end, uint32_t counts[COUNTS], struct sm_hist *h)
{
    uint64_t buckets, n;
    uint32_t *page = NULL, next = 0;
    *h = (struct sm_hist){0};
    if (!(p = sm_pb_varint(p, end, &h->count)) || !(p = sm_pb_varint(p, end, &h->sum_ns)) || !(p = sm_pb_varint(p, end, &buckets)))
        return NULL;
    for (h->page = counts; buckets; buckets--) {
        if (p == end || *p >= SM_HIST_BUCKETS || *p < next)
            return NULL;
        unsigned bucket = *p++;
        next = bucket + 1;
        if (!(h->pages >> bucket / SM_HIST_SUB & 1)) {
            page = counts + __builtin_popcount(h->pages) * SM_HIST_SUB;
            memset(page, 0, SM_HIST_SUB * sizeof *page);
            h->pages |= UINT32_C(1) << bucket / SM_HIST_SUB;
        }
        if (!(p = sm_pb_varint(p, end, &n)) || n > UINT32_MAX)
            return NULL;
        page[bucket % SM_HIST_SUB] = (uint32_t)n;
    }
    return p;
}

static const uint8_t *get_row(const uint8_t *p, const uint8_t *end, bool first, uint32_t counts[COUNTS],
                              struct sm_graph_edge *edge)
{
    uint64_t len, types;
    if (!(p = sm_pb_varint(p, end, &len)) || (first && len == 0))
        return NULL;
    if (len && !(p = get_name(p, end, len - 1, &edge->parent)))
        return NULL;
    if (!(p = sm_pb_varint(p, end, &len)) || !(p = get_name(p, end, len, &edge->child)))
        return NULL;
    if (!(p = sm_pb_varint(p, end, &types)) || types > UINT8_MAX)
        return NULL;
    edge->types = (uint32_t)types;
    if (!(p = sm_pb_varint(p, end, &edge->calls)) || !(p = sm_pb_varint(p, end, &edge->errors)))
        return NULL;
    return get_latency(p, end, counts, &edge->latency);
}

bool sm_graph_part_rows(struct sm_str rows, uint32_t edges, sm_graph_edge_fn fn, void *ctx)
{
    const uint8_t *p = (const uint8_t *)rows.ptr, *end = sm_pb_end(rows.ptr, rows.len);
    struct sm_graph_edge edge = {0};
    uint32_t counts[COUNTS];
    for (uint32_t i = 0; i < edges; i++) {
        p = get_row(p, end, i == 0, counts, &edge);
        if (!p)
            return false;
        fn(ctx, &edge);
    }
    return p == end;
}
