/* From version 1 of Zipkin's model to version 2, after zipkin2's V1SpanConverter. */
#include "span/codec/zipkin_v1.h"

#include "base/utf8.h"

#include <stdlib.h>

enum { NOBODY = SM_ZIPKIN_V1_NOBODY, NO_PART = -1 };

enum sm_rc sm_zipkin_v1_open(struct sm_zipkin_v1 *v, struct sm_decoder *d, struct sm_batch *batch, size_t payload_size)
{
    /* No annotation takes less than eight bytes in either format. */
    v->items_max = (uint32_t)SM_MIN((size_t)d->limits.attributes_max, payload_size / 8 + 1);
    v->texts = NULL;
    v->payload_size = payload_size;
    v->room = sm_payload_new(d->pool, v->items_max * (sizeof *v->annotations + sizeof *v->tags));
    if (!v->room)
        return SM_E_NOMEM;
    v->annotations = (struct sm_zipkin_v1_annotation *)v->room->data;
    v->tags = (struct sm_zipkin_v1_tag *)(v->annotations + v->items_max);
    enum sm_rc rc = sm_zipkin_open(&v->z, d, batch, payload_size);
    if (rc != SM_OK)
        sm_payload_put(v->room);
    return rc;
}

void sm_zipkin_v1_close(struct sm_zipkin_v1 *v, enum sm_rc rc)
{
    if (rc == SM_OK)
        sm_zipkin_close(&v->z);
    else
        sm_batch_clear(v->z.build.batch);
    sm_payload_put(v->room);
    sm_payload_put(v->texts);
}

void sm_zipkin_v1_begin(struct sm_zipkin_v1 *v)
{
    size_t from = offsetof(struct sm_zipkin_v1, annotations_n);
    memset((uint8_t *)v + from, 0, sizeof *v - from);
    v->cs = v->cr = v->sr = v->ss = v->ms = v->mr = v->ws = v->wr = NULL;
    v->sa = v->ca = v->ma = NOBODY;
    v->reject = SM_REJECT_COUNT;
    v->texts_size = 0;
}

uint8_t *sm_zipkin_v1_text(struct sm_zipkin_v1 *v, size_t size)
{
    if (!v->texts) {
        v->texts = sm_payload_new(v->z.build.d->pool, 3 * v->payload_size + 64);
        if (!v->texts) {
            v->z.build.no_memory = true;
            return NULL;
        }
    }
    if (SM_UNLIKELY(v->texts->capacity - v->texts_size < size)) {
        v->z.build.no_memory = true;
        return NULL;
    }
    uint8_t *text = v->texts->data + v->texts_size;
    v->texts_size += size;
    return text;
}

/* Zipkin knows services in lower case. */
static bool same_name(struct sm_str a, struct sm_str b)
{
    uint8_t x[SM_BUILD_SERVICE_MAX], y[SM_BUILD_SERVICE_MAX];
    if (a.len != b.len)
        return false;
    if (SM_LIKELY(a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0))
        return true;
    if (a.len > sizeof x)
        return false;
    sm_utf8_lower(x, a.ptr, a.len);
    sm_utf8_lower(y, b.ptr, b.len);
    return memcmp(x, y, a.len) == 0;
}

static bool same_address(const struct sm_zipkin_address *a, const struct sm_zipkin_address *b)
{
    return a->port == b->port && a->has_ipv4 == b->has_ipv4 && a->has_ipv6 == b->has_ipv6 &&
           (!a->has_ipv4 || memcmp(a->ipv4, b->ipv4, sizeof a->ipv4) == 0) &&
           (!a->has_ipv6 || memcmp(a->ipv6, b->ipv6, sizeof a->ipv6) == 0);
}

static bool is_blank(const struct sm_zipkin_v1_endpoint *e)
{
    return e->service.len == 0 && !e->address.has_ipv4 && !e->address.has_ipv6 && e->address.port == 0;
}

int16_t sm_zipkin_v1_endpoint(struct sm_zipkin_v1 *v, const struct sm_zipkin_v1_endpoint *endpoint)
{
    if (is_blank(endpoint))
        return NOBODY;
    for (uint32_t i = 0; i < v->endpoints_n; i++) {
        const struct sm_zipkin_v1_endpoint *known = &v->endpoints[i];
        if (same_address(&known->address, &endpoint->address) && same_name(known->service, endpoint->service))
            return (int16_t)i;
    }
    if (v->endpoints_n == SM_ZIPKIN_V1_ENDPOINTS_MAX) {
        sm_zipkin_v1_refuse(v, SM_REJECT_ATTRIBUTES);
        return NOBODY;
    }
    v->endpoints[v->endpoints_n] = *endpoint;
    return (int16_t)v->endpoints_n++;
}

static int compare_texts(struct sm_str a, struct sm_str b)
{
    int c = memcmp(a.ptr, b.ptr, SM_MIN(a.len, b.len));
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

static int by_order(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int by_time(const void *x, const void *y)
{
    const struct sm_zipkin_v1_annotation *a = x, *b = y;
    if (a->timestamp_us != b->timestamp_us)
        return a->timestamp_us < b->timestamp_us ? -1 : 1;
    int c = compare_texts(a->value, b->value);
    return c ? c : by_order(a->order, b->order);
}

static int by_key(const void *x, const void *y)
{
    const struct sm_zipkin_v1_tag *a = x, *b = y;
    int c = compare_texts(a->key, b->key);
    return c ? c : by_order(a->order, b->order);
}

void sm_zipkin_v1_annotation(struct sm_zipkin_v1 *v, uint64_t timestamp_us, struct sm_str value, int16_t endpoint)
{
    uint32_t n = v->annotations_n;
    if (n == v->items_max) {
        sm_zipkin_v1_refuse(v, SM_REJECT_ATTRIBUTES);
        return;
    }
    v->annotations[n] = (struct sm_zipkin_v1_annotation){timestamp_us, value, n, endpoint, NO_PART};
    v->unsorted |= n && by_time(&v->annotations[n - 1], &v->annotations[n]) > 0;
    v->annotations_n++;
}

bool sm_zipkin_v1_is_address(struct sm_str key)
{
    return key.len == 2 && key.ptr[1] == 'a' && (key.ptr[0] == 's' || key.ptr[0] == 'c' || key.ptr[0] == 'm');
}

/* An address without an endpoint takes none away. */
static void take_address(struct sm_zipkin_v1 *v, char side, int16_t endpoint)
{
    if (endpoint == NOBODY)
        return;
    if (side == 's')
        v->sa = endpoint;
    else if (side == 'c')
        v->ca = endpoint;
    else
        v->ma = endpoint;
}

void sm_zipkin_v1_tag(struct sm_zipkin_v1 *v, struct sm_str key, struct sm_str value, int16_t endpoint)
{
    if (sm_zipkin_v1_is_address(key))
        take_address(v, key.ptr[0], endpoint);
    else if (v->tags_n == v->items_max)
        sm_zipkin_v1_refuse(v, SM_REJECT_ATTRIBUTES);
    else {
        v->tags[v->tags_n] = (struct sm_zipkin_v1_tag){key, value, v->tags_n, endpoint, 0};
        v->mixed_tags |= endpoint != v->tags[0].endpoint;
        v->tags_n++;
    }
}

static bool same_service(const struct sm_zipkin_v1 *v, int16_t a, int16_t b)
{
    return a == b || (a != NOBODY && b != NOBODY && same_name(v->endpoints[a].service, v->endpoints[b].service));
}

/* Parts are no more than the endpoints, two forks and the first, so that there is always room. */
static int16_t new_part(struct sm_zipkin_v1 *v, int16_t endpoint)
{
    SM_ASSERT(v->parts_n < SM_ZIPKIN_V1_PARTS_MAX);
    v->parts[v->parts_n] = (struct sm_zipkin_v1_part){.local = endpoint, .remote = NOBODY};
    return (int16_t)v->parts_n++;
}

/* The part of the party at this endpoint. Parties are told apart by the names of their services. */
static int16_t part_of(struct sm_zipkin_v1 *v, int16_t endpoint)
{
    if (endpoint == NOBODY)
        return 0;
    if (v->parts[0].local == NOBODY)
        v->parts[0].local = endpoint;
    for (uint32_t i = 0; i < v->parts_n; i++) {
        if (same_service(v, v->parts[i].local, endpoint))
            return (int16_t)i;
    }
    return new_part(v, endpoint);
}

static struct sm_zipkin_v1_part *party(struct sm_zipkin_v1 *v, int16_t endpoint)
{
    return &v->parts[part_of(v, endpoint)];
}

static uint64_t between(const struct sm_zipkin_v1_annotation *begin, const struct sm_zipkin_v1_annotation *end)
{
    return end->timestamp_us > begin->timestamp_us ? end->timestamp_us - begin->timestamp_us : 0;
}

#define PAIR(a, b) ((unsigned)(a) << 8 | (unsigned)(b))

/* Sorts out an annotation of two letters with an endpoint; false when it says nothing special. */
static bool take_core(struct sm_zipkin_v1 *v, struct sm_zipkin_v1_annotation *a, struct sm_zipkin_v1_part *part)
{
    switch (PAIR((uint8_t)a->value.ptr[0], (uint8_t)a->value.ptr[1])) {
    case PAIR('c', 's'):
        v->cs = a;
        part->kind = SM_KIND_CLIENT;
        return true;
    case PAIR('c', 'r'):
        v->cr = a;
        part->kind = SM_KIND_CLIENT;
        return true;
    case PAIR('s', 'r'):
        v->sr = a;
        part->kind = SM_KIND_SERVER;
        return true;
    case PAIR('s', 's'):
        v->ss = a;
        part->kind = SM_KIND_SERVER;
        return true;
    case PAIR('m', 's'):
        v->ms = a;
        part->kind = SM_KIND_PRODUCER;
        return true;
    case PAIR('m', 'r'):
        v->mr = a;
        part->kind = SM_KIND_CONSUMER;
        return true;
    case PAIR('w', 's'):
        v->ws = a;
        return true;
    case PAIR('w', 'r'):
        v->wr = a;
        return true;
    default:
        return false;
    }
}

/* Whose span is which, and what it is, depends on the order: zipkin2 goes by time, then text. */
static void assign_annotations(struct sm_zipkin_v1 *v)
{
    if (v->unsorted)
        qsort(v->annotations, v->annotations_n, sizeof *v->annotations, by_time);
    for (uint32_t i = 0; i < v->annotations_n; i++) {
        struct sm_zipkin_v1_annotation *a = &v->annotations[i];
        int16_t part = part_of(v, a->endpoint);
        if (a->value.len != 2 || a->endpoint == NOBODY || !take_core(v, a, &v->parts[part]))
            a->part = part;
    }
}

/* A span that ends where its own time ends also began where that began. */
static void supply_begin(struct sm_zipkin_v1 *v, struct sm_zipkin_v1_annotation **begin,
                         const struct sm_zipkin_v1_annotation *end,
                         struct sm_zipkin_v1_annotation *supplied)
{
    if (*begin || !end || !v->timestamp_us || !v->duration_us || v->timestamp_us + v->duration_us != end->timestamp_us)
        return;
    *supplied = (struct sm_zipkin_v1_annotation){v->timestamp_us, {"", 0}, 0, end->endpoint, NO_PART};
    *begin = supplied;
}

/* The span's own times if it has both, else those of the annotations. */
static void set_times(struct sm_zipkin_v1 *v, const struct sm_zipkin_v1_annotation *begin,
                      const struct sm_zipkin_v1_annotation *end)
{
    struct sm_zipkin_v1_part *part = party(v, begin->endpoint);
    if (v->timestamp_us && v->duration_us) {
        part->timestamp_us = v->timestamp_us;
        part->duration_us = v->duration_us;
        return;
    }
    part->timestamp_us = begin->timestamp_us;
    if (end)
        part->duration_us = between(begin, end);
}

/* The other side of a call or message, when both sides are in the span: a part of its own even under the same
 * service. */
static struct sm_zipkin_v1_part *other_side(struct sm_zipkin_v1 *v, int16_t here, int16_t there, enum sm_kind kind_here,
                                            enum sm_kind kind_there)
{
    int16_t first = part_of(v, here);
    if (!same_service(v, here, there))
        return party(v, there);
    v->parts[first].kind = kind_here;
    struct sm_zipkin_v1_part *fork = &v->parts[new_part(v, there)];
    fork->kind = kind_there;
    return fork;
}

/* The client owns the span's times; what the server took is in its annotations. */
static void convert_both_sides(struct sm_zipkin_v1 *v)
{
    set_times(v, v->cs, v->cr);
    struct sm_zipkin_v1_part *server = other_side(v, v->cs->endpoint, v->sr->endpoint, SM_KIND_CLIENT, SM_KIND_SERVER);
    server->shared = true;
    server->timestamp_us = v->sr->timestamp_us;
    if (v->ss)
        server->duration_us = between(v->sr, v->ss);
    if (!v->cr && v->duration_us == 0)
        party(v, v->cs->endpoint)->duration_us = 0; /* one-way */
}

static void convert_incomplete_call(struct sm_zipkin_v1 *v)
{
    for (uint32_t i = 0; i < v->parts_n; i++) {
        struct sm_zipkin_v1_part *part = &v->parts[i];
        if (part->kind != SM_KIND_CLIENT && part->kind != SM_KIND_SERVER)
            continue;
        const struct sm_zipkin_v1_annotation *begin = part->kind == SM_KIND_CLIENT ? v->cs : v->sr;
        if (begin)
            part->timestamp_us = begin->timestamp_us;
        part->end = part->kind == SM_KIND_CLIENT ? v->cr : v->ss;
    }
    if (v->timestamp_us) {
        v->parts[0].timestamp_us = v->timestamp_us;
        v->parts[0].duration_us = v->duration_us;
    }
}

static void convert_call(struct sm_zipkin_v1 *v)
{
    supply_begin(v, &v->cs, v->cr, &v->supplied_cs);
    supply_begin(v, &v->sr, v->ss, &v->supplied_sr);
    if (v->cs && v->sr)
        convert_both_sides(v);
    else if (v->cs && v->cr)
        set_times(v, v->cs, v->cr);
    else if (v->sr && v->ss)
        set_times(v, v->sr, v->ss);
    else
        convert_incomplete_call(v);
    /* Version 1 has no flag for it: a server that leaves the times to its client shares the client's span. */
    if (!v->cs && v->sr && (v->timestamp_us == 0 || (v->ss && v->duration_us == 0)))
        party(v, v->sr->endpoint)->shared = true;
}

static void convert_producer_and_consumer(struct sm_zipkin_v1 *v)
{
    struct sm_zipkin_v1_part *consumer = other_side(v, v->ms->endpoint, v->mr->endpoint, SM_KIND_PRODUCER,
                                                    SM_KIND_CONSUMER);
    consumer->shared = true;
    consumer->timestamp_us = v->wr ? v->wr->timestamp_us : v->mr->timestamp_us;
    if (v->wr)
        consumer->duration_us = between(v->wr, v->mr);
    struct sm_zipkin_v1_part *producer = party(v, v->ms->endpoint);
    producer->timestamp_us = v->ms->timestamp_us;
    producer->duration_us = v->ws ? between(v->ms, v->ws) : 0;
}

static void convert_message(struct sm_zipkin_v1 *v)
{
    if (v->ms && v->mr) {
        convert_producer_and_consumer(v);
    } else if (v->ms) {
        set_times(v, v->ms, v->ws);
    } else if (v->mr) {
        set_times(v, v->wr ? v->wr : v->mr, v->wr ? v->mr : NULL);
    } else {
        if (v->ws)
            v->ws->part = part_of(v, v->ws->endpoint);
        if (v->wr)
            v->wr->part = part_of(v, v->wr->endpoint);
    }
}

/* By key, which matters only when they are of several parties. */
static void assign_tags(struct sm_zipkin_v1 *v)
{
    if (v->mixed_tags)
        qsort(v->tags, v->tags_n, sizeof *v->tags, by_key);
    for (uint32_t i = 0; i < v->tags_n; i++) {
        struct sm_zipkin_v1_tag *t = &v->tags[i];
        t->part = part_of(v, t->endpoint);
        if (t->value.len == 0 && sm_str_eq(t->key, SM_STR("lc")))
            t->part = NO_PART; /* it only says whose span it is */
    }
}

/* Addresses in a span without a call. */
static void convert_bare_addresses(struct sm_zipkin_v1 *v)
{
    if (v->ca != NOBODY && v->sa != NOBODY) {
        party(v, v->ca)->remote = v->sa;
    } else if (v->sa != NOBODY) {
        v->parts[0].remote = v->sa;
    } else if (v->ca != NOBODY) {
        v->parts[0].kind = SM_KIND_SERVER;
        v->parts[0].remote = v->ca;
    }
}

static void set_remote(struct sm_zipkin_v1 *v, const struct sm_zipkin_v1_annotation *of, int16_t remote)
{
    struct sm_zipkin_v1_part *part = party(v, of->endpoint);
    part->remote = remote;
    part->nameless_remote = false;
}

static void convert_addresses(struct sm_zipkin_v1 *v)
{
    const struct sm_zipkin_v1_annotation *server = v->sr ? v->sr : v->ss, *client = v->cs ? v->cs : v->cr;
    if (!server && !client && (v->ca != NOBODY || v->sa != NOBODY)) {
        convert_bare_addresses(v);
        return;
    }
    if (v->ca != NOBODY && server && v->ca != server->endpoint) {
        set_remote(v, server, v->ca);
        /* Finagle gives the client's port under the server's own name: that would be a call to itself. */
        party(v, server->endpoint)->nameless_remote = same_service(v, v->ca, server->endpoint);
    }
    if (v->sa != NOBODY && client)
        set_remote(v, client, v->sa);
    if (v->ma != NOBODY && v->ms)
        set_remote(v, v->ms, v->ma);
    if (v->ma != NOBODY && v->mr)
        set_remote(v, v->mr, v->ma);
}

static void put_endpoints(struct sm_zipkin_v1 *v, const struct sm_zipkin_v1_part *part)
{
    if (part->local != NOBODY) {
        const struct sm_zipkin_v1_endpoint *local = &v->endpoints[part->local];
        if (local->service.len)
            sm_zipkin_local_service(&v->z, local->service);
        v->z.local = local->address;
    }
    if (part->remote != NOBODY) {
        const struct sm_zipkin_v1_endpoint *remote = &v->endpoints[part->remote];
        if (remote->service.len && !part->nameless_remote)
            sm_zipkin_remote_service(&v->z, remote->service);
        v->z.remote = remote->address;
    }
}

static bool put_part(struct sm_zipkin_v1 *v, int16_t index)
{
    const struct sm_zipkin_v1_part *part = &v->parts[index];
    struct sm_zipkin_in *z = &v->z;
    if (!sm_zipkin_begin(z))
        return false;
    z->trace = v->trace;
    z->id = v->id;
    z->parent_id = v->parent_id;
    z->kind = part->kind;
    z->timestamp_us = part->timestamp_us;
    z->duration_us = part->duration_us;
    z->debug = v->debug;
    z->shared = part->shared;
    bool put = !v->name.len || sm_zipkin_name(z, v->name);
    put_endpoints(v, part);
    for (uint32_t i = 0; i < v->annotations_n && put; i++) {
        const struct sm_zipkin_v1_annotation *a = &v->annotations[i];
        put = a->part != index || sm_zipkin_annotation(z, a->timestamp_us, a->value);
    }
    if (part->end)
        put = put && sm_zipkin_annotation(z, part->end->timestamp_us, part->end->value);
    for (uint32_t i = 0; i < v->tags_n && put; i++)
        put = v->tags[i].part != index || sm_zipkin_tag(z, v->tags[i].key, v->tags[i].value);
    return put && sm_zipkin_commit(z, SM_ORIGIN_ZIPKIN_V1);
}

bool sm_zipkin_v1_commit(struct sm_zipkin_v1 *v)
{
    if (SM_UNLIKELY(v->reject != SM_REJECT_COUNT)) {
        sm_batch_reject(v->z.build.batch, v->reject, sm_build_reject_text(v->reject));
        return !v->z.build.no_memory;
    }
    (void)new_part(v, NOBODY);
    assign_annotations(v);
    convert_call(v);
    convert_message(v);
    assign_tags(v);
    convert_addresses(v);
    for (uint32_t i = 0; i < v->parts_n; i++) {
        if (!put_part(v, (int16_t)i))
            return false;
    }
    return true;
}
