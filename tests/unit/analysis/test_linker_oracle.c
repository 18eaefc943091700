/* The linker against a second implementation of the same rules that cares about nothing but being plain: lists, texts
 * as keys, a tree of nodes that is walked. */
#include "analysis/linker.h"
#include "random_trace.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { MAX = RANDOM_TRACE_SPANS_MAX, KEYS_MAX = 3 * MAX, LINKS_MAX = 64, KEY = 64 };

struct node {
    struct tb_span span; /* after merging; attrs[0] is the peer */
    int parent;          /* node number; -1: none */
    int children[2 * MAX];
    int child_count;
};

struct entry {
    char key[KEY];
    char parent[KEY]; /* empty: none */
    int node;         /* -1 */
    bool has_parent_entry;
};

struct tree {
    struct node nodes[MAX + 1]; /* the last one is for a synthetic root */
    int count;
    int root; /* -1 */
    struct entry entries[KEYS_MAX];
    int entry_count;
};

struct counted {
    char name[KEY]; /* parent>child */
    unsigned calls, errors;
};

struct counts {
    struct counted links[LINKS_MAX];
    unsigned count;
};

static bool has_ip(const struct tb_span *s)
{
    return s->ip[0] != 0;
}

static bool has_endpoint(const struct tb_span *s)
{
    return *s->service || has_ip(s) || s->port;
}

static int compare_text(const char *a, const char *b) /* empty last */
{
    if (!*a || !*b)
        return !*a - !*b;
    return strcmp(a, b);
}

static int compare_spans(const struct tb_span *a, const struct tb_span *b)
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

static bool contradict(const struct tb_span *a, const struct tb_span *b)
{
    return (*a->service && *b->service && strcmp(a->service, b->service) != 0) ||
           (has_ip(a) && has_ip(b) && memcmp(a->ip, b->ip, 4) != 0) || (a->port && b->port && a->port != b->port);
}

static void merge_into(struct tb_span *a, const struct tb_span *b)
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
    if (!*a->attrs[0].value)
        a->attrs[0] = b->attrs[0];
    a->error_tag = a->error_tag || b->error_tag;
}

static void clean(struct tree *t, struct tb_span *spans, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (spans[i].parent == spans[i].id)
            spans[i].parent = 0;
        if (spans[i].kind == SM_KIND_CLIENT)
            spans[i].shared = false;
        for (unsigned j = i; j > 0 && compare_spans(&spans[j - 1], &spans[j]) > 0; j--) {
            struct tb_span swap = spans[j];
            spans[j] = spans[j - 1];
            spans[j - 1] = swap;
        }
    }
    if (count == 1) {
        t->nodes[t->count++].span = spans[0];
        return;
    }
    for (unsigned i = 0; i < count;) {
        const struct tb_span first = spans[i];
        struct tb_span merged = first;
        for (i++;
             i < count && spans[i].id == first.id && spans[i].shared == first.shared && !contradict(&merged, &spans[i]);
             i++)
            merge_into(&merged, &spans[i]);
        const struct tb_span *last = t->count ? &t->nodes[t->count - 1].span : NULL;
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

static void shared_key(char out[KEY], uint64_t id, const struct tb_span *endpoint)
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

static void index_span(struct tree *t, const struct tb_span *s)
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

static void place_span(struct tree *t, int i)
{
    const struct tb_span *s = &t->nodes[i].span;
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
        if (above && above->has_parent_entry)
            set_parent(t, key, parent);
    } else if (t->root < 0) {
        t->root = i;
        entry_at(t, key, true)->has_parent_entry = false;
        return;
    }
    entry_at(t, key, true)->node = i;
}

static void build(struct tree *t, struct tb_span *spans, unsigned count)
{
    memset(t, 0, sizeof *t);
    t->root = -1;
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
        int parent = above && above->node >= 0 ? above->node : root;
        t->nodes[parent].children[t->nodes[parent].child_count++] = e->node;
        t->nodes[e->node].parent = parent;
    }
}

static void count_link(struct counts *c, const char *parent, const char *child, bool error)
{
    char name[KEY];
    snprintf(name, sizeof name, "%s>%s", parent, child);
    unsigned i = 0;
    while (i < c->count && strcmp(c->links[i].name, name) != 0)
        i++;
    if (i == c->count) {
        c->links[c->count] = (struct counted){0};
        strcpy(c->links[c->count++].name, name);
    }
    c->links[i].calls++;
    c->links[i].errors += error;
}

static void visit(const struct tree *t, int i, struct counts *c)
{
    const struct node *node = &t->nodes[i];
    for (int j = 0; j < node->child_count; j++)
        visit(t, node->children[j], c);
    if (i == t->count) /* synthetic */
        return;
    const struct tb_span *s = &node->span;
    enum sm_kind kind = s->kind;
    const char *local = s->service, *remote = s->attrs[0].value, *parent, *child;
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
        const struct tb_span *ancestor = &t->nodes[up].span;
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

static int compare_counted(const void *a, const void *b)
{
    return strcmp(((const struct counted *)a)->name, ((const struct counted *)b)->name);
}

static void print(struct counts *c, char out[2048])
{
    qsort(c->links, c->count, sizeof c->links[0], compare_counted);
    size_t used = 0;
    *out = 0;
    for (unsigned i = 0; i < c->count; i++)
        used += (size_t)snprintf(out + used, 2048 - used, "%s %u/%u; ", c->links[i].name, c->links[i].calls,
                                 c->links[i].errors);
}

static void oracle_links(struct tb_span *spans, unsigned count, char out[2048])
{
    static struct tree tree;
    struct counts counts = {0};
    build(&tree, spans, count);
    visit(&tree, tree.root < 0 ? tree.count : tree.root, &counts);
    print(&counts, out);
}

static void our_links(const struct sm_linked *linked, const struct sm_names *nodes, char out[2048])
{
    struct counts counts = {0};
    for (uint32_t i = 0; i < linked->link_count; i++) {
        const struct sm_link *l = &linked->links[i];
        char parent[KEY], child[KEY];
        snprintf(parent, KEY, "%.*s", SM_STR_ARG(sm_names_get(nodes, l->parent)));
        snprintf(child, KEY, "%.*s", SM_STR_ARG(sm_names_get(nodes, l->child)));
        count_link(&counts, parent, child, l->error);
    }
    print(&counts, out);
}

Test(linker_oracle, random_traces, .timeout = 120)
{
    struct trace_builder tb;
    tb_init(&tb);
    struct sm_names *nodes = sm_names_new(1000, 1 << 20);
    struct sm_linker *linker = sm_linker_new(&(struct sm_linker_config){.peer_addresses = true}, tb.names, nodes);
    unsigned with_links = 0, unreachable = 0;
    for (uint64_t seed = 1; seed <= 60000; seed++) {
        struct tb_span spans[MAX];
        char ours[2048], theirs[2048];
        unsigned count = random_trace(seed, spans);
        const struct sm_linked *linked = sm_linker_walk(linker, tb_build(&tb, spans, count));
        our_links(linked, nodes, ours);
        unreachable += linked->unreachable > 0;
        with_links += linked->link_count > 0;
        oracle_links(spans, count, theirs);
        cr_assert_str_eq(ours, theirs, "seed %llu", (unsigned long long)seed);
    }
    cr_expect_gt(with_links, 20000, "with links: %u", with_links);
    cr_expect_gt(unreachable, 2000, "%u", unreachable);
    sm_linker_free(linker);
    sm_names_free(nodes);
    tb_fini(&tb);
}
