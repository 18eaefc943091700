/* Files that paths stand for. */
#include "ingest/file_list.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];

static void setup(void)
{
    strcpy(dir, "/tmp/spanmill-list-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(file_list, .init = setup, .fini = teardown);

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void touch(const char *name)
{
    fclose(fopen(path_of(name), "w"));
}

Test(file_list, directories_in_the_order_of_names)
{
    static const char *const expected[] = {"B", "a", "b/1", "b/2", "b/c/3", "link"};
    struct sm_file_list list = {0};
    struct sm_err err;
    mkdir(path_of("b"), 0700);
    mkdir(path_of("b/c"), 0700);
    mkdir(path_of(".git"), 0700);
    static const char *const files[] = {"b/2", "b/1", "b/c/3", "a", "B", ".hidden", ".git/x"};
    for (size_t i = 0; i < SM_ARRAY_LEN(files); i++)
        touch(files[i]);
    cr_assert_eq(symlink("a", path_of("link")), 0);
    cr_assert_eq(symlink(".", path_of("loop")), 0);
    cr_assert_eq(mkfifo(path_of("pipe"), 0600), 0);
    cr_assert_eq(sm_file_list_add(&list, dir, &err), SM_OK);
    cr_assert_eq(list.count, SM_ARRAY_LEN(expected));
    for (size_t i = 0; i < list.count; i++) {
        cr_assert_str_eq(list.items[i].path, path_of(expected[i]));
        cr_assert(list.items[i].found);
    }
    sm_file_list_fini(&list);
}

Test(file_list, what_is_named_is_taken_as_it_is)
{
    struct sm_file_list list = {0};
    struct sm_err err;
    touch(".hidden");
    cr_assert_eq(sm_file_list_add(&list, "-", &err), SM_OK);
    cr_assert_eq(sm_file_list_add(&list, path_of(".hidden"), &err), SM_OK);
    cr_assert_eq(sm_file_list_add(&list, path_of("none"), &err), SM_OK);
    cr_assert_eq(list.count, 3);
    cr_assert_not(list.items[1].found);
    sm_file_list_fini(&list);
}

Test(file_list, depth_has_a_limit)
{
    struct sm_file_list list = {0};
    struct sm_err err;
    char name[512] = "d";
    for (unsigned i = 0; i < SM_FILE_LIST_DEPTH_MAX + 1; i++) {
        cr_assert_eq(mkdir(path_of(name), 0700), 0);
        strcat(name, "/d");
    }
    cr_assert_eq(sm_file_list_add(&list, dir, &err), SM_E_LIMIT);
    sm_file_list_fini(&list);
}
