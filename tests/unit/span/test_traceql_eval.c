/* What queries match: truth tables over a trace of three spans, with and without side records. */
#include "span/traceql/eval.h"

#include "span/traceql/print.h"
#include "tests/support/trace_maker.h"

static void write_array(struct sm_buf *span)
{
    struct sm_buf array = {0}, element = {0}, any = {0};
    maker_uint(&element, 3, 1);
    maker_bytes(&array, 1, element.data, element.size);
    sm_buf_clear(&element);
    maker_bytes(&element, 1, "x", 1);
    maker_bytes(&array, 1, element.data, element.size);
    maker_bytes(&any, 5, array.data, array.size);
    maker_any(span, 9, "codes", &any);
    sm_buf_fini(&array);
    sm_buf_fini(&element);
}

/* Span 0: shop's root, 800 ms. Span 1: its failed client call. Span 2: below it, in a resource that says little. */
static void write_trace(struct maker *m)
{
    maker_resource(m);
    maker_str(&m->resource, 1, "service.name", "shop");
    maker_int(&m->resource, 1, "replicas", 3);
    maker_str(&m->resource, 1, "zone", "eu-1");
    maker_span(m, (struct maker_span){.id = 1, .name = "GET /cart", .kind = SM_KIND_SERVER, .start_ms = 1000,
                                      .duration_ms = 800});
    maker_int(&m->span, 9, "http.status_code", 500);
    maker_str(&m->span, 9, "http.method", "GET");
    maker_bool(&m->span, 9, "cache.hit", true);
    maker_double(&m->span, 9, "ratio", 0.25);
    maker_str(&m->span, 9, "odd key", "v");
    maker_str(&m->span, 9, "zone", "span");
    maker_attr(&m->span, 9, "blob", "\x3a\x02hi", 4); /* bytes */
    write_array(&m->span);
    maker_span(m, (struct maker_span){.id = 2, .parent = 1, .name = "SELECT cart", .kind = SM_KIND_CLIENT,
                                      .status = SM_STATUS_ERROR, .message = "connection refused", .start_ms = 1100,
                                      .duration_ms = 100});
    maker_str(&m->span, 9, "http.status_code", "500");
    maker_bool(&m->span, 9, "cache.hit", false);
    maker_attr(&m->span, 9, "empty", "", 0);
    maker_str(&m->span, 9, "copy", "SELECT cart");
    maker_resource(m);
    maker_str(&m->resource, 1, "service.name", "db");
    maker_span(m, (struct maker_span){.id = 3, .parent = 2, .name = "query", .kind = SM_KIND_INTERNAL,
                                      .status = SM_STATUS_OK, .start_ms = 1120, .duration_ms = 50});
    maker_int(&m->span, 9, "ns", 50000000);
}

/* The query and the spans that match: "0", "12", "" for none. */
struct expectation {
    const char *query, *spans;
};

static const struct expectation intrinsics[] = {
    {"{}", "012"},
    {"{ true }", "012"},
    {"{ false }", ""},
    {"{ status = error }", "1"},
    {"{ status != error }", "02"},
    {"{ status = ok || status = unset }", "02"},
    {"{ error = status }", "1"},
    {"{ span:status = ok }", "2"},
    {"{ !(status = error) }", "02"},
    {"{ kind = server }", "0"},
    {"{ kind != client }", "02"},
    {"{ kind = internal }", "2"},
    {"{ name = \"query\" }", "2"},
    {"{ name != \"query\" }", "01"},
    {"{ name =~ \"GET.*\" }", "0"},
    {"{ name =~ \"GET\" }", ""},
    {"{ name !~ \"GET.*\" }", "12"},
    {"{ name =~ \".*cart\" }", "01"},
    {"{ name =~ \".*ECT.*\" }", "1"},
    {"{ name =~ \"(GET|SELECT) /?ca.t\" }", "01"},
    {"{ name =~ `\\w+` }", "2"},
    {"{ name > \"H\" }", "12"},
    {"{ name = nil }", ""},
    {"{ statusMessage = \"connection refused\" }", "1"},
    {"{ statusMessage =~ \".*refused\" }", "1"},
    {"{ statusMessage != \"x\" }", "1"},
    {"{ statusMessage = nil }", "02"},
    {"{ duration > 100ms }", "0"},
    {"{ duration >= 100ms }", "01"},
    {"{ duration < 100ms }", "2"},
    {"{ duration <= 0.1s }", "12"},
    {"{ duration = 50ms }", "2"},
    {"{ duration != 50ms }", "01"},
    {"{ 60ms > duration }", "2"},
    {"{ duration = 50000000 }", "2"},
    {"{ duration > 49999999.5 && duration < 50000000.5 }", "2"},
    {"{ duration = 50000000.5 }", ""},
    {"{ duration != 50000000.5 }", "012"},
    {"{ duration > -1s }", "012"},
    {"{ duration < -1s }", ""},
    {"{ duration < 1e300 }", "012"},
    {"{ duration > 1e300 }", ""},
    {"{ traceDuration > 500ms }", "012"},
    {"{ traceDuration > 800ms }", ""},
    {"{ trace:duration = 800ms }", "012"},
    {"{ traceDuration > 500ms && status = error }", "1"},
    {"{ traceDuration > 900ms || status = error }", "1"},
    {"{ traceDuration > duration }", "12"},
    {"{ rootName = \"GET /cart\" }", "012"},
    {"{ rootName =~ \"POST.*\" }", ""},
    {"{ rootServiceName = \"shop\" && kind = internal }", "2"},
    {"{ trace:rootService != \"shop\" }", ""},
    {"{ rootName = rootServiceName }", ""},
    {"{ name = rootName }", "0"},
};

static const struct expectation attributes[] = {
    {"{ span.http.status_code = 500 }", "0"},
    {"{ span.http.status_code = \"500\" }", "1"},
    {"{ span.http.status_code >= 400.5 }", "0"},
    {"{ span.http.status_code = 500.0 }", "0"},
    {"{ span.http.status_code != 404 }", "0"},
    {"{ span.http.status_code != \"404\" }", "1"},
    {"{ span.http.status_code >= \"4\" }", "1"},
    {"{ span.http.status_code != nil }", "01"},
    {"{ span.http.status_code = nil }", "2"},
    {"{ nil = span.http.status_code }", "2"},
    {"{ !(span.http.status_code = 500) }", "12"},
    {"{ !(span.http.status_code != 500) }", "012"},
    {"{ span.empty = nil }", "012"},
    {"{ span.missing = 1 }", ""},
    {"{ span.missing != 1 }", ""},
    {"{ span.missing !~ \"x\" }", ""},
    {"{ span.http.method =~ \"GET|POST\" }", "0"},
    {"{ span.http.method =~ `` }", ""},
    {"{ span.http.method !~ `` }", "0"},
    {"{ span.cache.hit }", "0"},
    {"{ !span.cache.hit }", "1"},
    {"{ !(span.cache.hit) }", "1"},
    {"{ span.cache.hit = true }", "0"},
    {"{ span.cache.hit != true }", "1"},
    {"{ (span.cache.hit = true) = false }", "12"},
    {"{ (status = error) != true }", "02"},
    {"{ span.ratio = 0.25 }", "0"},
    {"{ span.ratio < 1 }", "0"},
    {"{ span.ratio > 0 && span.ratio <= 0.3 }", "0"},
    {"{ span.ns = 50ms }", "2"},
    {"{ span.ns = duration }", "2"},
    {"{ span.copy = name }", "1"},
    {"{ span.\"odd key\" = \"v\" }", "0"},
    {"{ span.blob = \"hi\" }", ""},
    {"{ span.blob != nil }", "0"},
    {"{ resource.service.name = \"shop\" }", "01"},
    {"{ resource.service.name != \"shop\" }", "2"},
    {"{ resource.service.name =~ \"(?i)DB\" }", "2"},
    {"{ resource.replicas > 2 }", "01"},
    {"{ resource.replicas = nil }", "2"},
    {"{ resource.http.method = \"GET\" }", ""},
    {"{ span.service.name = \"shop\" }", ""},
    {"{ .service.name = \"shop\" }", "01"},
    {"{ .zone = \"span\" }", "0"},
    {"{ .zone = \"eu-1\" }", "1"},
    {"{ .zone != \"eu-1\" }", "0"},
    {"{ .zone = nil }", "2"},
    {"{ .http.method = \"GET\" && .replicas = 3 }", "0"},
    {"{ .zone = resource.zone }", "1"},
    {"{ span.codes = 1 }", "0"},
    {"{ span.codes = \"x\" }", "0"},
    {"{ span.codes = 2 }", ""},
    {"{ 1 = span.codes }", "0"},
    {"{ span.codes =~ \"[xy]\" }", "0"},
    {"{ span.codes != 2 }", ""},
    {"{ span.codes != nil }", "0"},
};

static const struct expectation logic[] = {
    {"{ status = error && kind = client }", "1"},
    {"{ status = error && kind = server }", ""},
    {"{ status = error || kind = server }", "01"},
    /* to the left, as in Tempo: (server || client) && error */
    {"{ kind = server || kind = client && status = error }", "1"},
    {"{ kind = server || (kind = client && status = error) }", "01"},
    {"{ !(kind = server || kind = client) }", "2"},
    {"{ !(kind = server && span.cache.hit) }", "12"},
    {"{ !!(kind = server) }", "0"},
    {"{ true && kind = server }", "0"},
    {"{ kind = server || true }", "012"},
    {"{ kind = server && false }", ""},
    {"{ false || kind = server }", "0"},
    {"{ 1 < 2 && \"a\" =~ `[a-c]` }", "012"},
    {"{ 1 > 2 || 1.5 = 1500ms }", ""},
    {"{ nil = nil }", ""},
    {"{ !(nil != 1) }", "012"},
    {"{ name =~ \"x.*y\" || span.missing = 1 || resource.replicas = 3 && status = error }", "1"},
    {"{ (name = \"query\" || (span.cache.hit && (duration > 1s || resource.zone = \"eu-1\"))) && traceDuration > 1ms }", "02"},
};

struct fixture {
    struct maker m;
    struct sm_wanted *wanted;
    struct sm_traceql_set *set;
    struct sm_traceql_scratch *scratch;
    const struct sm_view *view;
};

static void start(struct fixture *f, bool slots)
{
    f->wanted = sm_wanted_new(1);
    f->set = sm_traceql_set_new(slots ? f->wanted : NULL);
}

static void begin(struct fixture *f)
{
    maker_init(&f->m, f->wanted);
    write_trace(&f->m);
    f->view = maker_view(&f->m);
    cr_assert_eq(f->view->count, 3);
    f->scratch = sm_traceql_scratch_new(f->set);
}

static void finish(struct fixture *f)
{
    sm_traceql_scratch_free(f->scratch);
    sm_traceql_set_free(f->set);
    maker_fini(&f->m);
    sm_wanted_free(f->wanted);
}

static const struct sm_traceql_prog *compile(struct fixture *f, const char *query)
{
    struct sm_traceql_error err;
    const struct sm_traceql_prog *prog;
    enum sm_rc rc = sm_traceql_compile(f->set, sm_str_c(query), &prog, &err);
    cr_assert_eq(rc, SM_OK, "%s: %s", query, err.text);
    return prog;
}

static void matches(struct fixture *f, const struct sm_traceql_prog *prog, char out[8])
{
    size_t n = 0;
    for (uint32_t i = 0; i < f->view->count; i++)
        if (sm_traceql_match_span(prog, f->view, i, f->m.names, f->scratch))
            out[n++] = (char)('0' + i);
    out[n] = '\0';
}

static void check_table(const struct expectation *table, size_t n, bool slots)
{
    struct fixture f;
    const struct sm_traceql_prog *progs[100];
    cr_assert_leq(n, SM_ARRAY_LEN(progs));
    start(&f, slots);
    for (size_t i = 0; i < n; i++)
        progs[i] = compile(&f, table[i].query);
    begin(&f);
    for (int round = 0; round < 2; round++) /* the second time from what was remembered */
        for (size_t i = 0; i < n; i++) {
            char found[8];
            matches(&f, progs[i], found);
            cr_expect_str_eq(found, table[i].spans, "%s: %s instead of %s", table[i].query, found, table[i].spans);
            cr_expect_eq(sm_traceql_match_trace(progs[i], f.view, f.m.names, f.scratch), table[i].spans[0] != '\0', "%s",
                         table[i].query);
            cr_expect(!sm_traceql_never(progs[i]) || table[i].spans[0] == '\0', "%s", table[i].query);
        }
    finish(&f);
}

Test(traceql_eval, intrinsics)
{
    check_table(intrinsics, SM_ARRAY_LEN(intrinsics), true);
}

Test(traceql_eval, attributes_by_side_record)
{
    check_table(attributes, SM_ARRAY_LEN(attributes), true);
}

Test(traceql_eval, attributes_by_walking)
{
    check_table(attributes, SM_ARRAY_LEN(attributes), false);
}

Test(traceql_eval, logic)
{
    check_table(logic, SM_ARRAY_LEN(logic), true);
}

/* The printed form means the same as the query. */
Test(traceql_eval, printed_queries_match_the_same)
{
    const struct {
        const struct expectation *rows;
        size_t n;
    } tables[] = {{intrinsics, SM_ARRAY_LEN(intrinsics)}, {attributes, SM_ARRAY_LEN(attributes)}, {logic, SM_ARRAY_LEN(logic)}};
    for (size_t t = 0; t < SM_ARRAY_LEN(tables); t++) {
        struct fixture f;
        start(&f, false);
        begin(&f);
        for (size_t i = 0; i < tables[t].n; i++) {
            char found[8];
            matches(&f, compile(&f, sm_traceql_prog_text(compile(&f, tables[t].rows[i].query))), found);
            cr_expect_str_eq(found, tables[t].rows[i].spans, "%s", tables[t].rows[i].query);
        }
        finish(&f);
    }
}

static const struct {
    const char *query;
    enum sm_rc rc;
    uint32_t column;
    const char *says;
} bad[] = {
    {"{ status = \"error\" }", SM_E_INVALID, 12, "status must be compared with error, ok or unset"},
    {"{ status = 2 }", SM_E_INVALID, 12, "status must be compared with error, ok or unset"},
    {"{ status > ok }", SM_E_INVALID, 10, "> does not apply"},
    {"{ status = nil }", SM_E_INVALID, 12, "never nil"},
    {"{ kind = ok }", SM_E_INVALID, 10, "kind must be compared with server"},
    {"{ kind = status }", SM_E_UNSUPPORTED, 10, "constants"},
    {"{ name = 5 }", SM_E_INVALID, 10, "name must be compared with a string"},
    {"{ name = duration }", SM_E_INVALID, 10, "name must be compared with a string"},
    {"{ duration = \"1s\" }", SM_E_INVALID, 14, "duration must be compared with a duration (100ms)"},
    {"{ duration =~ \"1s\" }", SM_E_INVALID, 15, "duration must be compared"},
    {"{ span.a = error }", SM_E_INVALID, 12, "span.a is an attribute, which never is a status; a string needs quotes"},
    {"{ span.a =~ 5 }", SM_E_INVALID, 10, "=~ does not apply"},
    {"{ span.a > true }", SM_E_INVALID, 10, "> does not apply"},
    {"{ span.a > nil }", SM_E_INVALID, 10, "nil can only be compared with = and !="},
    {"{ span.a =~ name }", SM_E_INVALID, 13, "must be a string, not a field"},
    {"{ \"a.*\" =~ name }", SM_E_INVALID, 12, "must be a string, not a field"},
    {"{ name =~ \"(\" }", SM_E_INVALID, 11, "bad regular expression at its byte 2"},
    {"{ name =~ `\\C` }", SM_E_INVALID, 11, "bad regular expression"},
    {"{ name =~ `(a)\\1` }", SM_E_INVALID, 11, "bad regular expression"},
    {"{ \"a\" =~ \"[\" }", SM_E_INVALID, 10, "bad regular expression"},
    {"{ name }", SM_E_INVALID, 3, "name is no condition; compare it with a string"},
    {"{ duration && true }", SM_E_INVALID, 3, "duration is no condition"},
    {"{ 5 }", SM_E_INVALID, 3, "a condition is expected, this is an integer"},
    {"{ !\"x\" }", SM_E_INVALID, 4, "a condition is expected, this is a string"},
    {"{ !span.a = 5 }", SM_E_INVALID, 3, "! binds tighter than ="},
    {"{ 1 = \"1\" }", SM_E_INVALID, 7, "an integer cannot be compared with a string"},
    {"{ true < false }", SM_E_INVALID, 8, "< does not apply"},
    {"{ (status = ok) = (kind = server) }", SM_E_UNSUPPORTED, 17, "only be compared with true or false"},
    {"{ (status = ok) > true }", SM_E_UNSUPPORTED, 17, "only be compared with true or false"},
    {"{ (status = ok) = span.a }", SM_E_UNSUPPORTED, 17, "only be compared with true or false"},
};

Test(traceql_compile, errors_say_what_and_where)
{
    struct sm_traceql_set *set = sm_traceql_set_new(NULL);
    for (size_t i = 0; i < SM_ARRAY_LEN(bad); i++) {
        struct sm_traceql_error err = {0};
        const struct sm_traceql_prog *prog;
        enum sm_rc rc = sm_traceql_compile(set, sm_str_c(bad[i].query), &prog, &err);
        cr_expect_eq(rc, bad[i].rc, "%s: %s %s", bad[i].query, sm_rc_name(rc), err.text);
        cr_expect_eq(err.column, bad[i].column, "%s: column %u: %s", bad[i].query, err.column, err.text);
        cr_expect(strstr(err.text, bad[i].says), "%s: says: %s", bad[i].query, err.text);
        cr_expect_null(prog);
    }
    sm_traceql_set_free(set);
}

Test(traceql_compile, queries_of_a_set_share_slots_and_a_failed_one_leaves_no_trace)
{
    struct fixture f;
    start(&f, true);
    (void)compile(&f, "{ span.a = 1 && span.b =~ `x+` }");
    uint32_t count = f.wanted->count;
    (void)compile(&f, "{ span.a = 2 || span.b =~ `x+` }");
    cr_expect_eq(f.wanted->count, count);
    struct sm_traceql_error err;
    const struct sm_traceql_prog *prog;
    cr_expect_eq(sm_traceql_compile(f.set, SM_STR("{ name =~ `y+` && span.a = ok }"), &prog, &err), SM_E_INVALID);
    prog = compile(&f, "{ name =~ `que+ry` }");
    begin(&f);
    char found[8];
    matches(&f, prog, found);
    cr_expect_str_eq(found, "2");
    finish(&f);
}

/* A full table of wanted keys only means that attributes are found by walking. */
Test(traceql_eval, more_keys_than_slots)
{
    struct fixture f;
    char query[64];
    start(&f, true);
    for (int i = 0; i < SM_WANTED_MAX + 10; i++) {
        snprintf(query, sizeof query, "{ span.key%d = 1 }", i);
        (void)compile(&f, query);
    }
    const struct sm_traceql_prog *prog = compile(&f, "{ span.http.method = \"GET\" && .zone = \"span\" }");
    begin(&f);
    char found[8];
    matches(&f, prog, found);
    cr_expect_str_eq(found, "0");
    finish(&f);
}

/* More terms than are remembered. */
Test(traceql_eval, more_terms_than_memo_bits)
{
    struct fixture f;
    char query[100];
    const struct sm_traceql_prog *progs[100];
    start(&f, true);
    for (int i = 0; i < 100; i++) {
        snprintf(query, sizeof query, "{ resource.service.name =~ \"d(b|%d)\" && name =~ \"qu(ery|%d)\" }", i, i);
        progs[i] = compile(&f, query);
    }
    begin(&f);
    for (int i = 0; i < 100; i++) {
        char found[8];
        matches(&f, progs[i], found);
        cr_expect_str_eq(found, "2");
    }
    finish(&f);
}

Test(traceql_eval, a_span_without_duration_has_none)
{
    struct fixture f;
    start(&f, true);
    const struct sm_traceql_prog *shorter = compile(&f, "{ duration < 60ms }"), *other = compile(&f, "{ duration != 1s }"),
                                 *none = compile(&f, "{ duration = nil }");
    begin(&f);
    struct sm_trace_iter it = sm_trace_iter(&f.m.trace);
    const struct sm_span *span;
    const uint8_t *bytes;
    while (sm_trace_next(&it, &span, &bytes))
        if (span->span_id == 3)
            ((struct sm_span *)span)->flags |= SM_SPAN_NO_DURATION;
    char found[8];
    matches(&f, shorter, found);
    cr_expect_str_eq(found, "");
    matches(&f, other, found);
    cr_expect_str_eq(found, "01");
    matches(&f, none, found);
    cr_expect_str_eq(found, "2");
    finish(&f);
}

Test(traceql_eval, names_beyond_the_table)
{
    struct fixture f;
    start(&f, true);
    const struct sm_traceql_prog *name = compile(&f, "{ name =~ \"quer.\" }"),
                                 *root = compile(&f, "{ rootName = \"GET /cart\" }");
    f.m.names_overflow = true;
    begin(&f);
    char found[8];
    matches(&f, name, found);
    cr_expect_str_eq(found, "2");
    matches(&f, root, found);
    cr_expect_str_eq(found, "012");
    finish(&f);
}

Test(traceql_eval, an_empty_view_matches_nothing)
{
    struct fixture f;
    start(&f, true);
    const struct sm_traceql_prog *all = compile(&f, "{}"), *root = compile(&f, "{ rootName = nil }");
    begin(&f);
    struct sm_view empty = {.trace = &f.m.trace, .root = SM_VIEW_NONE};
    cr_expect_not(sm_traceql_match_trace(all, &empty, f.m.names, f.scratch));
    cr_expect_not(sm_traceql_match_trace(root, &empty, f.m.names, f.scratch));
    finish(&f);
}

Test(traceql_eval, a_pattern_that_backtracks_too_long_does_not_match)
{
    struct fixture f;
    start(&f, true);
    const struct sm_traceql_prog *prog = compile(&f, "{ span.long =~ `(x+x+)+[yz]` }"),
                                 *not = compile(&f, "{ span.long !~ `(x+x+)+[yz]` }");
    begin(&f);
    char value[200];
    memset(value, 'x', sizeof value);
    value[sizeof value - 1] = '\0';
    maker_restart(&f.m, f.m.trace_id);
    maker_span(&f.m, (struct maker_span){.id = 1, .name = "n"});
    maker_str(&f.m.span, 9, "long", value);
    f.view = maker_view(&f.m);
    char found[8];
    matches(&f, prog, found);
    cr_expect_str_eq(found, "");
    uint64_t limits = sm_traceql_regex_limits(f.scratch);
    matches(&f, not, found);
    cr_expect_str_eq(found, "", "given up means false, whatever was asked");
    cr_expect_geq(limits, 1);
    finish(&f);
}

static const struct {
    const char *query, *requirements;
} required[] = {
    {"{}", ""},
    {"{ false }", ""},
    {"{ status = error }", "status = error;"},
    {"{ resource.service.name = \"a\" && (name = \"b\" || name = \"c\") }", "resource.service.name = \"a\";"},
    {"{ .a = 1 && .b != nil && !(.c = 1) && .d }", ".a = 1;.b != nil;.d = true;"},
    {"{ 1s < duration && kind = server }", "duration > 1000000000ns;kind = server;"},
    {"{ .a = 1 || .a = 1 }", ""},
    {"{ .a = .b && !.c }", ""},
};

Test(traceql_compile, requirements)
{
    struct sm_traceql_set *set = sm_traceql_set_new(NULL);
    for (size_t i = 0; i < SM_ARRAY_LEN(required); i++) {
        struct sm_traceql_error err;
        const struct sm_traceql_prog *prog;
        cr_assert_eq(sm_traceql_compile(set, sm_str_c(required[i].query), &prog, &err), SM_OK);
        struct sm_traceql_requirement found[8];
        size_t n = sm_traceql_requirements(prog, found, 8);
        cr_expect_eq(sm_traceql_requirements(prog, found, 1), SM_MIN(n, 1));
        n = sm_traceql_requirements(prog, found, 8);
        /* every expected one is there, and no other */
        size_t expected = 0;
        for (const char *p = required[i].requirements; *p; p++)
            expected += *p == ';';
        cr_expect_eq(n, expected, "%s: %zu", required[i].query, n);
        for (size_t k = 0; k < n; k++) {
            char field[64], value[64], text[140];
            sm_traceql_print_field(&found[k].field, field, sizeof field);
            sm_traceql_print_value(&found[k].value, value, sizeof value);
            snprintf(text, sizeof text, "%s %s %s;", field, sm_traceql_print_op(found[k].op), value);
            cr_expect(strstr(required[i].requirements, text), "%s: %s", required[i].query, text);
        }
    }
    sm_traceql_set_free(set);
}

/* The longest chain that the limits allow, of parts that do not merge. */
Test(traceql_compile, long_chains)
{
    static char query[SM_TRACEQL_QUERY_SIZE_MAX];
    enum { TERMS = SM_TRACEQL_NODES_MAX / 4 - 1 };
    size_t at = (size_t)sprintf(query, "{ .a0 = 1");
    for (int i = 1; i < TERMS; i++)
        at += (size_t)sprintf(query + at, " %s .a%d = 1", i % 2 ? "&&" : "||", i);
    sprintf(query + at, " || kind = internal }");
    struct fixture f;
    start(&f, true);
    const struct sm_traceql_prog *prog = compile(&f, query);
    begin(&f);
    char found[8];
    matches(&f, prog, found);
    cr_expect_str_eq(found, "2");
    struct sm_traceql_requirement first[4];
    cr_expect_eq(sm_traceql_requirements(prog, first, 4), 0);
    finish(&f);
}
