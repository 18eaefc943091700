#include "base/file.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/spanmill-file-XXXXXX";
static int fd;

static void setup(void)
{
    fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, "0123456789", 10) == 10);
}

static void teardown(void)
{
    close(fd);
    unlink(path);
}

TestSuite(file, .init = setup, .fini = teardown);

Test(file, a_part_is_read_whole_or_not_at_all)
{
    char bytes[16];
    cr_expect(sm_file_read_at(fd, bytes, 4, 3) == SM_OK && memcmp(bytes, "3456", 4) == 0);
    cr_expect(sm_file_read_at(fd, bytes, 10, 0) == SM_OK && memcmp(bytes, "0123456789", 10) == 0);
    cr_expect_eq(sm_file_read_at(fd, bytes, 0, 99), SM_OK);
    cr_expect_eq(sm_file_read_at(fd, bytes, 4, 7), SM_E_INVALID);
    cr_expect_eq(sm_file_read_at(-1, bytes, 4, 0), SM_E_IO);
}

Test(file, small_ones_are_read_behind_what_is_there)
{
    struct sm_buf out = {0};
    struct sm_err err;
    sm_buf_puts(&out, "before ");
    cr_expect_eq(sm_file_read(path, 10, &out, &err), SM_OK);
    cr_expect(sm_str_eq(sm_buf_str(&out), SM_STR("before 0123456789")));
    cr_expect_eq(sm_file_read(path, 9, &out, &err), SM_E_LIMIT);
    cr_expect_eq(sm_file_read("/nowhere/at/all", 9, &out, &err), SM_E_IO);
    sm_buf_fini(&out);
}

Test(file, a_stamp_tells_contents_apart)
{
    struct sm_file_stamp none = {0}, before = sm_file_stamp(path), same = sm_file_stamp(path), absent = sm_file_stamp(NULL);
    cr_expect(sm_file_stamp_eq(&before, &same));
    cr_expect(sm_file_stamp_eq(&absent, &none));
    cr_assert_eq(write(fd, "more", 4), 4);
    struct sm_file_stamp after = sm_file_stamp(path);
    cr_expect_not(sm_file_stamp_eq(&before, &after));
}
