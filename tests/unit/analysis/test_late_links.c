/* What late spans add to the links of their trace. */
#include "analysis/late_links.h"
#include "trace_builder.h"

#include <criterion/criterion.h>

/* Links and calls that the spans from `context` on add, as "links/calls". */
static void expect_news(const char *text, uint32_t context, uint32_t links, uint32_t calls)
{
    struct trace_builder tb;
    tb_init(&tb);
    struct sm_names *nodes = sm_names_new(100, 10000);
    struct sm_linker *linker = sm_linker_new(&(struct sm_linker_config){0}, tb.names, nodes);
    struct sm_late_links *late = sm_late_links_new();
    struct sm_view view = *tb_build_text(&tb, text);
    view.context = context;
    const struct sm_linked *l = sm_late_links(late, linker, &view);
    cr_expect_eq(l->link_count, links, "%s: %u links", text, l->link_count);
    cr_expect_eq(l->call_count, calls, "%s: %u calls", text, l->call_count);
    sm_late_links_free(late);
    sm_linker_free(linker);
    sm_names_free(nodes);
    tb_fini(&tb);
}

Test(late_links, only_what_is_new_counts)
{
    expect_news("client a 1; server b 2/1", 1, 1, 1);
    expect_news("client a 1; server b 2/1; client b 3/2; server c 4/3", 2, 1, 1);
    expect_news("client a 1; server b 2/1; client a 3", 2, 0, 0);
}

Test(late_links, traces_without_any_call)
{
    expect_news("server a 1; local a 2/1", 1, 0, 0);
}
