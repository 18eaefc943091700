/* Damage of every kind: torn tails at every byte, bit flips everywhere, missing and damaged footers, failing writes. */
#include "base/crc32c.h"
#include "store/format.h"
#include "tests/unit/store/fixture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRACES = 40, SPANS = 3, BLOCKS_MAX = 64 };

static int no_sync(void *ctx, int fd)
{
    (void)ctx;
    (void)fd;
    return 0;
}

/* Seven blocks without a dictionary, the others with one. */
static const struct sm_store_options small = {.block_bytes = 1400, .dictionary_bytes = 2100, .io = {.sync = no_sync}};

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

/* A directory with one segment of TRACES traces, in several blocks. */
static const char *make_segment(bool sealed)
{
    const char *dir = fx_dir();
    struct sm_store *store = fx_open(dir, &small);
    fx_append_numbered(store, 0, TRACES, SPANS);
    if (sealed)
        seal(store);
    sm_store_close(store);
    return dir;
}

static uint64_t salt_of(const char *path)
{
    uint64_t id, salt;
    cr_assert(sm_format_name_parse(strrchr(path, '/') + 1, &id, &salt));
    return salt;
}

/* Where the blocks lie in a file, from their headers. */
struct layout {
    uint32_t blocks;
    uint64_t starts[BLOCKS_MAX], ends[BLOCKS_MAX];
    uint32_t traces[BLOCKS_MAX];
    uint64_t dictionary; /* the first copy; 0: none */
};

static struct layout layout_of(const struct sm_buf *file, uint64_t salt)
{
    struct layout l = {0};
    struct sm_format_block block;
    for (uint64_t at = SM_FORMAT_FILE_HEADER_SIZE; at + SM_FORMAT_BLOCK_HEADER_SIZE <= file->size;) {
        bool dictionary = sm_format_block_unpack(file->data + at, SM_FORMAT_DICTIONARY_MAGIC, salt, &block);
        if (!dictionary && !sm_format_block_unpack(file->data + at, SM_FORMAT_BLOCK_MAGIC, salt, &block))
            break;
        uint64_t end = at + SM_FORMAT_BLOCK_HEADER_SIZE + block.size;
        if (dictionary) {
            l.dictionary = l.dictionary ? l.dictionary : at;
        } else {
            cr_assert_lt(l.blocks, BLOCKS_MAX);
            l.starts[l.blocks] = at;
            l.ends[l.blocks] = end;
            l.traces[l.blocks++] = block.traces;
        }
        at = end;
    }
    cr_assert_gt(l.blocks, 10);
    cr_assert(l.dictionary);
    return l;
}

static uint32_t count_present(struct sm_store *store)
{
    uint32_t present = 0;
    for (uint64_t n = 0; n < TRACES; n++)
        present += fx_has_numbered(store, n, SPANS);
    return present;
}

Test(recovery, truncation_at_every_byte_keeps_every_whole_block, .timeout = 300)
{
    const char *dir = make_segment(false);
    char path[512];
    snprintf(path, sizeof path, "%s", fx_segment_path(dir));
    struct sm_buf file = fx_read_file(path);
    struct layout l = layout_of(&file, salt_of(path));
    for (size_t size = 0; size <= file.size; size++) {
        uint32_t whole = 0;
        for (uint32_t b = 0; b < l.blocks && l.ends[b] <= size; b++)
            whole += l.traces[b];
        fx_write_file(path, file.data, size);
        struct sm_store *store = fx_open(dir, &small);
        struct sm_store_stats stats;
        sm_store_stats(store, &stats);
        cr_assert_eq(stats.traces, whole, "cut to %zu bytes: %lu instead of %u traces", size, stats.traces, whole);
        cr_assert_eq(stats.damaged_ranges, 0);
        if (size % 97 == 0) {
            cr_assert_eq(count_present(store), whole);
            fx_append_numbered(store, 1000, 1003, SPANS);
            commit(store);
            cr_assert(fx_has_numbered(store, 1001, SPANS));
            sm_store_close(store);
            store = fx_open(dir, &small);
            cr_assert_eq(count_present(store), whole);
            cr_assert(fx_has_numbered(store, 1002, SPANS));
        }
        sm_store_close(store);
        fx_rmdir(dir);
        cr_assert_eq(mkdir(dir, 0750), 0);
    }
    sm_buf_fini(&file);
    fx_rmdir(dir);
}

/* Flips a bit at each step-th byte; all traces but those of one block stay readable, and the damage is counted. */
static void flip_bits(bool sealed, size_t step)
{
    const char *dir = make_segment(sealed);
    char path[512];
    snprintf(path, sizeof path, "%s", fx_segment_path(dir));
    struct sm_buf file = fx_read_file(path);
    struct layout l = layout_of(&file, salt_of(path));
    for (size_t at = 0; at < file.size; at += step) {
        file.data[at] ^= (uint8_t)(1u << at % 8);
        fx_write_file(path, file.data, file.size);
        file.data[at] ^= (uint8_t)(1u << at % 8);
        uint32_t lost = 0;
        for (uint32_t b = 0; b < l.blocks; b++) {
            if (at >= l.starts[b] && at < l.ends[b])
                lost = l.traces[b];
        }
        struct sm_store *store = fx_open(dir, &small);
        struct sm_store_query query = sm_store_query_default;
        struct sm_store_stats stats;
        query.service = SM_STR("cart");
        query.limit = 100;
        fx_search(store, &query, NULL, 0);
        cr_assert_eq(count_present(store), TRACES - lost, "flip at %zu (%s)", at, sealed ? "sealed" : "active");
        sm_store_stats(store, &stats);
        uint64_t noticed = stats.damaged_ranges + stats.damaged_blocks + stats.tails_cut + stats.footers_rebuilt;
        uint64_t unread_from = l.ends[l.blocks - 1], unread_to = unread_from + SM_FORMAT_FOOTER_HEADER_SIZE;
        bool unread = sealed && at >= l.dictionary && at < l.starts[7]; /* a sealed segment's dictionary is in its footer */
        unread |= at >= unread_from && at < unread_to;
        cr_assert(noticed > 0 || unread, "flip at %zu was not counted", at);
        sm_store_tick(store, (int64_t)FX_BASE_NS + SM_SEC);
        cr_assert_eq(count_present(store), TRACES - lost, "flip at %zu, after repair", at);
        sm_store_close(store);
        store = fx_open(dir, &small);
        cr_assert_eq(count_present(store), TRACES - lost, "flip at %zu, reopened", at);
        sm_store_close(store);
        fx_rmdir(dir);
        cr_assert_eq(mkdir(dir, 0750), 0);
    }
    sm_buf_fini(&file);
    fx_rmdir(dir);
}

Test(recovery, bit_flips_in_an_active_segment_lose_one_block_at_most, .timeout = 300)
{
    flip_bits(false, 3);
}

Test(recovery, bit_flips_in_a_sealed_segment_lose_one_block_at_most, .timeout = 300)
{
    flip_bits(true, 5);
}

Test(recovery, a_hole_in_the_middle_is_skipped_and_the_rest_found)
{
    const char *dir = make_segment(false);
    char path[512];
    snprintf(path, sizeof path, "%s", fx_segment_path(dir));
    struct sm_buf file = fx_read_file(path);
    struct layout l = layout_of(&file, salt_of(path));
    memset(file.data + l.ends[0], 0, l.ends[2] - l.ends[0]); /* the second and third block */
    fx_write_file(path, file.data, file.size);
    struct sm_store *store = fx_open(dir, &small);
    struct sm_store_stats stats;
    sm_store_stats(store, &stats);
    cr_assert_eq(stats.damaged_ranges, 1);
    cr_assert_eq(stats.damaged_bytes, l.ends[2] - l.ends[0]);
    cr_assert_eq(stats.tails_cut, 0);
    cr_assert_eq(count_present(store), TRACES - l.traces[1] - l.traces[2]);
    sm_store_close(store);
    sm_buf_fini(&file);
    fx_rmdir(dir);
}

/* Both copies of the dictionary in front of the blocks are gone: the footer, though itself damaged, still has one. */
Test(recovery, the_third_copy_of_the_dictionary_serves)
{
    const char *dir = make_segment(true);
    char path[512];
    snprintf(path, sizeof path, "%s", fx_segment_path(dir));
    struct sm_buf file = fx_read_file(path);
    struct layout l = layout_of(&file, salt_of(path));
    memset(file.data + l.dictionary, 0, l.starts[7] - l.dictionary);
    fx_write_file(path, file.data, file.size - 3);
    struct sm_store *store = fx_open(dir, &small);
    cr_assert_eq(count_present(store), TRACES);
    sm_store_close(store);
    sm_buf_fini(&file);
    fx_rmdir(dir);
}

/* A client sends bytes that look like a block of ours. */
Test(recovery, a_forged_block_inside_a_span_is_not_taken)
{
    const char *dir = make_segment(false);
    char path[512];
    snprintf(path, sizeof path, "%s", fx_segment_path(dir));
    struct sm_buf file = fx_read_file(path);
    struct layout l = layout_of(&file, salt_of(path));
    struct sm_format_block block;
    cr_assert(sm_format_block_unpack(file.data + l.ends[l.blocks - 2], SM_FORMAT_BLOCK_MAGIC, salt_of(path), &block));
    uint8_t header[SM_FORMAT_BLOCK_HEADER_SIZE];
    sm_format_block_pack(&block, SM_FORMAT_BLOCK_MAGIC, 0 /* not the salt */, header);
    memcpy(file.data + l.ends[l.blocks - 2], header, sizeof header);
    fx_write_file(path, file.data, file.size);
    struct sm_store *store = fx_open(dir, &small);
    cr_assert_eq(count_present(store), TRACES - l.traces[l.blocks - 1]);
    sm_store_close(store);
    sm_buf_fini(&file);
    fx_rmdir(dir);
}

Test(recovery, a_missing_footer_of_an_older_segment_is_rebuilt)
{
    const char *dir = make_segment(true);
    char path[512];
    snprintf(path, sizeof path, "%s", fx_segment_path(dir));
    struct sm_store *store = fx_open(dir, &small);
    fx_append_numbered(store, 100, 110, SPANS);
    sm_store_close(store);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(truncate(path, st.st_size - 10), 0);
    for (int round = 0; round < 2; round++) {
        struct sm_store_stats stats;
        store = fx_open(dir, &small);
        sm_store_stats(store, &stats);
        cr_assert_eq(stats.footers_rebuilt, round == 0);
        cr_assert_eq(count_present(store), TRACES);
        cr_assert(fx_has_numbered(store, 105, SPANS));
        sm_store_close(store);
    }
    fx_rmdir(dir);
}

Test(recovery, an_older_file_without_any_block_is_set_aside)
{
    const char *dir = make_segment(true);
    char path[512], aside[520];
    snprintf(path, sizeof path, "%s", fx_segment_path(dir));
    snprintf(aside, sizeof aside, "%s.bad", path);
    struct sm_store *store = fx_open(dir, &small);
    fx_append_numbered(store, 100, 110, SPANS);
    sm_store_close(store);
    char junk[5000];
    memset(junk, 'M', sizeof junk);
    fx_write_file(path, junk, sizeof junk);
    store = fx_open(dir, &small);
    struct sm_store_stats stats;
    sm_store_stats(store, &stats);
    cr_assert_eq(stats.segments_set_aside, 1);
    cr_assert_eq(stats.segments, 1);
    cr_assert(fx_has_numbered(store, 105, SPANS));
    cr_assert_eq(access(aside, F_OK), 0);
    sm_store_close(store);
    fx_rmdir(dir);
}

Test(recovery, a_newer_format_is_left_alone)
{
    const char *dir = make_segment(true);
    char path[512];
    snprintf(path, sizeof path, "%s", fx_segment_path(dir));
    struct sm_buf file = fx_read_file(path);
    struct sm_format_file header = {.version = SM_FORMAT_VERSION + 1};
    cr_assert(sm_format_name_parse(strrchr(path, '/') + 1, &header.id, &header.salt));
    sm_format_file_pack(&header, file.data);
    fx_write_file(path, file.data, file.size);
    struct sm_store *store = fx_open(dir, &small);
    struct sm_store_stats stats;
    sm_store_stats(store, &stats);
    cr_assert_eq(stats.segments, 0);
    cr_assert_eq(stats.segments_set_aside, 1);
    fx_append_numbered(store, 100, 110, SPANS);
    sm_store_close(store);
    struct sm_buf after = fx_read_file(path);
    cr_assert(sm_str_eq(sm_buf_str(&after), sm_buf_str(&file)));
    store = fx_open(dir, &small);
    cr_assert(fx_has_numbered(store, 105, SPANS));
    sm_store_close(store);
    sm_buf_fini(&after);
    sm_buf_fini(&file);
    fx_rmdir(dir);
}

Test(recovery, sequence_goes_on_after_reopening)
{
    const char *dir = make_segment(true);
    struct sm_store *store = fx_open(dir, &small);
    struct sm_err err = {0};
    uint64_t durable = 0;
    cr_assert_eq(sm_store_durable(store), TRACES);
    fx_append_numbered(store, 100, 101, SPANS);
    cr_assert_eq(sm_store_written(store), TRACES);
    cr_assert_eq(sm_store_appended(store), TRACES + 1);
    cr_assert_eq(sm_store_sync(store, &durable, &err), SM_OK);
    cr_assert_eq(durable, TRACES + 1);
    sm_store_close(store);
    fx_rmdir(dir);
}

/* ---- failing system calls ---- */

struct faults {
    int writes_until, syncs_until; /* the call that fails; 0: this one */
    bool short_write;
    int error;
};

static ssize_t failing_write(void *ctx, int fd, const void *bytes, size_t size, uint64_t offset)
{
    struct faults *f = ctx;
    if (f->writes_until-- == 0) {
        if (f->short_write && size > 1)
            return pwrite(fd, bytes, size / 2, (off_t)offset); /* the next call fails */
        errno = f->error;
        return -1;
    }
    if (f->short_write && f->writes_until == -2) {
        errno = f->error;
        return -1;
    }
    return pwrite(fd, bytes, size, (off_t)offset);
}

static int failing_sync(void *ctx, int fd)
{
    struct faults *f = ctx;
    if (f->syncs_until-- == 0) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

/* Appends all numbered traces as a caller must: after a failure from the first one that is not written. */
static uint32_t append_stubbornly(struct sm_store *store)
{
    struct sm_err err = {0};
    uint32_t failures = 0;
    uint64_t n = 0, written = 0;
    while (written < TRACES) {
        struct fx_trace t = fx_numbered(n, SPANS);
        enum sm_rc rc = sm_store_append(store, &t.trace, &err);
        fx_trace_free(&t);
        if (rc == SM_OK && ++n == TRACES)
            rc = sm_store_commit(store, &err);
        if (rc == SM_OK && sm_store_appended(store) == sm_store_written(store)) {
            written = n;
        } else if (rc != SM_OK) {
            cr_assert_eq(rc, SM_E_IO);
            cr_assert_lt(++failures, 10);
            n = written;
        }
    }
    cr_assert_eq(sm_store_sync(store, NULL, &err), SM_OK, "%s", err.text);
    return failures;
}

static void fail_the_nth(bool short_write, int error)
{
    uint32_t failed_rounds = 0;
    for (int nth = 0; nth < 40; nth++) {
        const char *dir = fx_dir();
        struct faults faults = {.writes_until = nth, .syncs_until = -1, .short_write = short_write, .error = error};
        struct sm_store_options options = {.block_bytes = 1024,
                                           .dictionary_bytes = 1400,
                                           .segment_bytes_max = 4000,
                                           .io = {.ctx = &faults, .write = failing_write, .sync = failing_sync}};
        struct sm_store *store = fx_open(dir, &options);
        failed_rounds += append_stubbornly(store) > 0;
        cr_assert_eq(count_present(store), TRACES, "write %d failed", nth);
        sm_store_tick(store, (int64_t)FX_BASE_NS + 100 * SM_SEC);
        sm_store_close(store);
        store = fx_open(dir, &small);
        struct sm_store_stats stats;
        sm_store_stats(store, &stats);
        cr_assert_eq(count_present(store), TRACES, "write %d failed, reopened", nth);
        cr_assert_eq(stats.traces, TRACES, "write %d failed: %lu records", nth, stats.traces);
        cr_assert_eq(stats.damaged_ranges, 0);
        sm_store_close(store);
        fx_rmdir(dir);
    }
    cr_assert_gt(failed_rounds, 5);
}

Test(recovery, a_full_disk_loses_nothing_that_is_appended_again, .timeout = 120)
{
    fail_the_nth(false, ENOSPC);
}

Test(recovery, a_short_write_loses_nothing_that_is_appended_again, .timeout = 120)
{
    fail_the_nth(true, EIO);
}

Test(recovery, what_a_failed_sync_covered_is_written_again)
{
    const char *dir = fx_dir();
    struct faults faults = {.writes_until = -1, .syncs_until = 0};
    struct sm_store_options options = {.block_bytes = 1024, .io = {.ctx = &faults, .write = failing_write, .sync = failing_sync}};
    struct sm_store *store = fx_open(dir, &options);
    struct sm_store_stats before, after;
    struct sm_err err = {0};
    uint64_t durable = 99;
    fx_append_numbered(store, 0, TRACES, SPANS);
    commit(store);
    sm_store_stats(store, &before);
    cr_assert_eq(sm_store_sync(store, &durable, &err), SM_E_IO);
    cr_assert_eq(durable, 0);
    cr_assert_eq(sm_store_sync(store, &durable, &err), SM_OK);
    cr_assert_eq(durable, TRACES);
    sm_store_stats(store, &after);
    cr_assert_eq(after.written_bytes, before.written_bytes * 2); /* all of the file once more */
    cr_assert_eq(count_present(store), TRACES);
    sm_store_close(store);
    fx_rmdir(dir);
}

Test(recovery, check_finds_damage_and_nothing_else)
{
    const char *dir = make_segment(true);
    char path[512];
    snprintf(path, sizeof path, "%s", fx_segment_path(dir));
    struct sm_store *store = fx_open(dir, &small);
    cr_assert_eq(sm_store_check(store, NULL, NULL), 0);
    sm_store_close(store);
    struct sm_buf file = fx_read_file(path);
    file.data[200] ^= 1; /* in the first block */
    fx_write_file(path, file.data, file.size);
    store = fx_open(dir, &small);
    cr_assert_eq(sm_store_check(store, NULL, NULL), 1);
    sm_store_close(store);
    sm_buf_fini(&file);
    fx_rmdir(dir);
}
