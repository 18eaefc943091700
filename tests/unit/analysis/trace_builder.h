/* Sealed traces for tests: from structs, or from a text with one span a line (or between semicolons):
 *
 *   KIND SERVICE ID[/PARENT] [WORD...]
 *
 * KIND is client, server, producer, consumer, local or none; SERVICE "-" stands for none. Words: shared, error (a tag),
 * failed (status), zipkin (came as Zipkin), debug, nodur, nostart, start=MS, dur=MS, ip=A.B.C.D, port=N, name=TEXT,
 * size=BYTES (pads the span), and KEY=TEXT for any other attribute; "peer" is short for "peer.service". Ids are hex.
 * Times without start= are the builder's base; without dur= a span takes 1 ms. */
#ifndef TRACE_BUILDER_H
#define TRACE_BUILDER_H

#include "span/names.h"
#include "span/scope.h"
#include "span/view.h"
#include "span/wanted.h"

#define TB_ATTRS_MAX 8

struct tb_attr {
    char key[48];
    char value[80];
};

struct tb_span {
    enum sm_kind kind;
    char service[32]; /* empty: none */
    char name[32];    /* empty: "op" */
    uint64_t id, parent;
    bool shared, error_tag, failed, zipkin, debug, no_duration, no_start;
    uint64_t start_ns, duration_ns;
    uint8_t ip[4]; /* zeros: none */
    uint16_t port;
    uint32_t size; /* 0: as it comes */
    struct tb_attr attrs[TB_ATTRS_MAX];
    unsigned attr_count;
};

struct trace_builder {
    struct sm_names *names;
    struct sm_names_cache *names_cache;
    struct sm_scopes *scopes;
    struct sm_scopes_cache *scopes_cache;
    struct sm_wanted *wanted;
    struct sm_view_scratch *scratch;
    struct sm_trace trace; /* of the last build; callers may set id, source, verdict, late, opened_ns, last_ns before */
    uint64_t base_ns;      /* default start of spans */
    uint8_t *bytes;        /* of the span at hand */
};

void tb_init(struct trace_builder *tb);
void tb_fini(struct trace_builder *tb);

/* Aborts on text that it does not understand. Returns the number of spans. */
unsigned tb_parse(const struct trace_builder *tb, const char *text, struct tb_span *spans, unsigned max);

/* Valid until the next build. */
const struct sm_view *tb_build(struct trace_builder *tb, const struct tb_span *spans, unsigned count);
const struct sm_view *tb_build_text(struct trace_builder *tb, const char *text);

#endif
