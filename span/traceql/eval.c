/* The interpreter: a loop over instructions; terms load values from the span and compare them. */
#include "span/traceql/eval.h"

#include "span/traceql/program.h"

#include <stdlib.h>

#define NAME_MEMOS     1024 /* distinct names whose results are remembered at a time; a power of two */
#define RESOURCE_MEMOS 256  /* likewise resources */

/* Results of terms for one name or resource: bit of the term in `known`, then in `holds`. */
struct memo {
    uint64_t key;
    uint64_t known, holds;
};

struct sm_traceql_scratch {
    const struct sm_traceql_set *set;
    struct sm_traceql_regex_scratch *regex;
    struct memo names[NAME_MEMOS];         /* key: name id; ids are never reused */
    struct memo resources[RESOURCE_MEMOS]; /* key: content hash (seeded), since ids are reused */
};

/* What is being asked. */
struct subject {
    const struct sm_view *view;
    const struct sm_view_span *span; /* NULL while only the trace is asked */
    const struct sm_view_scratch *names;
    struct sm_traceql_scratch *scratch;
};

struct sm_traceql_scratch *sm_traceql_scratch_new(const struct sm_traceql_set *set)
{
    struct sm_traceql_scratch *scratch = sm_xcalloc(1, sizeof *scratch);
    scratch->set = set;
    scratch->regex = sm_traceql_regex_scratch_new();
    return scratch;
}

void sm_traceql_scratch_free(struct sm_traceql_scratch *scratch)
{
    if (!scratch)
        return;
    sm_traceql_regex_scratch_free(scratch->regex);
    free(scratch);
}

uint64_t sm_traceql_regex_limits(const struct sm_traceql_scratch *scratch)
{
    return sm_traceql_regex_given_up(scratch->regex);
}

/* ---- comparing ---- */

static bool reals_ordered(double a, double b, enum sm_traceql_op op)
{
    switch (op) {
    case SM_TRACEQL_EQ:
        return a == b;
    case SM_TRACEQL_NE:
        return a != b;
    case SM_TRACEQL_LT:
        return a < b;
    case SM_TRACEQL_LE:
        return a <= b;
    case SM_TRACEQL_GT:
        return a > b;
    case SM_TRACEQL_GE:
        return a >= b;
    default:
        return false;
    }
}

static bool is_number(const struct sm_value *v)
{
    return v->type == SM_VALUE_INT || v->type == SM_VALUE_DOUBLE;
}

static double real_of(const struct sm_value *v)
{
    return v->type == SM_VALUE_DOUBLE ? v->d : (double)v->i;
}

static bool strings_compare(const struct sm_traceql_term *term, struct sm_traceql_scratch *scratch, struct sm_str a,
                            struct sm_str b)
{
    if (term->regex)
        return sm_traceql_regex_holds(term->regex, scratch->regex, a, term->op == SM_TRACEQL_MATCH);
    if (term->op == SM_TRACEQL_EQ || term->op == SM_TRACEQL_NE)
        return sm_str_eq(a, b) == (term->op == SM_TRACEQL_EQ);
    return sm_traceql_ordered(sm_str_cmp(a, b), term->op);
}

/* Single values; false when their types do not go together. */
static bool scalars_compare(const struct sm_traceql_term *term, struct sm_traceql_scratch *scratch,
                            const struct sm_value *a, const struct sm_value *b)
{
    if (a->type == SM_VALUE_STRING && b->type == SM_VALUE_STRING)
        return strings_compare(term, scratch, a->bytes, b->bytes);
    if (a->type == SM_VALUE_BOOL && b->type == SM_VALUE_BOOL)
        return (term->op == SM_TRACEQL_EQ && a->b == b->b) || (term->op == SM_TRACEQL_NE && a->b != b->b);
    if (a->type == SM_VALUE_INT && b->type == SM_VALUE_INT)
        return sm_traceql_ordered((a->i > b->i) - (a->i < b->i), term->op);
    return is_number(a) && is_number(b) && reals_ordered(real_of(a), real_of(b), term->op);
}

/* An array holds if one element does; for != and !~ if all do. `swapped`: the array is the right side. */
static bool array_compares(const struct sm_traceql_term *term, struct sm_traceql_scratch *scratch,
                           const struct sm_value *array, const struct sm_value *other, bool swapped)
{
    enum { VALUES = 1 };
    bool all = term->op == SM_TRACEQL_NE || term->op == SM_TRACEQL_NOT_MATCH;
    const uint8_t *p = (const uint8_t *)array->bytes.ptr, *end = sm_pb_end(p, array->bytes.len);
    struct sm_pb_field f;
    struct sm_value element;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != VALUES || f.wire != SM_PB_BYTES)
            continue;
        bool holds = sm_value_decode(f.bytes, f.size, &element) &&
                     (swapped ? scalars_compare(term, scratch, other, &element)
                              : scalars_compare(term, scratch, &element, other));
        if (holds != all)
            return holds;
    }
    return all;
}

static bool values_compare(const struct sm_traceql_term *term, struct sm_traceql_scratch *scratch,
                           const struct sm_value *a, const struct sm_value *b)
{
    if (SM_UNLIKELY(a->type == SM_VALUE_ARRAY))
        return array_compares(term, scratch, a, b, false);
    if (SM_UNLIKELY(b->type == SM_VALUE_ARRAY))
        return array_compares(term, scratch, b, a, true);
    return scalars_compare(term, scratch, a, b);
}

/* ---- loading ---- */

static bool string_value(struct sm_str s, struct sm_value *out)
{
    *out = (struct sm_value){.type = SM_VALUE_STRING, .bytes = s};
    return true;
}

static bool number_value(uint64_t v, struct sm_value *out)
{
    *out = (struct sm_value){.type = SM_VALUE_INT, .i = v > INT64_MAX ? INT64_MAX : (int64_t)v};
    return true;
}

static const struct sm_view_span *root_of(const struct sm_view *view)
{
    return view->root < view->count ? &view->spans[view->root] : NULL;
}

static bool load_root_name(const struct subject *s, struct sm_value *out)
{
    const struct sm_view_span *root = root_of(s->view);
    return root && string_value(sm_view_name(s->names, root), out);
}

static bool load_root_service(const struct subject *s, struct sm_value *out)
{
    const struct sm_view_span *root = root_of(s->view);
    if (!root || !root->resource || root->resource->service_id == SM_NAME_EMPTY)
        return false;
    if (SM_UNLIKELY(root->resource->service_id == SM_NAME_OVERFLOW))
        return sm_attr_find(root->resource->bytes.ptr, root->resource->bytes.len, 1, SM_STR("service.name"), out);
    return string_value(sm_view_service(s->names, root), out);
}

/* Field 15, `Status`; its message 2. Repeated parts: the last counts. */
static bool load_status_message(const struct subject *s, struct sm_value *out)
{
    enum { MESSAGE = 2 };
    struct sm_str fields = sm_lead_rest(s->span->span, s->span->bytes);
    const uint8_t *p = (const uint8_t *)fields.ptr, *end = sm_pb_end(p, fields.len);
    struct sm_pb_field f, inner;
    bool found = false;
    while (sm_pb_next(&p, end, &f)) {
        if (f.number != SM_OTLP_STATUS || f.wire != SM_PB_BYTES)
            continue;
        const uint8_t *q = f.bytes;
        while (sm_pb_next(&q, f.bytes + f.size, &inner))
            if (inner.number == MESSAGE && inner.wire == SM_PB_BYTES)
                found = string_value(sm_str(inner.bytes, inner.size), out);
    }
    return found;
}

static bool load_resource(const struct subject *s, struct sm_str key, struct sm_value *out)
{
    const struct sm_resource *r = s->span->resource;
    return r && sm_attr_find(r->bytes.ptr, r->bytes.len, 1, key, out) && out->type != SM_VALUE_EMPTY;
}

static bool load_attribute(const struct subject *s, const struct sm_traceql_operand *o, struct sm_value *out)
{
    const struct sm_span *span = s->span->span;
    struct sm_str fields = sm_lead_rest(span, s->span->bytes);
    bool found = o->slot != SM_WANTED_NONE ? sm_span_value(span, s->span->bytes, o->slot, out)
                                           : sm_attr_find(fields.ptr, fields.len, SM_OTLP_ATTRIBUTES, o->key, out);
    return found && out->type != SM_VALUE_EMPTY;
}

/* False when the value is missing. */
static bool load(const struct subject *s, const struct sm_traceql_operand *o, struct sm_value *out)
{
    switch (o->source) {
    case SM_TRACEQL_FROM_CONSTANT:
        *out = o->value;
        return true;
    case SM_TRACEQL_FROM_NOTHING:
        return false;
    case SM_TRACEQL_FROM_TRACE_DURATION:
        return number_value(s->view->duration_ns, out);
    case SM_TRACEQL_FROM_ROOT_NAME:
        return load_root_name(s, out);
    case SM_TRACEQL_FROM_ROOT_SERVICE:
        return load_root_service(s, out);
    case SM_TRACEQL_FROM_STATUS:
        return number_value(sm_span_status(s->span->span), out);
    case SM_TRACEQL_FROM_KIND:
        return number_value(sm_span_kind(s->span->span), out);
    case SM_TRACEQL_FROM_DURATION:
        return !(s->span->span->flags & SM_SPAN_NO_DURATION) && number_value(s->span->span->duration_ns, out);
    case SM_TRACEQL_FROM_NAME:
        return string_value(sm_view_name(s->names, s->span), out);
    case SM_TRACEQL_FROM_RESOURCE:
        return load_resource(s, o->key, out);
    case SM_TRACEQL_FROM_SPAN:
        return load_attribute(s, o, out);
    case SM_TRACEQL_FROM_ANY:
        return load_attribute(s, o, out) || load_resource(s, o->key, out);
    case SM_TRACEQL_FROM_STATUS_MESSAGE:
        return load_status_message(s, out);
    }
    return false;
}

static bool term_holds_for(const struct subject *s, const struct sm_traceql_term *term, const struct sm_value *left)
{
    struct sm_value right;
    if (term->right.source == SM_TRACEQL_FROM_CONSTANT)
        return values_compare(term, s->scratch, left, &term->right.value);
    return load(s, &term->right, &right) && values_compare(term, s->scratch, left, &right);
}

static bool term_holds(const struct subject *s, const struct sm_traceql_term *term)
{
    struct sm_value left;
    bool present = load(s, &term->left, &left);
    if (term->right.source == SM_TRACEQL_FROM_NOTHING)
        return present == (term->op == SM_TRACEQL_NE);
    return present && term_holds_for(s, term, &left);
}

/* ---- remembering ---- */

/* The term's result for `key` in its memo, asked for when it is not known yet. */
static bool remembered(const struct subject *s, const struct sm_traceql_term *term, struct memo *memo, uint64_t key,
                       bool (*ask)(const struct subject *, const struct sm_traceql_term *))
{
    if (memo->key != key)
        *memo = (struct memo){.key = key};
    uint64_t bit = UINT64_C(1) << term->memo;
    if (SM_UNLIKELY(!(memo->known & bit))) {
        memo->known |= bit;
        if (ask(s, term))
            memo->holds |= bit;
    }
    return memo->holds & bit;
}

static bool name_term_holds(const struct subject *s, const struct sm_traceql_term *term, uint32_t name_id)
{
    if (name_id == SM_NAME_OVERFLOW || term->memo == SM_TRACEQL_MEMO_NONE)
        return term_holds(s, term);
    return remembered(s, term, &s->scratch->names[name_id % NAME_MEMOS], name_id, term_holds);
}

static bool root_name_holds(const struct subject *s, const struct sm_traceql_term *term)
{
    const struct sm_view_span *root = root_of(s->view);
    return name_term_holds(s, term, root ? root->span->name_id : SM_NAME_OVERFLOW);
}

static bool root_service_holds(const struct subject *s, const struct sm_traceql_term *term)
{
    const struct sm_view_span *root = root_of(s->view);
    return name_term_holds(s, term, root && root->resource ? root->resource->service_id : SM_NAME_OVERFLOW);
}

/* The term asked of the resource alone, whether it is `resource.key` or `.key`. */
static bool resource_term_asked(const struct subject *s, const struct sm_traceql_term *term)
{
    struct sm_value left;
    bool present = load_resource(s, term->left.key, &left);
    if (term->right.source == SM_TRACEQL_FROM_NOTHING)
        return present == (term->op == SM_TRACEQL_NE);
    return present && term_holds_for(s, term, &left);
}

static bool resource_term_holds(const struct subject *s, const struct sm_traceql_term *term)
{
    const struct sm_resource *r = s->span->resource;
    if (!r || term->memo == SM_TRACEQL_MEMO_NONE)
        return resource_term_asked(s, term);
    return remembered(s, term, &s->scratch->resources[r->hash % RESOURCE_MEMOS], r->hash, resource_term_asked);
}

static bool any_term_holds(const struct subject *s, const struct sm_traceql_term *term)
{
    struct sm_value left;
    if (!load_attribute(s, &term->left, &left))
        return resource_term_holds(s, term);
    if (term->right.source == SM_TRACEQL_FROM_NOTHING)
        return term->op == SM_TRACEQL_NE;
    return term_holds_for(s, term, &left);
}

/* ---- running ---- */

static bool in_range(const struct sm_traceql_insn *insn, uint64_t v)
{
    return (v - insn->low <= insn->width) != insn->outside;
}

SM_INLINE bool is_trace_test(const struct sm_traceql_insn *insn)
{
    return insn->test <= SM_TRACEQL_TEST_TRACE;
}

static bool test_holds(const struct subject *s, const struct sm_traceql_insn *insn)
{
    const struct sm_traceql_term *terms = s->scratch->set->terms;
    switch ((enum sm_traceql_test)insn->test) {
    case SM_TRACEQL_TEST_TRACE_DURATION:
        return in_range(insn, s->view->duration_ns);
    case SM_TRACEQL_TEST_ROOT_NAME:
        return root_name_holds(s, &terms[insn->term]);
    case SM_TRACEQL_TEST_ROOT_SERVICE:
        return root_service_holds(s, &terms[insn->term]);
    case SM_TRACEQL_TEST_STATUS:
        return insn->low >> sm_span_status(s->span->span) & 1;
    case SM_TRACEQL_TEST_KIND:
        return insn->low >> sm_span_kind(s->span->span) & 1;
    case SM_TRACEQL_TEST_DURATION:
        return in_range(insn, s->span->span->duration_ns) && !(s->span->span->flags & SM_SPAN_NO_DURATION);
    case SM_TRACEQL_TEST_NAME:
        return name_term_holds(s, &terms[insn->term], s->span->span->name_id);
    case SM_TRACEQL_TEST_RESOURCE:
        return resource_term_holds(s, &terms[insn->term]);
    case SM_TRACEQL_TEST_ANY:
        return any_term_holds(s, &terms[insn->term]);
    case SM_TRACEQL_TEST_TRACE:
    case SM_TRACEQL_TEST_SPAN:
        return term_holds(s, &terms[insn->term]);
    }
    return false;
}

SM_HOT static bool run(const struct subject *s, const struct sm_traceql_prog *prog, uint16_t at)
{
    while (at < SM_TRACEQL_REJECT) {
        const struct sm_traceql_insn *insn = &prog->insns[at];
        at = test_holds(s, insn) ? insn->yes : insn->no;
    }
    return at == SM_TRACEQL_ACCEPT;
}

/* Runs the leading tests of the trace; returns where the tests of its spans begin, or an end. */
static uint16_t run_trace_tests(const struct subject *s, const struct sm_traceql_prog *prog)
{
    uint16_t at = prog->entry;
    while (at < SM_TRACEQL_REJECT && is_trace_test(&prog->insns[at]))
        at = test_holds(s, &prog->insns[at]) ? prog->insns[at].yes : prog->insns[at].no;
    return at;
}

SM_HOT bool sm_traceql_match_trace(const struct sm_traceql_prog *prog, const struct sm_view *view,
                                   const struct sm_view_scratch *names, struct sm_traceql_scratch *scratch)
{
    if (view->count == 0 || (prog->needs_error && !view->error))
        return false;
    struct subject s = {.view = view, .names = names, .scratch = scratch};
    uint16_t start = run_trace_tests(&s, prog);
    if (start >= SM_TRACEQL_REJECT)
        return start == SM_TRACEQL_ACCEPT;
    for (uint32_t i = 0; i < view->count; i++) {
        s.span = &view->spans[i];
        if (run(&s, prog, start))
            return true;
    }
    return false;
}

bool sm_traceql_match_span(const struct sm_traceql_prog *prog, const struct sm_view *view, uint32_t index,
                           const struct sm_view_scratch *names, struct sm_traceql_scratch *scratch)
{
    struct subject s = {.view = view, .span = &view->spans[index], .names = names, .scratch = scratch};
    return run(&s, prog, prog->entry);
}
