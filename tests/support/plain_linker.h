/* The rules of analysis/linker.h (Zipkin's DependencyLinker) a second time, by code that cares about nothing but being plain:
 * lists, texts as keys, a tree of nodes that is walked. What the linker is compared with. */
#ifndef PLAIN_LINKER_H
#define PLAIN_LINKER_H

#include "base/base.h"
#include "span/span.h"

struct plain_span {
    enum sm_kind kind; /* INTERNAL is for the caller to turn into UNSPECIFIED */
    char service[32];  /* empty: none */
    char peer[80];     /* as the span names the other side; empty: not */
    uint64_t id, parent;
    bool shared, error_tag;
    bool zipkin;   /* came as Zipkin */
    uint8_t ip[4]; /* zeros: none */
    uint16_t port;
    uint64_t start_ns, duration_ns; /* for nested servers; 0, UINT64_MAX: none */
};

enum { PLAIN_LINKS_MAX = 4096 };

struct plain_link {
    char parent[80], child[80];
    unsigned calls, errors;
};

struct plain_links {
    struct plain_link links[PLAIN_LINKS_MAX];
    unsigned count;
    bool nested_servers; /* as in analysis/tree.h */
};

/* Adds the links of one trace, whose spans are in order of arrival, without duplicates. */
void plain_links_add(struct plain_links *links, const struct plain_span *spans, unsigned count);

#endif
