/* Zipkin's tree of a trace. */
#include "analysis/tree.h"

#include "base/hash.h"
#include "span/nesting.h"
#include "span/private.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* Who recorded a span. All zeros where a part is absent, so that endpoints compare as bytes. */
struct endpoint {
    uint32_t service; /* SM_NAME_EMPTY: none */
    uint16_t port;
    bool has_ipv4, has_ipv6;
    uint8_t ipv4[4];
    uint8_t ipv6[16];
    bool known; /* the record was looked at */
    uint8_t padding[3];
};

/* A place in the tree: an id, and for shared nodes an endpoint. */
struct key {
    uint64_t id;
    uint32_t side; /* SIDE_PLAIN, SIDE_NO_ENDPOINT, else the node whose endpoint it is */
};
enum { SIDE_PLAIN = UINT32_MAX, SIDE_NO_ENDPOINT = UINT32_MAX - 1 };

/* What stands at a place. */
struct place {
    struct key key;
    struct key parent; /* id 0: none */
    uint32_t node;     /* the last node that came, SM_TREE_NONE */
    bool in_tree;      /* the node hangs at `parent` */
};

enum { ANCESTOR_UNKNOWN = UINT32_MAX - 1 };
enum { SAME_ID_MAX = 32 }; /* nodes of one id that are looked at where Zipkin would not */
enum reach { REACH_UNKNOWN, REACH_ON_PATH, REACH_INSIDE, REACH_OUTSIDE };

struct sm_tree_scratch {
    const struct sm_names *services;
    uint32_t capacity; /* nodes, records */
    uint32_t *stack;
    /* for traces with shared ids, allocated when the first one comes */
    uint32_t merge_capacity;
    uint32_t *order, *sorted;
    struct endpoint *endpoints;      /* by record */
    struct endpoint *node_endpoints; /* by node, merged */
    uint8_t *reach;
    struct place *places; /* at most three per node */
    uint32_t place_count;
    uint32_t *index; /* open addressing: 1 + place number; 0: free */
    uint32_t index_mask;
};

void sm_tree_init(struct sm_tree *t, const struct sm_names *services)
{
    *t = (struct sm_tree){.scratch = sm_xcalloc(1, sizeof *t->scratch)};
    t->scratch->services = services;
}

static void free_merge_arrays(struct sm_tree_scratch *s)
{
    free(s->order);
    free(s->sorted);
    free(s->endpoints);
    free(s->node_endpoints);
    free(s->reach);
    free(s->places);
    free(s->index);
}

void sm_tree_fini(struct sm_tree *t)
{
    free_merge_arrays(t->scratch);
    free(t->scratch->stack);
    free(t->scratch);
    free(t->nodes);
    *t = (struct sm_tree){0};
}

static uint32_t grown(uint32_t capacity, uint32_t needed)
{
    capacity = capacity ? capacity : 64;
    while (capacity < needed)
        capacity *= 2;
    return capacity;
}

static void reserve(struct sm_tree *t, uint32_t count)
{
    struct sm_tree_scratch *s = t->scratch;
    if (count <= s->capacity)
        return;
    s->capacity = grown(s->capacity, count);
    free(t->nodes);
    free(s->stack);
    t->nodes = sm_xmalloc(s->capacity * sizeof *t->nodes);
    s->stack = sm_xmalloc(s->capacity * sizeof *s->stack);
}

static void reserve_merge(struct sm_tree_scratch *s, uint32_t count)
{
    if (count > s->merge_capacity) {
        uint32_t capacity = grown(s->merge_capacity, count);
        free_merge_arrays(s);
        s->merge_capacity = capacity;
        s->order = sm_xmalloc(capacity * sizeof *s->order);
        s->sorted = sm_xmalloc(capacity * sizeof *s->sorted);
        s->endpoints = sm_xmalloc(capacity * sizeof *s->endpoints);
        s->node_endpoints = sm_xmalloc(capacity * sizeof *s->node_endpoints);
        s->reach = sm_xmalloc(capacity);
        s->places = sm_xmalloc(3 * (size_t)capacity * sizeof *s->places);
        s->index = sm_xmalloc(8 * (size_t)capacity * sizeof *s->index);
    }
    s->index_mask = grown(0, count) * 8 - 1;
    memset(s->index, 0, (s->index_mask + (size_t)1) * sizeof *s->index);
    for (uint32_t i = 0; i < count; i++)
        s->endpoints[i].known = false;
    s->place_count = 0;
}

static uint32_t service_of(const struct sm_view_span *r)
{
    return r->resource ? r->resource->service_id : SM_NAME_EMPTY;
}

/* Zipkin has four kinds; internal spans have none. */
static uint8_t kind_of(const struct sm_span *span)
{
    enum sm_kind kind = sm_span_kind(span);
    return kind == SM_KIND_INTERNAL ? SM_KIND_UNSPECIFIED : kind;
}

static bool is_shared(const struct sm_span *span)
{
    return (span->flags & SM_SPAN_SHARED) && kind_of(span) != SM_KIND_CLIENT;
}

static uint64_t parent_id_of(const struct sm_span *span)
{
    return span->parent_id == span->span_id ? 0 : span->parent_id;
}

static uint8_t flags_of(const struct sm_span *span)
{
    uint8_t flags = 0;
    if (span->flags & (SM_SPAN_ERROR_TAG | SM_SPAN_ERROR))
        flags |= SM_NODE_ERROR;
    if (span->flags & SM_SPAN_ERROR)
        flags |= SM_NODE_FAILED;
    if (span->flags & SM_SPAN_PRIVATE)
        flags |= SM_NODE_PRIVATE;
    return flags;
}

static void node_from_record(struct sm_tree_node *node, const struct sm_view_span *r, uint32_t part)
{
    const struct sm_span *span = r->span;
    node->id = span->span_id;
    node->parent_id = parent_id_of(span);
    node->start_ns = span->start_ns;
    node->duration_ns = span->flags & SM_SPAN_NO_DURATION ? SM_TREE_NO_TIME : span->duration_ns;
    node->service = service_of(r);
    node->parent = SM_TREE_NONE;
    node->ancestor = ANCESTOR_UNKNOWN;
    node->first_part = part;
    node->part_count = 1;
    node->kind = kind_of(span);
    node->flags = flags_of(span);
}

/* ---- Traces whose records all have ids of their own ---- */

static bool is_plain(const struct sm_view *view)
{
    if (view->cycles || (view->trace->span_flags & SM_SPAN_SHARED))
        return false;
    for (uint32_t i = 0; i < view->count; i++)
        if (view->spans[i].next_same_id != SM_VIEW_NONE)
            return false;
    return true;
}

static void build_plain(struct sm_tree *t)
{
    const struct sm_view *view = t->view;
    t->order = NULL;
    t->count = view->count;
    uint32_t without_parent = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        struct sm_tree_node *node = &t->nodes[i];
        node_from_record(node, &view->spans[i], i);
        node->parent = view->spans[i].parent;
        if (node->parent == SM_VIEW_NONE) {
            without_parent++;
            if (!node->parent_id && (t->root == SM_TREE_NONE || node->id < t->nodes[t->root].id))
                t->root = i;
        }
    }
    for (uint32_t i = 0; i < t->count; i++)
        if (t->nodes[i].parent != SM_TREE_NONE)
            t->nodes[t->nodes[i].parent].flags |= SM_NODE_HAS_CHILD;
    if (t->root != SM_TREE_NONE && without_parent > 1)
        t->nodes[t->root].flags |= SM_NODE_HAS_CHILD;
}

/* ---- Endpoints ---- */

static const struct endpoint *endpoint_of(struct sm_tree *t, uint32_t record)
{
    struct endpoint *e = &t->scratch->endpoints[record];
    if (e->known)
        return e;
    const struct sm_view_span *r = &t->view->spans[record];
    *e = (struct endpoint){.service = service_of(r), .known = true};
    struct sm_private priv;
    if (!r->span->zipkin || !sm_private_read(r->span, r->bytes, &priv)) /* no other format has addresses */
        return e;
    e->port = priv.local.port;
    e->has_ipv4 = priv.local.ipv4 != NULL;
    e->has_ipv6 = priv.local.ipv6 != NULL;
    if (e->has_ipv4)
        memcpy(e->ipv4, priv.local.ipv4, 4);
    if (e->has_ipv6)
        memcpy(e->ipv6, priv.local.ipv6, 16);
    return e;
}

static bool endpoint_absent(const struct endpoint *e)
{
    return e->service == SM_NAME_EMPTY && !e->has_ipv4 && !e->has_ipv6 && !e->port;
}

/* Takes what `more` adds; false, and nothing taken, when they contradict each other. */
static bool endpoint_join(struct endpoint *e, const struct endpoint *more)
{
    if (e->service != SM_NAME_EMPTY && more->service != SM_NAME_EMPTY && e->service != more->service)
        return false;
    if (e->has_ipv4 && more->has_ipv4 && memcmp(e->ipv4, more->ipv4, 4) != 0)
        return false;
    if (e->has_ipv6 && more->has_ipv6 && memcmp(e->ipv6, more->ipv6, 16) != 0)
        return false;
    if (e->port && more->port && e->port != more->port)
        return false;
    if (e->service == SM_NAME_EMPTY)
        e->service = more->service;
    if (!e->has_ipv4 && more->has_ipv4) {
        e->has_ipv4 = true;
        memcpy(e->ipv4, more->ipv4, 4);
    }
    if (!e->has_ipv6 && more->has_ipv6) {
        e->has_ipv6 = true;
        memcpy(e->ipv6, more->ipv6, 16);
    }
    if (!e->port)
        e->port = more->port;
    return true;
}

/* Addresses in the order of their texts, what is absent last. */
static int compare_address(int family, const uint8_t *a, bool has_a, const uint8_t *b, bool has_b)
{
    if (!has_a || !has_b)
        return has_b - has_a;
    char text_a[INET6_ADDRSTRLEN] = "", text_b[INET6_ADDRSTRLEN] = "";
    inet_ntop(family, a, text_a, sizeof text_a);
    inet_ntop(family, b, text_b, sizeof text_b);
    return strcmp(text_a, text_b);
}

static int compare_services(const struct sm_names *names, uint32_t a, uint32_t b)
{
    if (a == b)
        return 0;
    if (a == SM_NAME_EMPTY || b == SM_NAME_EMPTY)
        return a == SM_NAME_EMPTY ? 1 : -1;
    return sm_str_cmp(sm_names_get(names, a), sm_names_get(names, b));
}

static int compare_endpoints(const struct sm_names *names, const struct endpoint *a, const struct endpoint *b)
{
    if (endpoint_absent(a) || endpoint_absent(b))
        return endpoint_absent(b) - endpoint_absent(a);
    int order = compare_services(names, a->service, b->service);
    if (!order)
        order = compare_address(AF_INET, a->ipv4, a->has_ipv4, b->ipv4, b->has_ipv4);
    if (!order)
        order = compare_address(AF_INET6, a->ipv6, a->has_ipv6, b->ipv6, b->has_ipv6);
    return order;
}

/* ---- Merging ---- */

/* Unshared clients, other unshared ones, shared ones. */
static int side_rank(const struct sm_span *span)
{
    return is_shared(span) ? 2 : kind_of(span) != SM_KIND_CLIENT;
}

static bool comes_after(struct sm_tree *t, uint32_t a, uint32_t b)
{
    const struct sm_span *x = t->view->spans[a].span, *y = t->view->spans[b].span;
    if (x->span_id != y->span_id)
        return x->span_id > y->span_id;
    int order = side_rank(x) - side_rank(y);
    if (!order)
        order = compare_endpoints(t->scratch->services, endpoint_of(t, a), endpoint_of(t, b));
    return order > 0;
}

static void merge_runs(struct sm_tree *t, uint32_t low, uint32_t middle, uint32_t high)
{
    uint32_t *from = t->scratch->order, *to = t->scratch->sorted;
    uint32_t left = low, right = middle;
    for (uint32_t at = low; at < high; at++) {
        bool take_right = left == middle || (right < high && comes_after(t, from[left], from[right]));
        to[at] = take_right ? from[right++] : from[left++];
    }
}

/* Stable, so that equal records stay in order of arrival. */
static void sort_records(struct sm_tree *t)
{
    struct sm_tree_scratch *s = t->scratch;
    uint32_t n = t->view->count;
    for (uint32_t i = 0; i < n; i++)
        s->order[i] = i;
    for (uint64_t width = 1; width < n; width *= 2) {
        for (uint64_t low = 0; low < n; low += 2 * width)
            merge_runs(t, (uint32_t)low, (uint32_t)SM_MIN(low + width, n), (uint32_t)SM_MIN(low + 2 * width, n));
        uint32_t *swap = s->order;
        s->order = s->sorted;
        s->sorted = swap;
    }
    t->order = s->order;
}

/* Of each field the first one that is there counts. */
static void merge_record(struct sm_tree_node *node, const struct sm_view_span *r)
{
    const struct sm_span *span = r->span;
    if (!node->parent_id)
        node->parent_id = parent_id_of(span);
    if (node->kind == SM_KIND_UNSPECIFIED)
        node->kind = kind_of(span);
    if (!node->start_ns)
        node->start_ns = span->start_ns;
    if (node->duration_ns == SM_TREE_NO_TIME && !(span->flags & SM_SPAN_NO_DURATION))
        node->duration_ns = span->duration_ns;
    if (node->service == SM_NAME_EMPTY)
        node->service = service_of(r);
    node->flags |= flags_of(span);
    node->part_count++;
}

/* Makes a node of the records at order[at..]; returns how many it took. */
static uint32_t merge_node(struct sm_tree *t, uint32_t at)
{
    struct sm_tree_scratch *s = t->scratch;
    const struct sm_view_span *first = &t->view->spans[t->order[at]];
    struct sm_tree_node *node = &t->nodes[t->count];
    struct endpoint *endpoint = &s->node_endpoints[t->count];
    node_from_record(node, first, at);
    *endpoint = *endpoint_of(t, t->order[at]);
    const struct sm_tree_node *last = t->count && node[-1].id == node->id ? node - 1 : NULL;
    bool shared = is_shared(first->span);
    bool behind_client = last && last->kind == SM_KIND_CLIENT && kind_of(first->span) == SM_KIND_SERVER;
    bool joins_shared = shared || (behind_client && !first->span->zipkin);
    for (uint32_t next = at + 1; next < t->view->count; next++) {
        const struct sm_view_span *r = &t->view->spans[t->order[next]];
        if (r->span->span_id != node->id || !(is_shared(r->span) ? joins_shared : !shared) ||
            !endpoint_join(endpoint, endpoint_of(t, t->order[next])))
            break;
        merge_record(node, r);
    }
    shared = shared || behind_client;
    if (last && shared && !parent_id_of(first->span) && last->parent_id)
        node->parent_id = last->parent_id;
    if (shared)
        node->flags |= SM_NODE_SHARED;
    t->count++;
    return node->part_count;
}

/* ---- Places ---- */

static const struct endpoint *key_endpoint(const struct sm_tree_scratch *s, struct key key)
{
    return &s->node_endpoints[key.side];
}

static bool key_eq(const struct sm_tree_scratch *s, struct key a, struct key b)
{
    if (a.id != b.id)
        return false;
    if (a.side == b.side)
        return true;
    if (a.side >= SIDE_NO_ENDPOINT || b.side >= SIDE_NO_ENDPOINT)
        return false;
    return memcmp(key_endpoint(s, a), key_endpoint(s, b), sizeof(struct endpoint)) == 0;
}

static uint64_t key_hash(const struct sm_tree_scratch *s, struct key key)
{
    uint64_t side = key.side;
    if (side < SIDE_NO_ENDPOINT)
        side = sm_hash_bytes(key_endpoint(s, key), sizeof(struct endpoint));
    return sm_hash_combine(key.id, side);
}

/* The place with this key, a new one if `make`; NULL when there is none. */
static struct place *place_at(struct sm_tree_scratch *s, struct key key, bool make)
{
    uint32_t i = (uint32_t)key_hash(s, key) & s->index_mask;
    for (; s->index[i]; i = (i + 1) & s->index_mask)
        if (key_eq(s, s->places[s->index[i] - 1].key, key))
            return &s->places[s->index[i] - 1];
    if (!make)
        return NULL;
    struct place *place = &s->places[s->place_count++];
    *place = (struct place){.key = key, .node = SM_TREE_NONE};
    s->index[i] = s->place_count;
    return place;
}

static struct key plain_key(uint64_t id)
{
    return (struct key){id, SIDE_PLAIN};
}

/* The key of a shared node with this id and the endpoint of `node`. */
static struct key shared_key(const struct sm_tree_scratch *s, uint64_t id, uint32_t node)
{
    return (struct key){id, endpoint_absent(&s->node_endpoints[node]) ? SIDE_NO_ENDPOINT : node};
}

static void hang(struct place *place, struct key parent)
{
    place->parent = parent;
    place->in_tree = true;
}

/* First round: every node's place and the parent that its ids name. */
static void index_node(struct sm_tree *t, uint32_t i)
{
    struct sm_tree_scratch *s = t->scratch;
    const struct sm_tree_node *node = &t->nodes[i];
    if (node->flags & SM_NODE_SHARED)
        hang(place_at(s, shared_key(s, node->id, i), true), plain_key(node->id));
    else
        hang(place_at(s, plain_key(node->id), true), plain_key(node->parent_id));
}

/* Whether Zipkin's rules go for a node to the letter. */
static bool is_zipkin(const struct sm_tree *t, const struct sm_tree_node *node)
{
    for (uint32_t i = 0; i < node->part_count && (node->flags & SM_NODE_PRIVATE); i++) {
        if (sm_tree_record(t, node, i)->span->zipkin)
            return true;
    }
    return false;
}

/* The first node with this id; t->count when there is none. */
static uint32_t first_with_id(const struct sm_tree *t, uint64_t id)
{
    uint32_t low = 0, high = t->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (t->nodes[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->count && t->nodes[low].id == id ? low : t->count;
}

/* The shared parent of a node that has no address to be found by; SM_TREE_NONE when its parent is another one. */
static uint32_t shared_parent(const struct sm_tree *t, const struct sm_tree_node *node)
{
    uint32_t shared = SM_TREE_NONE, first = first_with_id(t, node->parent_id);
    bool of_client = false;
    for (uint32_t i = first; i < t->count && i - first < SAME_ID_MAX && t->nodes[i].id == node->parent_id; i++) {
        bool same_service = t->nodes[i].service == node->service;
        if (!(t->nodes[i].flags & SM_NODE_SHARED))
            of_client = of_client || same_service;
        else if (same_service)
            return i;
        else if (shared == SM_TREE_NONE)
            shared = i;
    }
    return of_client ? SM_TREE_NONE : shared;
}

/* The key of the shared node that a node hangs on, if there is one. */
static bool find_shared_parent(struct sm_tree *t, uint32_t i, struct key *parent)
{
    const struct sm_tree_node *node = &t->nodes[i];
    *parent = shared_key(t->scratch, node->parent_id, i);
    const struct place *above = place_at(t->scratch, *parent, false);
    if (above && above->in_tree)
        return true;
    uint32_t shared = shared_parent(t, node);
    if (shared == SM_TREE_NONE || is_zipkin(t, node))
        return false;
    *parent = shared_key(t->scratch, node->parent_id, shared);
    return true;
}

/* Second round: nodes take their places; shared parents go before plain ones. */
static void place_node(struct sm_tree *t, uint32_t i)
{
    struct sm_tree_scratch *s = t->scratch;
    const struct sm_tree_node *node = &t->nodes[i];
    if (node->flags & SM_NODE_SHARED) {
        place_at(s, shared_key(s, node->id, i), true)->node = i;
        place_at(s, (struct key){node->id, SIDE_NO_ENDPOINT}, true)->node = i;
        return;
    }
    struct place *place = place_at(s, plain_key(node->id), true);
    if (node->parent_id) {
        struct key parent;
        if (find_shared_parent(t, i, &parent))
            hang(place, parent);
    } else if (t->root == SM_TREE_NONE) {
        t->root = i;
        place->in_tree = false;
        return;
    }
    place->node = i;
}

static struct sm_extent extent_of(const struct sm_tree_node *node)
{
    return (struct sm_extent){node->start_ns, node->duration_ns == SM_TREE_NO_TIME ? 0 : node->start_ns + node->duration_ns};
}

/* The server of another service that has the id of a shared server, too, and holds it most closely in time; SM_TREE_NONE. */
static uint32_t outer_server(const struct sm_tree *t, const struct sm_tree_node *node)
{
    uint32_t best = SM_TREE_NONE, first = first_with_id(t, node->id);
    if (node->kind != SM_KIND_SERVER || node->service == SM_NAME_EMPTY)
        return SM_TREE_NONE;
    for (uint32_t i = first; i < t->count && i - first < SAME_ID_MAX && t->nodes[i].id == node->id; i++) {
        const struct sm_tree_node *other = &t->nodes[i];
        if (other->kind == SM_KIND_SERVER && other->service != SM_NAME_EMPTY && other->service != node->service &&
            sm_extent_holds(extent_of(other), extent_of(node)) &&
            (best == SM_TREE_NONE || sm_extent_holds(extent_of(&t->nodes[best]), extent_of(other))))
            best = i;
    }
    return best;
}

/* Third round: nodes get their parents. */
static void attach_place(struct sm_tree *t, const struct place *place)
{
    if (!place->in_tree || place->node == SM_TREE_NONE)
        return;
    struct sm_tree_node *node = &t->nodes[place->node];
    const struct place *above = place->parent.id ? place_at(t->scratch, place->parent, false) : NULL;
    t->scratch->reach[place->node] = REACH_UNKNOWN;
    node->parent = above ? above->node : SM_TREE_NONE;
    bool orphan = node->parent == SM_TREE_NONE;
    if (orphan && t->root != SM_TREE_NONE && place->parent.side == SIDE_PLAIN &&
        place->parent.id == t->nodes[t->root].id)
        node->parent = t->root;
    else if (orphan && t->nested_servers && (node->flags & SM_NODE_SHARED))
        node->parent = outer_server(t, node);
    orphan = orphan && node->parent == SM_TREE_NONE;
    uint32_t holder = orphan ? t->root : node->parent;
    if (holder != SM_TREE_NONE)
        t->nodes[holder].flags |= SM_NODE_HAS_CHILD;
}

/* Walks up to a node whose state is known, to the top, or in a circle; then all on the way are settled. */
static void settle_reach(struct sm_tree *t, uint32_t i)
{
    uint8_t *reach = t->scratch->reach;
    uint32_t depth = 0;
    while (i != SM_TREE_NONE && reach[i] == REACH_UNKNOWN) {
        reach[i] = REACH_ON_PATH;
        t->scratch->stack[depth++] = i;
        i = t->nodes[i].parent;
    }
    bool inside = i == SM_TREE_NONE || reach[i] == REACH_INSIDE;
    while (depth)
        reach[t->scratch->stack[--depth]] = inside ? REACH_INSIDE : REACH_OUTSIDE;
}

static void find_unreachable(struct sm_tree *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        settle_reach(t, i);
        if (t->scratch->reach[i] == REACH_OUTSIDE) {
            t->nodes[i].flags |= SM_NODE_OUTSIDE;
            t->unreachable += t->nodes[i].part_count;
        }
    }
}

static void build_merged(struct sm_tree *t)
{
    struct sm_tree_scratch *s = t->scratch;
    reserve_merge(s, t->view->count);
    sort_records(t);
    for (uint32_t at = 0; at < t->view->count;)
        at += merge_node(t, at);
    for (uint32_t i = 0; i < t->count; i++)
        index_node(t, i);
    for (uint32_t i = 0; i < t->count; i++)
        place_node(t, i);
    memset(s->reach, REACH_OUTSIDE, t->count); /* unless they get a place */
    if (t->root != SM_TREE_NONE)
        s->reach[t->root] = REACH_INSIDE;
    for (uint32_t i = 0; i < s->place_count; i++)
        attach_place(t, &s->places[i]);
    find_unreachable(t);
}

/* ---- Ancestors ---- */

/* Walks up over nodes without kind until the answer is known, then writes it to all on the way. */
static void settle_ancestor(struct sm_tree *t, uint32_t i)
{
    uint32_t *stack = t->scratch->stack, depth = 0, answer;
    for (;;) {
        struct sm_tree_node *node = &t->nodes[i];
        if (node->ancestor != ANCESTOR_UNKNOWN) {
            answer = node->ancestor;
            break;
        }
        stack[depth++] = i;
        answer = node->parent;
        if (answer == SM_TREE_NONE || t->nodes[answer].kind != SM_KIND_UNSPECIFIED)
            break;
        i = node->parent;
    }
    while (depth)
        t->nodes[stack[--depth]].ancestor = answer;
}

static void find_ancestors(struct sm_tree *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct sm_tree_node *node = &t->nodes[i];
        if (node->flags & SM_NODE_OUTSIDE)
            continue;
        settle_ancestor(t, i);
        if (node->kind != SM_KIND_UNSPECIFIED && node->ancestor != SM_TREE_NONE)
            t->nodes[node->ancestor].flags |= SM_NODE_ANSWERED;
    }
}

void sm_tree_build(struct sm_tree *t, const struct sm_view *view)
{
    t->view = view;
    t->count = 0;
    t->root = SM_TREE_NONE;
    t->unreachable = 0;
    reserve(t, view->count);
    if (is_plain(view))
        build_plain(t);
    else
        build_merged(t);
    find_ancestors(t);
}
