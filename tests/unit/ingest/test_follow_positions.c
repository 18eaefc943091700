/* The file of positions: what is written is read, anything else is refused. */
#include "ingest/follow_positions.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static struct sm_follow_position *read_back;
static size_t count;

static void forget(void)
{
    free(read_back);
    read_back = NULL;
}

TestSuite(follow_positions, .fini = forget);

static enum sm_rc parse(const char *text, size_t size)
{
    forget();
    return sm_follow_positions_parse(sm_str(text, size), &read_back, &count);
}

Test(follow_positions, what_is_written_is_read)
{
    static const struct sm_follow_position written[] = {{1, 2, 0xff, 3}, {UINT64_MAX, INT64_MAX, UINT64_MAX, SM_FOLLOW_HASHED_MAX}, {0, 0, 0, 0}};
    static const char *const paths[] = {"/a b/c.jsonl", "line\nfeed", ""};
    struct sm_buf out = {0};
    sm_follow_positions_begin(&out);
    for (size_t i = 0; i < SM_ARRAY_LEN(written); i++)
        sm_follow_positions_put(&out, &written[i], paths[i]);
    cr_assert_eq(parse((const char *)out.data, out.size), SM_OK);
    cr_assert_eq(count, SM_ARRAY_LEN(written));
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(read_back[i].inode, written[i].inode);
        cr_assert_eq(read_back[i].offset, written[i].offset);
        cr_assert_eq(read_back[i].hash, written[i].hash);
        cr_assert_eq(read_back[i].hashed, written[i].hashed);
    }
    for (size_t n = 0; n + 1 < out.size; n++) /* a file that was cut: whole lines or nothing */
        cr_assert(parse((const char *)out.data, n) == SM_E_INVALID || out.data[n - 1] == '\n', "%zu", n);
    sm_buf_fini(&out);
}

Test(follow_positions, anything_else_is_refused)
{
    static const char *const texts[] = {"", "spanmill positions 2\n", "spanmill positions 1\n\n", "spanmill positions 1\n1 2 3\n",
                                        "spanmill positions 1\n1 2 3 4", "spanmill positions 1\n-1 2 3 4 x\n",
                                        "spanmill positions 1\n1 9223372036854775808 3 4 x\n", "spanmill positions 1\n1 2 1025 4 x\n",
                                        "spanmill positions 1\n1 2 3 xyz p\n", "spanmill positions 1\n99999999999999999999 2 3 4 p\n"};
    for (size_t i = 0; i < SM_ARRAY_LEN(texts); i++) {
        cr_assert_eq(parse(texts[i], strlen(texts[i])), SM_E_INVALID, "%s", texts[i]);
        cr_assert_null(read_back);
        cr_assert_eq(count, 0);
    }
    cr_assert_eq(parse("spanmill positions 1\n1 2\0003 4 x\n", 32), SM_E_INVALID);
}

Test(follow_positions, saved_and_loaded)
{
    char path[] = "/tmp/spanmill-positions-XXXXXX";
    struct sm_err err;
    struct sm_buf out = {0};
    int fd = mkstemp(path);
    uint64_t hash, other;
    cr_assert_eq(write(fd, "0123456789", 10), 10);
    cr_assert(sm_follow_positions_hash(fd, 10, &hash));
    cr_assert(sm_follow_positions_hash(fd, 9, &other));
    cr_assert_neq(hash, other);
    cr_assert_not(sm_follow_positions_hash(fd, 11, &hash));
    close(fd);
    cr_assert_eq(sm_follow_positions_load(path, &read_back, &count, &err), SM_E_INVALID);
    sm_follow_positions_begin(&out);
    sm_follow_positions_put(&out, &(struct sm_follow_position){7, 8, hash, 9}, "x");
    cr_assert_eq(sm_follow_positions_save(path, sm_buf_str(&out), &err), SM_OK);
    cr_assert_eq(sm_follow_positions_load(path, &read_back, &count, &err), SM_OK, "%s", err.text);
    cr_assert_eq(count, 1);
    cr_assert_eq(read_back[0].offset, 8);
    forget();
    unlink(path);
    cr_assert_eq(sm_follow_positions_load(path, &read_back, &count, &err), SM_E_NOTFOUND);
    cr_assert_eq(sm_follow_positions_save("/nowhere/x", sm_buf_str(&out), &err), SM_E_NOTFOUND);
    sm_buf_fini(&out);
}
