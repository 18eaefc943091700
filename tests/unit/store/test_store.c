#include "tests/unit/store/fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void commit(struct sm_store *store)
{
    struct sm_err err = {0};
    cr_assert_eq(sm_store_commit(store, &err), SM_OK, "%s", err.text);
}

static void seal(struct sm_store *store)
{
    struct sm_err err = {0};
    cr_assert_eq(sm_store_seal(store, &err), SM_OK, "%s", err.text);
}

Test(store, round_trip_active_sealed_and_reopened)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    fx_append_numbered(store, 1, 200, 5);
    commit(store);
    for (uint64_t n = 1; n < 200; n++)
        cr_assert(fx_has_numbered(store, n, 5), "active %lu", n);
    cr_assert_not(fx_has_numbered(store, 200, 5));
    seal(store);
    for (uint64_t n = 1; n < 200; n++)
        cr_assert(fx_has_numbered(store, n, 5), "sealed %lu", n);
    fx_append_numbered(store, 200, 250, 3);
    sm_store_close(store);
    store = fx_open(dir, NULL);
    for (uint64_t n = 1; n < 250; n++)
        cr_assert(fx_has_numbered(store, n, n < 200 ? 5 : 3), "reopened %lu", n);
    cr_assert_eq(sm_store_durable(store), 249);
    fx_append_numbered(store, 250, 260, 3);
    commit(store);
    cr_assert(fx_has_numbered(store, 255, 3));
    cr_assert(fx_has_numbered(store, 201, 3));
    sm_store_close(store);
    fx_rmdir(dir);
}

static bool keep_meta(void *ctx, const struct sm_store_found *found)
{
    struct sm_store_meta *meta = ctx;
    static char rule[256];
    *meta = found->meta;
    memcpy(rule, found->meta.rule.ptr, found->meta.rule.len);
    meta->rule.ptr = rule;
    return true;
}

Test(store, meta_survives)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    struct fx_trace t = fx_numbered(7, 4);
    t.trace.meta.rule = SM_STR("slow and odd");
    t.trace.meta.threshold = 0x00c0ffee;
    t.trace.meta.randomness = UINT64_C(0xabcdef01234567);
    t.trace.meta.trigger = SM_TRIGGER_MEMORY;
    t.trace.meta.marks = SM_STORE_PARTIAL;
    t.trace.meta.stored_ns = 1234567890123456789;
    fx_append(store, &t);
    commit(store);
    struct sm_store_meta meta;
    cr_assert_eq(sm_store_get(store, fx_id(7), SM_STORE_ID_EXACT, keep_meta, &meta), SM_OK);
    cr_assert(sm_str_eq(meta.rule, SM_STR("slow and odd")));
    cr_assert_eq(meta.threshold, 0x00c0ffee);
    cr_assert_eq(meta.randomness, UINT64_C(0xabcdef01234567));
    cr_assert_eq(meta.trigger, SM_TRIGGER_MEMORY);
    cr_assert_eq(meta.verdict, SM_VERDICT_KEPT);
    cr_assert_eq(meta.marks, SM_STORE_PARTIAL);
    cr_assert_eq(meta.stored_ns, 1234567890123456789);
    fx_trace_free(&t);
    sm_store_close(store);
    fx_rmdir(dir);
}

static bool count_found(void *ctx, const struct sm_store_found *found)
{
    (void)found;
    ++*(uint32_t *)ctx;
    return true;
}

static bool keep_found(void *ctx, const struct sm_store_found *found)
{
    *(struct sm_store_found *)ctx = *found;
    return true;
}

Test(store, late_parts_are_put_together_and_duplicates_given_once)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    struct fx_span first[] = {{.service = "a", .name = "x", .id = 1, .start_us = 1000, .duration_us = 500},
                              {.service = "a", .name = "y", .id = 2, .parent = 1, .start_us = 1100, .duration_us = 10,
                               .status = SM_STATUS_ERROR}};
    struct fx_span late[] = {{.service = "a", .name = "y", .id = 2, .parent = 1, .start_us = 1100, .duration_us = 10,
                              .status = SM_STATUS_ERROR},
                             {.service = "b", .name = "z", .id = 3, .parent = 1, .start_us = 900, .duration_us = 900}};
    struct fx_trace t1 = fx_trace(fx_id(5), first, 2), t2 = fx_trace(fx_id(5), late, 2);
    fx_append(store, &t1);
    seal(store);
    fx_append(store, &t2);
    commit(store);
    struct sm_store_found found;
    cr_assert_eq(sm_store_get(store, fx_id(5), SM_STORE_ID_EXACT, keep_found, &found), SM_OK);
    cr_assert_eq(found.parts, 2);
    cr_assert_eq(found.meta.span_count, 3);
    cr_assert_eq(found.duplicates, 1);
    cr_assert_eq(found.meta.error_count, 1);
    cr_assert_eq(found.meta.start_ns, 900000);
    cr_assert_eq(found.meta.end_ns, 1800000);
    fx_trace_free(&t1);
    fx_trace_free(&t2);
    sm_store_close(store);
    fx_rmdir(dir);
}

Test(store, low_half_finds_every_full_id)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    struct fx_span span[] = {{.service = "a", .name = "x", .id = 1, .start_us = 1000, .duration_us = 5}};
    for (uint64_t hi = 0; hi < 3; hi++) {
        struct fx_trace t = fx_trace((struct sm_trace_id){.hi = hi, .lo = 42}, span, 1);
        fx_append(store, &t);
        fx_trace_free(&t);
    }
    for (int sealed = 0; sealed < 2; sealed++) {
        uint32_t count = 0;
        struct sm_trace_id id = {.hi = 9, .lo = 42};
        commit(store);
        cr_assert_eq(sm_store_get(store, id, SM_STORE_ID_LOW64, count_found, &count), SM_OK);
        cr_assert_eq(count, 3);
        cr_assert_eq(sm_store_get(store, id, SM_STORE_ID_EXACT, count_found, &count), SM_E_NOTFOUND);
        seal(store);
    }
    sm_store_close(store);
    fx_rmdir(dir);
}

Test(store, one_process_at_a_time_and_the_error_names_it)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL), *second = NULL;
    struct sm_err err = {0};
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    cr_assert_eq(sm_store_open(dir, NULL, 0, &second, &err), SM_E_AGAIN);
    cr_assert(strstr(err.text, pid), "%s", err.text);
    struct sm_store_options reading = {.read_only = true};
    fx_append_numbered(store, 1, 20, 2);
    commit(store);
    second = fx_open(dir, &reading);
    cr_assert(fx_has_numbered(second, 3, 2));
    struct fx_trace t = fx_numbered(99, 1);
    cr_assert_eq(sm_store_append(second, &t.trace, &err), SM_E_UNSUPPORTED);
    fx_trace_free(&t);
    sm_store_close(second);
    sm_store_close(store);
    store = fx_open(dir, NULL);
    sm_store_close(store);
    fx_rmdir(dir);
}

/* The bytes of a store that was written and closed with this salt; *name is that of its first segment. */
static struct sm_buf written_with_salt(uint64_t salt, char name[64])
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, &(struct sm_store_options){.salt = salt});
    fx_append_numbered(store, 0, 50, 3);
    struct sm_err err;
    cr_assert_eq(sm_store_seal(store, &err), SM_OK);
    sm_store_close(store);
    const char *path = fx_segment_path(dir);
    snprintf(name, 64, "%s", strrchr(path, '/'));
    struct sm_buf bytes = fx_read_file(path);
    fx_rmdir(dir);
    return bytes;
}

Test(store, equal_input_and_salt_make_equal_files)
{
    char names[4][64];
    struct sm_buf a = written_with_salt(7, names[0]), b = written_with_salt(7, names[1]);
    struct sm_buf c = written_with_salt(0, names[2]), d = written_with_salt(0, names[3]);
    cr_expect_str_eq(names[0], names[1]);
    cr_expect(sm_str_eq(sm_buf_str(&a), sm_buf_str(&b)));
    cr_expect_str_neq(names[2], names[3]);
    sm_buf_fini(&a);
    sm_buf_fini(&b);
    sm_buf_fini(&c);
    sm_buf_fini(&d);
}

Test(store, seals_by_size_and_age)
{
    const char *dir = fx_dir();
    struct sm_store_options options = {.segment_bytes_max = 20000, .block_bytes = 4096};
    struct sm_store *store = fx_open(dir, &options);
    struct sm_store_stats stats;
    fx_append_numbered(store, 1, 2000, 5);
    commit(store);
    sm_store_stats(store, &stats);
    cr_assert(stats.seals > 3, "%lu", stats.seals);
    cr_assert_eq(stats.traces, 1999);
    cr_assert_eq(stats.spans, 1999 * 5);
    for (uint64_t n = 1; n < 2000; n += 37)
        cr_assert(fx_has_numbered(store, n, 5));
    uint64_t seals = stats.seals;
    sm_store_tick(store, stats.stored_newest_ns + 1);
    sm_store_stats(store, &stats);
    cr_assert_eq(stats.seals, seals);
    sm_store_tick(store, stats.stored_newest_ns + 3601 * SM_SEC);
    sm_store_stats(store, &stats);
    cr_assert_eq(stats.seals, seals + 1);
    sm_store_close(store);
    fx_rmdir(dir);
}

Test(store, retention_by_age_and_size_unlinks_oldest_first)
{
    const char *dir = fx_dir();
    struct sm_store_options options = {.retention_age_ns = 100 * SM_SEC, .segment_age_ns_max = 1000000 * SM_SEC};
    struct sm_store *store = fx_open(dir, &options);
    struct sm_store_stats stats;
    for (uint64_t part = 0; part < 4; part++) {
        fx_append_numbered(store, part * 100000, part * 100000 + 10, 3); /* 100 s apart */
        seal(store);
    }
    sm_store_tick(store, (int64_t)FX_BASE_NS + 250 * SM_SEC);
    sm_store_stats(store, &stats);
    cr_assert_eq(stats.segments, 2);
    cr_assert_eq(stats.removed_segments, 2);
    cr_assert_eq(stats.removed_traces, 20);
    cr_assert_not(fx_has_numbered(store, 100001, 3));
    cr_assert(fx_has_numbered(store, 200001, 3));
    sm_store_close(store);

    options = (struct sm_store_options){.retention_age_ns = -1, .retention_bytes_max = stats.bytes - 1};
    store = fx_open(dir, &options);
    sm_store_tick(store, (int64_t)FX_BASE_NS + 100000 * SM_SEC);
    sm_store_stats(store, &stats);
    cr_assert_eq(stats.segments, 1);
    cr_assert(fx_has_numbered(store, 300001, 3));
    sm_store_close(store);
    fx_rmdir(dir);
}

struct unlinking {
    struct sm_store *store;
    uint32_t seen;
};

static bool retain_while_reading(void *ctx, const struct sm_store_found *found)
{
    struct unlinking *u = ctx;
    if (u->seen++ == 0)
        sm_store_tick(u->store, found->meta.stored_ns + 100000 * SM_SEC);
    return true;
}

Test(store, readers_of_removed_segments_read_on)
{
    const char *dir = fx_dir();
    struct sm_store_options options = {.retention_age_ns = SM_SEC, .block_bytes = 1024};
    struct sm_store *store = fx_open(dir, &options);
    struct sm_store_stats stats;
    fx_append_numbered(store, 0, 300, 3);
    seal(store);
    struct unlinking u = {.store = store};
    sm_store_iterate(store, retain_while_reading, &u);
    cr_assert_eq(u.seen, 300);
    sm_store_stats(store, &stats);
    cr_assert_eq(stats.segments, 0);
    sm_store_close(store);
    fx_rmdir(dir);
}

Test(store, a_huge_trace_is_stored_in_parts)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    enum { COUNT = 600 };
    char *big = malloc(60001);
    memset(big, 'x', 60000);
    big[60000] = '\0';
    struct fx_span *spans = calloc(COUNT, sizeof *spans);
    for (unsigned i = 0; i < COUNT; i++) {
        spans[i] = (struct fx_span){
            .service = "s", .name = "n", .id = i + 1, .parent = i ? 1 : 0, .start_us = 1000 + i, .attributes = {"big", big}};
    }
    struct fx_trace t = fx_trace(fx_id(1), spans, COUNT);
    fx_append(store, &t);
    commit(store);
    struct sm_store_found found;
    cr_assert_eq(sm_store_get(store, fx_id(1), SM_STORE_ID_EXACT, keep_found, &found), SM_OK);
    cr_assert_eq(found.meta.span_count, COUNT);
    cr_assert(found.parts > 1);
    fx_trace_free(&t);
    free(spans);
    free(big);
    sm_store_close(store);
    fx_rmdir(dir);
}

Test(store, an_empty_trace_and_empty_names_are_fine)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    struct fx_span span[] = {{.name = "", .id = 1}};
    struct fx_trace none = fx_trace(fx_id(1), span, 0), nameless = fx_trace(fx_id(2), span, 1);
    fx_append(store, &none);
    fx_append(store, &nameless);
    seal(store);
    struct sm_store_found found;
    cr_assert_eq(sm_store_get(store, fx_id(1), SM_STORE_ID_EXACT, keep_found, &found), SM_OK);
    cr_assert_eq(found.meta.span_count, 0);
    cr_assert_eq(sm_store_get(store, fx_id(2), SM_STORE_ID_EXACT, keep_found, &found), SM_OK);
    cr_assert_eq(found.meta.span_count, 1);
    fx_trace_free(&none);
    fx_trace_free(&nameless);
    sm_store_close(store);
    fx_rmdir(dir);
}

Test(store, one_id_repeated_often_stays_cheap_and_bounded)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    struct fx_span span[] = {{.service = "a", .name = "x", .id = 1, .start_us = 1000, .duration_us = 5}};
    struct fx_trace t = fx_trace(fx_id(1), span, 1);
    for (int i = 0; i < 20000; i++)
        fx_append(store, &t);
    fx_trace_free(&t);
    fx_append_numbered(store, 2, 10, 1);
    for (int sealed = 0; sealed < 2; sealed++) {
        struct sm_store_found found;
        commit(store);
        cr_assert_eq(sm_store_get(store, fx_id(1), SM_STORE_ID_EXACT, keep_found, &found), SM_OK);
        cr_assert_eq(found.meta.span_count, 1);
        cr_assert(fx_has_numbered(store, 5, 1));
        seal(store);
    }
    sm_store_close(store);
    fx_rmdir(dir);
}

struct names {
    char text[512];
};

static void take_name(void *ctx, struct sm_str name, enum sm_kind kind)
{
    struct names *n = ctx;
    size_t at = strlen(n->text);
    snprintf(n->text + at, sizeof n->text - at, "%.*s/%d ", SM_STR_ARG(name), (int)kind);
}

Test(store, lists_names)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, NULL);
    struct fx_span spans[] = {
        {.service = "shop", .name = "buy", .id = 1, .start_us = 1, .kind = SM_KIND_SERVER},
        {.service = "shop", .name = "pay", .id = 2, .start_us = 1, .kind = SM_KIND_CLIENT, .attributes = {"peer.service", "Bank"}},
        {.service = "shop", .name = "pay", .id = 3, .start_us = 1, .kind = SM_KIND_INTERNAL},
        {.service = "Apple", .name = "eat", .id = 4, .start_us = 1, .attributes = {"service.peer.name", "tree"}},
        {.name = "lost", .id = 5, .start_us = 1}};
    struct fx_trace t = fx_trace(fx_id(1), spans, SM_ARRAY_LEN(spans));
    fx_append(store, &t);
    seal(store);
    fx_append(store, &t);
    commit(store);
    fx_trace_free(&t);
    struct names n = {""};
    sm_store_services(store, take_name, &n);
    cr_assert_str_eq(n.text, "Apple/0 shop/0 ");
    n.text[0] = '\0';
    sm_store_operations(store, SM_STR("shop"), false, take_name, &n);
    cr_assert_str_eq(n.text, "buy/2 pay/1 pay/3 ");
    n.text[0] = '\0';
    sm_store_operations(store, SM_STR("apple"), false, take_name, &n);
    sm_store_operations(store, SM_STR("apple"), true, take_name, &n);
    cr_assert_str_eq(n.text, "eat/0 ");
    n.text[0] = '\0';
    sm_store_remote_services(store, SM_STR("shop"), false, take_name, &n);
    cr_assert_str_eq(n.text, "Bank/0 ");
    sm_store_close(store);
    fx_rmdir(dir);
}
