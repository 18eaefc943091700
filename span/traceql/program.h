/* What compile.c makes and eval.c runs; nobody else includes this.
 *
 * A program is a decision graph in topological order: each instruction tests one thing and names the next instruction for
 * either outcome, or an end. Tests that need more than the header's numbers refer to a term of the set; terms are shared by
 * all programs of the set, so that a result remembered for one serves the others. */
#ifndef SM_TRACEQL_PROGRAM_H
#define SM_TRACEQL_PROGRAM_H

#include "span/attr.h"
#include "span/traceql/compile.h"
#include "span/traceql/regex.h"

#define SM_TRACEQL_ACCEPT 0xffff
#define SM_TRACEQL_REJECT 0xfffe

#define SM_TRACEQL_MEMO_BITS 64 /* terms that are remembered per name, and per resource; further ones are not */
#define SM_TRACEQL_MEMO_NONE 0xff

/* Where a value comes from. */
enum sm_traceql_source {
    SM_TRACEQL_FROM_CONSTANT,
    SM_TRACEQL_FROM_NOTHING, /* nil */
    SM_TRACEQL_FROM_TRACE_DURATION,
    SM_TRACEQL_FROM_ROOT_NAME,
    SM_TRACEQL_FROM_ROOT_SERVICE,
    SM_TRACEQL_FROM_STATUS,
    SM_TRACEQL_FROM_KIND,
    SM_TRACEQL_FROM_DURATION,
    SM_TRACEQL_FROM_NAME,
    SM_TRACEQL_FROM_RESOURCE,
    SM_TRACEQL_FROM_SPAN,
    SM_TRACEQL_FROM_ANY,
    SM_TRACEQL_FROM_STATUS_MESSAGE,
};

struct sm_traceql_operand {
    enum sm_traceql_source source;
    uint32_t slot;          /* SPAN, ANY: in the wanted table, or SM_WANTED_NONE: walk the bytes */
    struct sm_str key;      /* RESOURCE, SPAN, ANY */
    struct sm_value value;  /* CONSTANT: status and kind as integers */
};

struct sm_traceql_term {
    struct sm_traceql_operand left, right; /* left is never a constant */
    enum sm_traceql_op op;                 /* with nil: EQ (absent) or NE (present) */
    struct sm_traceql_regex *regex;        /* MATCH and NOT_MATCH */
    uint8_t memo;                          /* bit in the remembered results, or SM_TRACEQL_MEMO_NONE */
};

enum sm_traceql_test {
    /* the trace's: asked once per trace where they come first */
    SM_TRACEQL_TEST_TRACE_DURATION, /* range */
    SM_TRACEQL_TEST_ROOT_NAME,      /* term */
    SM_TRACEQL_TEST_ROOT_SERVICE,   /* term */
    SM_TRACEQL_TEST_TRACE,          /* term: both sides are the trace's */
    /* the span header's */
    SM_TRACEQL_TEST_STATUS,   /* low: bit set of statuses */
    SM_TRACEQL_TEST_KIND,     /* low: bit set of kinds */
    SM_TRACEQL_TEST_DURATION, /* range */
    SM_TRACEQL_TEST_NAME,     /* term */
    /* others */
    SM_TRACEQL_TEST_RESOURCE, /* term */
    SM_TRACEQL_TEST_ANY,      /* term */
    SM_TRACEQL_TEST_SPAN,     /* term */
};

struct sm_traceql_insn {
    uint8_t test;        /* enum sm_traceql_test */
    bool outside;        /* range: hold outside of it (!=) */
    uint16_t yes, no;    /* the next instruction, or an end */
    uint32_t term;       /* index in the set */
    uint32_t node;       /* the comparison or field in the tree, SM_TRACEQL_NONE when it was rewritten */
    uint64_t low, width; /* range: v - low <= width, unsigned */
};

struct sm_traceql_prog {
    const struct sm_traceql_set *set;
    struct sm_traceql_ast ast; /* owns the strings that terms refer to */
    char *text;
    bool needs_error; /* matches only spans with status error */
    uint16_t entry;   /* an instruction or an end */
    uint16_t n_insns;
    struct sm_traceql_insn insns[];
};

struct sm_traceql_set {
    struct sm_wanted *wanted;
    struct sm_traceql_term *terms;
    uint32_t n_terms, terms_capacity;
    struct sm_traceql_prog **progs;
    uint32_t n_progs, progs_capacity;
    uint8_t n_name_memos, n_resource_memos;
};

/* `order` as of strcmp; false for =~ and !~. */
static inline bool sm_traceql_ordered(int order, enum sm_traceql_op op)
{
    switch (op) {
    case SM_TRACEQL_EQ:
        return order == 0;
    case SM_TRACEQL_NE:
        return order != 0;
    case SM_TRACEQL_LT:
        return order < 0;
    case SM_TRACEQL_LE:
        return order <= 0;
    case SM_TRACEQL_GT:
        return order > 0;
    case SM_TRACEQL_GE:
        return order >= 0;
    default:
        return false;
    }
}

#endif
