#include "plain_linker.h"

#include <stdlib.h>

enum { KEY = 96 };

struct node {
    struct plain_span span; /* after merging */
    int parent;             /* node number; -1: none */
    int *children;
    int child_count;
};

struct entry {
    char key[KEY];
    char parent[KEY]; /* empty: none */
    int node;         /* -1 */
    bool has_parent_entry;
};

struct tree {
    struct node *nodes; /* the last one is for a synthetic root */
    int count;
    int root; /* -1 */
    bool nested_servers;
    struct entry *entries;
    int entry_count;
};

static bool has_ip(const struct plain_span *s)
{
    return s->ip[0] != 0;
}

static bool has_endpoint(const struct plain_span *s)
{
    return *s->service || has_ip(s) || s->port;
}

static int compare_text(const char *a, const char *b) /* empty last */
{
    if (!*a || !*b)
        return !*a - !*b;
    return strcmp(a, b);
}

static int compare_spans(const struct plain_span *a, const struct plain_span *b)
{
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    if (a->shared != b->shared)
        return a->shared - b->shared;
    if (!a->shared && (a->kind == SM_KIND_CLIENT) != (b->kind == SM_KIND_CLIENT))
        return a->kind == SM_KIND_CLIENT ? -1 : 1;
    if (has_endpoint(a) != has_endpoint(b))
        return has_endpoint(a) - has_endpoint(b);
    int order = compare_text(a->service, b->service);
    if (order)
        return order;
    char x[32] = "", y[32] = "";
    if (has_ip(a))
        snprintf(x, sizeof x, "%u.%u.%u.%u", a->ip[0], a->ip[1], a->ip[2], a->ip[3]);
    if (has_ip(b))
        snprintf(y, sizeof y, "%u.%u.%u.%u", b->ip[0], b->ip[1], b->ip[2], b->ip[3]);
    return compare_text(x, y);
}

static bool contradict(const struct plain_span *a, const struct plain_span *b)
{
    return (*a->service && *b->service && strcmp(a->service, b->service) != 0) ||
           (has_ip(a) && has_ip(b) && memcmp(a->ip, b->ip, 4) != 0) || (a->port && b->port && a->port != b->port);
}

static void merge_into(struct plain_span *a, const struct plain_span *b)
{
    if (!a->parent)
        a->parent = b->parent;
    if (a->kind == SM_KIND_UNSPECIFIED)
        a->kind = b->kind;
    if (!*a->service)
        strcpy(a->service, b->service);
    if (!has_ip(a))
        memcpy(a->ip, b->ip, 4);
    if (!a->port)
        a->port = b->port;
    if (!*a->peer)
        strcpy(a->peer, b->peer);
    a->error_tag = a->error_tag || b->error_tag;
    if (!a->start_ns)
        a->start_ns = b->start_ns;
    if (a->duration_ns == UINT64_MAX)
        a->duration_ns = b->duration_ns;
    a->zipkin = a->zipkin || b->zipkin;
}

static void clean(struct tree *t, struct plain_span *spans, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (spans[i].parent == spans[i].id)
            spans[i].parent = 0;
        if (spans[i].kind == SM_KIND_CLIENT)
            spans[i].shared = false;
        for (unsigned j = i; j > 0 && compare_spans(&spans[j - 1], &spans[j]) > 0; j--) {
            struct plain_span swap = spans[j];
            spans[j] = spans[j - 1];
            spans[j - 1] = swap;
        }
    }
    if (count == 1) {
        t->nodes[t->count++].span = spans[0];
        return;
    }
    for (unsigned i = 0; i < count;) {
        const struct plain_span first = spans[i];
        struct plain_span merged = first;
        const struct plain_span *last = t->count ? &t->nodes[t->count - 1].span : NULL;
        bool mute = !first.zipkin && first.kind == SM_KIND_SERVER && last && last->id == first.id &&
                    last->kind == SM_KIND_CLIENT; /* has no way to say that it is shared */
        for (i++; i < count && spans[i].id == first.id && !contradict(&merged, &spans[i]); i++) {
            if (spans[i].shared != first.shared && !(mute && spans[i].shared))
                break;
            merge_into(&merged, &spans[i]);
        }
        if (last && last->id == first.id) {
            if (last->kind == SM_KIND_CLIENT && first.kind == SM_KIND_SERVER)
                merged.shared = true;
            if (merged.shared && !first.parent && last->parent)
                merged.parent = last->parent;
        }
        t->nodes[t->count++].span = merged;
    }
}

static void plain_key(char out[KEY], uint64_t id)
{
    *out = 0;
    if (id)
        snprintf(out, KEY, "%llu", (unsigned long long)id);
}

static void shared_key(char out[KEY], uint64_t id, const struct plain_span *endpoint)
{
    if (endpoint && has_endpoint(endpoint))
        snprintf(out, KEY, "%llu at %s %u %u", (unsigned long long)id, endpoint->service, endpoint->ip[3],
                 endpoint->port);
    else
        snprintf(out, KEY, "%llu at nothing", (unsigned long long)id);
}

static struct entry *entry_at(struct tree *t, const char *key, bool make)
{
    for (int i = 0; i < t->entry_count; i++)
        if (strcmp(t->entries[i].key, key) == 0)
            return &t->entries[i];
    if (!make)
        return NULL;
    struct entry *e = &t->entries[t->entry_count++];
    *e = (struct entry){.node = -1};
    strcpy(e->key, key);
    return e;
}

static void set_parent(struct tree *t, const char *key, const char *parent)
{
    struct entry *e = entry_at(t, key, true);
    strcpy(e->parent, parent);
    e->has_parent_entry = true;
}

static void index_span(struct tree *t, const struct plain_span *s)
{
    char key[KEY], parent[KEY];
    plain_key(key, s->id);
    plain_key(parent, s->parent);
    if (s->shared) {
        strcpy(parent, key);
        shared_key(key, s->id, s);
    }
    set_parent(t, key, parent);
}

/* The shared node that a span of another format than Zipkin's hangs on; NULL: none. */
static const struct plain_span *shared_parent(const struct tree *t, const struct plain_span *s)
{
    const struct plain_span *first = NULL, *own = NULL;
    bool clients = false;
    for (int i = 0; i < t->count && !s->zipkin; i++) {
        const struct plain_span *other = &t->nodes[i].span;
        if (other->id != s->parent)
            continue;
        bool same = strcmp(other->service, s->service) == 0;
        if (!other->shared)
            clients |= same;
        if (other->shared && !first)
            first = other;
        if (other->shared && same && !own)
            own = other;
    }
    return own ? own : clients ? NULL : first;
}

static void place_span(struct tree *t, int i)
{
    const struct plain_span *s = &t->nodes[i].span;
    char key[KEY], parent[KEY];
    if (s->shared) {
        shared_key(key, s->id, s);
        entry_at(t, key, true)->node = i;
        shared_key(key, s->id, NULL);
        entry_at(t, key, true)->node = i;
        return;
    }
    plain_key(key, s->id);
    if (s->parent) {
        shared_key(parent, s->parent, s);
        const struct entry *above = entry_at(t, parent, false);
        const struct plain_span *shared = shared_parent(t, s);
        if (!(above && above->has_parent_entry) && shared)
            shared_key(parent, s->parent, shared);
        if ((above && above->has_parent_entry) || shared)
            set_parent(t, key, parent);
    } else if (t->root < 0) {
        t->root = i;
        entry_at(t, key, true)->has_parent_entry = false;
        return;
    }
    entry_at(t, key, true)->node = i;
}

static void add_child(struct node *node, int child)
{
    node->children = sm_xrealloc(node->children, (size_t)(node->child_count + 1) * sizeof *node->children);
    node->children[node->child_count++] = child;
}

/* The shared server of another service that was at work when this one began, the last to begin; -1: none. */
static int outer_server(const struct tree *t, const struct plain_span *s)
{
    int best = -1;
    bool timed = s->start_ns && s->duration_ns && s->duration_ns != UINT64_MAX;
    for (int i = 0; i < t->count && timed && *s->service && s->kind == SM_KIND_SERVER; i++) {
        const struct plain_span *o = &t->nodes[i].span;
        if (o->id != s->id || o->kind != SM_KIND_SERVER || !*o->service || strcmp(o->service, s->service) == 0)
            continue;
        if (!o->start_ns || o->duration_ns == UINT64_MAX)
            continue;
        if (o->start_ns > s->start_ns || (o->start_ns == s->start_ns && o->duration_ns <= s->duration_ns) ||
            o->start_ns + o->duration_ns <= s->start_ns)
            continue;
        const struct plain_span *b = best < 0 ? NULL : &t->nodes[best].span;
        if (!b || o->start_ns > b->start_ns || (o->start_ns == b->start_ns && o->duration_ns < b->duration_ns))
            best = i;
    }
    return best;
}

static void build(struct tree *t, struct plain_span *spans, unsigned count)
{
    clean(t, spans, count);
    for (int i = 0; i < t->count; i++)
        index_span(t, &t->nodes[i].span);
    for (int i = 0; i < t->count; i++)
        place_span(t, i);
    int root = t->root < 0 ? t->count : t->root;
    for (int i = 0; i <= t->count; i++)
        t->nodes[i].parent = -1;
    for (int i = 0; i < t->entry_count; i++) {
        const struct entry *e = &t->entries[i];
        if (!e->has_parent_entry)
            continue;
        const struct entry *above = *e->parent ? entry_at(t, e->parent, false) : NULL;
        int parent = above && above->node >= 0 ? above->node : -1;
        const struct plain_span *s = &t->nodes[e->node].span;
        if (parent < 0 && t->nested_servers && s->shared && (t->root < 0 || t->nodes[t->root].span.id != s->id))
            parent = outer_server(t, s);
        if (parent < 0)
            parent = root;
        add_child(&t->nodes[parent], e->node);
        t->nodes[e->node].parent = parent;
    }
}

static void count_link(struct plain_links *c, const char *parent, const char *child, bool error)
{
    unsigned i = 0;
    while (i < c->count && (strcmp(c->links[i].parent, parent) != 0 || strcmp(c->links[i].child, child) != 0))
        i++;
    if (i == c->count) {
        SM_ASSERT(c->count < PLAIN_LINKS_MAX);
        c->links[c->count] = (struct plain_link){0};
        strcpy(c->links[c->count].parent, parent);
        strcpy(c->links[c->count++].child, child);
    }
    c->links[i].calls++;
    c->links[i].errors += error;
}

static void visit(const struct tree *t, int i, struct plain_links *c)
{
    const struct node *node = &t->nodes[i];
    for (int j = 0; j < node->child_count; j++)
        visit(t, node->children[j], c);
    if (i == t->count) /* synthetic */
        return;
    const struct plain_span *s = &node->span;
    enum sm_kind kind = s->kind;
    const char *local = s->service, *remote = s->peer, *parent, *child;
    if (kind == SM_KIND_CLIENT && node->child_count)
        return;
    if (kind == SM_KIND_UNSPECIFIED) {
        if (!*local || !*remote)
            return;
        kind = SM_KIND_CLIENT;
    }
    bool receives = kind == SM_KIND_SERVER || kind == SM_KIND_CONSUMER;
    parent = receives ? remote : local;
    child = receives ? local : remote;
    if (receives && i == t->root && !*parent)
        return;
    bool error = s->error_tag;
    if (kind == SM_KIND_PRODUCER || kind == SM_KIND_CONSUMER) {
        if (*parent && *child)
            count_link(c, parent, child, error);
        return;
    }
    int up = node->parent;
    while (up >= 0 && (up == t->count || t->nodes[up].span.kind == SM_KIND_UNSPECIFIED))
        up = t->nodes[up].parent;
    if (up >= 0 && *t->nodes[up].span.service) {
        const struct plain_span *ancestor = &t->nodes[up].span;
        if (kind == SM_KIND_CLIENT && *local && strcmp(ancestor->service, local) != 0)
            count_link(c, ancestor->service, local, false);
        if (kind == SM_KIND_SERVER || !*parent)
            parent = ancestor->service;
        if (!error && ancestor->kind == SM_KIND_CLIENT && s->parent && s->parent == ancestor->id)
            error = ancestor->error_tag;
    }
    if (*parent && *child)
        count_link(c, parent, child, error);
}

void plain_links_add(struct plain_links *links, const struct plain_span *spans, unsigned count)
{
    struct plain_span *copy = sm_xmalloc((count + 1) * sizeof *copy);
    struct tree t = {.root = -1, .nested_servers = links->nested_servers};
    if (count)
        memcpy(copy, spans, count * sizeof *copy);
    t.nodes = sm_xcalloc(count + 1, sizeof *t.nodes);
    t.entries = sm_xcalloc(4 * count + 4, sizeof *t.entries);
    build(&t, copy, count);
    visit(&t, t.root < 0 ? t.count : t.root, links);
    for (unsigned i = 0; i <= count; i++)
        free(t.nodes[i].children);
    free(t.nodes);
    free(t.entries);
    free(copy);
}
