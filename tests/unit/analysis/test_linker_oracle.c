/* The linker against a second implementation of the same rules (tests/support/plain_linker.c). */
#include "analysis/linker.h"
#include "random_trace.h"
#include "tests/support/plain_linker.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { MAX = RANDOM_TRACE_SPANS_MAX };

static int compare_links(const void *a, const void *b)
{
    const struct plain_link *x = a, *y = b;
    int order = strcmp(x->parent, y->parent);
    return order ? order : strcmp(x->child, y->child);
}

static void print(struct plain_links *c, char out[2048])
{
    qsort(c->links, c->count, sizeof c->links[0], compare_links);
    size_t used = 0;
    *out = 0;
    for (unsigned i = 0; i < c->count; i++)
        used += (size_t)snprintf(out + used, 2048 - used, "%s>%s %u/%u; ", c->links[i].parent, c->links[i].child,
                                 c->links[i].calls, c->links[i].errors);
}

static struct plain_span plain(const struct tb_span *s)
{
    struct plain_span p = {.kind = s->kind,
                           .id = s->id,
                           .parent = s->parent,
                           .shared = s->shared,
                           .error_tag = s->error_tag,
                           .zipkin = s->zipkin,
                           .start_ns = s->start_ns,
                           .duration_ns = s->duration_ns};
    snprintf(p.service, sizeof p.service, "%s", s->service);
    snprintf(p.peer, sizeof p.peer, "%s", s->attrs[0].value);
    if (s->zipkin) { /* no other format has addresses */
        memcpy(p.ip, s->ip, 4);
        p.port = s->port;
    }
    return p;
}

static void oracle_links(const struct tb_span *spans, unsigned count, bool nested, char out[2048])
{
    static struct plain_links links;
    struct plain_span plain_spans[MAX];
    links.count = 0;
    links.nested_servers = nested;
    for (unsigned i = 0; i < count; i++)
        plain_spans[i] = plain(&spans[i]);
    plain_links_add(&links, plain_spans, count);
    print(&links, out);
}

static void our_links(const struct sm_linked *linked, const struct sm_names *nodes, char out[2048])
{
    static struct plain_links links;
    links.count = 0;
    for (uint32_t i = 0; i < linked->link_count; i++) {
        const struct sm_link *l = &linked->links[i];
        struct plain_link *to = links.links;
        char parent[80], child[80];
        snprintf(parent, sizeof parent, "%.*s", SM_STR_ARG(sm_names_get(nodes, l->parent)));
        snprintf(child, sizeof child, "%.*s", SM_STR_ARG(sm_names_get(nodes, l->child)));
        while (to < links.links + links.count && (strcmp(to->parent, parent) != 0 || strcmp(to->child, child) != 0))
            to++;
        if (to == links.links + links.count) {
            *to = (struct plain_link){0};
            strcpy(to->parent, parent);
            strcpy(to->child, child);
            links.count++;
        }
        to->calls++;
        to->errors += l->error;
    }
    print(&links, out);
}

/* `mixed`: some of the spans that are not shared came in another format than Zipkin's. `nested`: servers may be. */
static void compare(bool mixed, bool nested)
{
    struct trace_builder tb;
    tb_init(&tb);
    struct sm_names *nodes = sm_names_new(1000, 1 << 20);
    struct sm_linker *linker = sm_linker_new(&(struct sm_linker_config){.peer_addresses = true, .nested_servers = nested},
                                             tb.names, nodes);
    unsigned with_links = 0, unreachable = 0;
    for (uint64_t seed = 1; seed <= 60000; seed++) {
        struct tb_span spans[MAX];
        char ours[2048], theirs[2048];
        unsigned count = random_trace(seed, spans);
        for (unsigned i = 0; mixed && i < count; i++)
            spans[i].zipkin = spans[i].shared || (spans[i].start_ns / 1000) % 2;
        const struct sm_linked *linked = sm_linker_walk(linker, tb_build(&tb, spans, count));
        our_links(linked, nodes, ours);
        unreachable += linked->unreachable > 0;
        with_links += linked->link_count > 0;
        oracle_links(spans, count, nested, theirs);
        cr_assert_str_eq(ours, theirs, "seed %llu", (unsigned long long)seed);
    }
    cr_expect_gt(with_links, 20000, "with links: %u", with_links);
    cr_expect_gt(unreachable, 2000, "%u", unreachable);
    sm_linker_free(linker);
    sm_names_free(nodes);
    tb_fini(&tb);
}

Test(linker_oracle, random_traces, .timeout = 120)
{
    compare(false, false);
}

Test(linker_oracle, random_traces_in_several_formats, .timeout = 120)
{
    compare(true, false);
}

Test(linker_oracle, random_traces_with_nested_servers, .timeout = 120)
{
    compare(true, true);
}
