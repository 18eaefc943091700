/* The difference between two walks. */
#include "analysis/late_links.h"

#include <stdlib.h>

struct sm_late_links {
    struct sm_view_span *spans; /* the context alone */
    struct sm_link *links;      /* of the context alone, sorted */
    struct sm_call *calls;
    uint32_t link_count, call_count;
    struct sm_linked out;
    uint32_t span_capacity, link_capacity, call_capacity;
};

struct sm_late_links *sm_late_links_new(void)
{
    return sm_xcalloc(1, sizeof(struct sm_late_links));
}

void sm_late_links_free(struct sm_late_links *l)
{
    if (!l)
        return;
    free(l->spans);
    free(l->links);
    free(l->calls);
    free(l);
}

static void reserve(void **items, uint32_t *capacity, uint32_t count, size_t size)
{
    if (count <= *capacity)
        return;
    *items = sm_xrealloc(*items, count * size);
    *capacity = count;
}

static uint32_t within(uint32_t index, uint32_t count)
{
    return index < count ? index : SM_VIEW_NONE;
}

/* The view as it was before the late spans came. */
static struct sm_view context_view(struct sm_late_links *l, const struct sm_view *view)
{
    reserve((void **)&l->spans, &l->span_capacity, view->context, sizeof *l->spans);
    for (uint32_t i = 0; i < view->context; i++) {
        l->spans[i] = view->spans[i];
        l->spans[i].parent = within(l->spans[i].parent, view->context);
        l->spans[i].next_same_id = within(l->spans[i].next_same_id, view->context);
    }
    struct sm_view before = *view;
    before.spans = l->spans;
    before.count = view->context;
    before.root = within(view->root, view->context);
    return before;
}

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_links(const void *x, const void *y)
{
    const struct sm_link *a = x, *b = y;
    int c = compare((uint64_t)a->parent << 32 | a->child, (uint64_t)b->parent << 32 | b->child);
    if (!c)
        c = compare(a->start_ns, b->start_ns);
    if (!c)
        c = compare(a->latency_ns, b->latency_ns);
    return c ? c : compare((uint64_t)a->error << 8 | a->types, (uint64_t)b->error << 8 | b->types);
}

static int compare_calls(const void *x, const void *y)
{
    const struct sm_call *a = x, *b = y;
    int c = compare((uint64_t)a->client << 32 | a->server, (uint64_t)b->client << 32 | b->server);
    if (!c)
        c = compare(a->connection, b->connection);
    if (!c)
        c = compare(a->failed, b->failed);
    if (!c)
        c = compare(a->client_ns, b->client_ns);
    return c ? c : compare(a->server_ns, b->server_ns);
}

/* Keeps the items of `all` that `before` has not as often; both sorted. Returns how many. */
static uint32_t subtract(char *all, uint32_t all_count, const char *before, uint32_t before_count, size_t size,
                         int (*cmp)(const void *, const void *))
{
    uint32_t kept = 0, k = 0;
    for (uint32_t i = 0; i < all_count; i++) {
        while (k < before_count && cmp(before + k * size, all + i * size) < 0)
            k++;
        if (k < before_count && cmp(before + k * size, all + i * size) == 0) {
            k++;
            continue;
        }
        memmove(all + kept++ * size, all + i * size, size);
    }
    return kept;
}

/* qsort wants an array even of nothing. */
static void sort(void *items, uint32_t count, size_t size, int (*cmp)(const void *, const void *))
{
    if (count)
        qsort(items, count, size, cmp);
}

static void keep_before(struct sm_late_links *l, const struct sm_linked *before)
{
    reserve((void **)&l->links, &l->link_capacity, before->link_count, sizeof *l->links);
    reserve((void **)&l->calls, &l->call_capacity, before->call_count, sizeof *l->calls);
    l->link_count = before->link_count;
    l->call_count = before->call_count;
    if (l->link_count)
        memcpy(l->links, before->links, l->link_count * sizeof *l->links);
    if (l->call_count)
        memcpy(l->calls, before->calls, l->call_count * sizeof *l->calls);
    sort(l->links, l->link_count, sizeof *l->links, compare_links);
    sort(l->calls, l->call_count, sizeof *l->calls, compare_calls);
}

const struct sm_linked *sm_late_links(struct sm_late_links *l, struct sm_linker *linker, const struct sm_view *view)
{
    struct sm_view before = context_view(l, view);
    keep_before(l, sm_linker_walk(linker, &before));
    l->out = *sm_linker_walk(linker, view);
    sort(l->out.links, l->out.link_count, sizeof *l->out.links, compare_links);
    sort(l->out.calls, l->out.call_count, sizeof *l->out.calls, compare_calls);
    l->out.link_count = subtract((char *)l->out.links, l->out.link_count, (const char *)l->links, l->link_count,
                                 sizeof *l->links, compare_links);
    l->out.call_count = subtract((char *)l->out.calls, l->out.call_count, (const char *)l->calls, l->call_count,
                                 sizeof *l->calls, compare_calls);
    /* Spans that found no other side were counted when they came. */
    l->out.unreachable = 0;
    memset(l->out.unpaired, 0, sizeof l->out.unpaired);
    return &l->out;
}
