/* Writes random traces as Zipkin JSON with the links that our linker finds in them, one trace a line: JSON, tab, links
 * ("parent>child calls/errors; ...", sorted). Usage: dump FIRST_SEED COUNT */
#include "analysis/linker.h"
#include "base/json_out.h"
#include "random_trace.h"

#include <stdlib.h>

static void put_id(struct sm_buf *out, const char *key, uint64_t id)
{
    sm_buf_printf(out, ",\"%s\":\"%016llx\"", key, (unsigned long long)id);
}

static void put_endpoint(struct sm_buf *out, const struct tb_span *s)
{
    if (!*s->service && !s->ip[0] && !s->port)
        return;
    sm_buf_puts(out, ",\"localEndpoint\":{\"port\":");
    sm_json_put_uint(out, s->port);
    if (*s->service)
        sm_buf_printf(out, ",\"serviceName\":\"%s\"", s->service);
    if (s->ip[0])
        sm_buf_printf(out, ",\"ipv4\":\"%u.%u.%u.%u\"", s->ip[0], s->ip[1], s->ip[2], s->ip[3]);
    sm_buf_putc(out, '}');
}

static void put_span(struct sm_buf *out, const struct tb_span *s)
{
    static const char *const kinds[] = {"", "", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    sm_buf_puts(out, "{\"traceId\":\"0000000000000001\"");
    put_id(out, "id", s->id);
    if (s->parent)
        put_id(out, "parentId", s->parent);
    if (*kinds[s->kind])
        sm_buf_printf(out, ",\"kind\":\"%s\"", kinds[s->kind]);
    sm_buf_printf(out, ",\"timestamp\":%llu,\"duration\":%llu", (unsigned long long)s->start_ns / 1000,
                  (unsigned long long)s->duration_ns / 1000);
    put_endpoint(out, s);
    if (s->attr_count)
        sm_buf_printf(out, ",\"remoteEndpoint\":{\"serviceName\":\"%s\"}", s->attrs[0].value);
    if (s->error_tag)
        sm_buf_puts(out, ",\"tags\":{\"error\":\"why\"}");
    if (s->shared)
        sm_buf_puts(out, ",\"shared\":true");
    sm_buf_putc(out, '}');
}

struct line {
    char name[32];
    unsigned calls, errors;
};

static int compare_lines(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->name, ((const struct line *)b)->name);
}

static void put_links(struct sm_buf *out, const struct sm_linked *linked, const struct sm_names *nodes)
{
    struct line lines[2 * RANDOM_TRACE_SPANS_MAX] = {0};
    unsigned count = 0;
    for (uint32_t i = 0; i < linked->link_count; i++) {
        const struct sm_link *l = &linked->links[i];
        char name[32];
        snprintf(name, sizeof name, "%.*s>%.*s", SM_STR_ARG(sm_names_get(nodes, l->parent)),
                 SM_STR_ARG(sm_names_get(nodes, l->child)));
        unsigned at = 0;
        while (at < count && strcmp(lines[at].name, name) != 0)
            at++;
        if (at == count)
            strcpy(lines[count++].name, name);
        lines[at].calls++;
        lines[at].errors += l->error;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (unsigned i = 0; i < count; i++)
        sm_buf_printf(out, "%s %u/%u; ", lines[i].name, lines[i].calls, lines[i].errors);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
    struct trace_builder tb;
    tb_init(&tb);
    struct sm_names *nodes = sm_names_new(1000, 1 << 20);
    struct sm_linker *linker = sm_linker_new(&(struct sm_linker_config){.peer_addresses = true}, tb.names, nodes);
    struct sm_buf out = {0};
    for (uint64_t seed = first; seed < first + count; seed++) {
        struct tb_span spans[RANDOM_TRACE_SPANS_MAX];
        unsigned n = random_trace(seed, spans);
        for (unsigned i = 0; i < n; i++) {
            sm_buf_putc(&out, i ? ',' : '[');
            put_span(&out, &spans[i]);
        }
        sm_buf_puts(&out, "]\t");
        put_links(&out, sm_linker_walk(linker, tb_build(&tb, spans, n)), nodes);
        sm_buf_putc(&out, '\n');
        fwrite(out.data, 1, out.size, stdout);
        sm_buf_clear(&out);
    }
    sm_buf_fini(&out);
    sm_linker_free(linker);
    sm_names_free(nodes);
    tb_fini(&tb);
    return 0;
}
